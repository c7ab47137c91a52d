#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "banyan/internal/v1/store.pb.h"
#include "server/coordinator/coordinator.h"

namespace banyan {

struct Child;
struct ClusterSupervisor;
struct Member;
struct Operation;

// What operators do to nodes, and drains and rebalances until they are done (drains.cc,
// rebalance.cc).
class ClusterRequests {
 public:
  explicit ClusterRequests(Coordinator::Core* core) : core_(core) {}
  absl::Status Load();
  void Start();
  void SetCordon(const NodeArgs& args, bool cordoned, Reply<v1::NodeInfo> done);
  void ConfirmDead(const NodeArgs& args, uint32_t incarnation, bool force,
                   Reply<v1::NodeInfo> done);
  void RemoveNode(const NodeArgs& args, bool allow_missing, StatusReply done);
  void Drain(const NodeArgs& args, absl::Duration deadline, uint32_t max_parallel, bool then_leave,
             Reply<v1::NodeInfo> done);
  // The node is to end, and asks for a drain that is over at `deadline`.
  void OnRetire(Member* member, absl::Duration deadline);
  void OnResynced(Member* member);
  // Something that a drain may wait for has happened.
  void PokeDrains();
  // Children of a draining node that fit nowhere else, as of the last look.
  std::vector<Pid> StuckOn(const std::string& node) const;
  void Rebalance(bool validate_only, uint32_t max_moves, const std::string& request_id,
                 Reply<v1::RebalanceResponse> done);
  // Moves of that operation are not over.
  bool Rebalances(const std::string& operation_id) const;

 private:
  // Begins the operation on an existing node; null: answered.
  Operation* Begin(const NodeArgs& args, const std::string& kind, const std::string& more,
                   Reply<v1::NodeInfo> done, Member** member);
  void Tick();
  void StepDrains();
  bool Retiring(const Member& member) const;
  void Step(Member* member);
  void EndDrain(Member* member);
  void LetLeave(Member* member, bool at_once);
  // Of one supervisor's children, how many may be away at a time.
  static uint32_t MayBeAway(const ClusterSupervisor& sup, const internal::v1::DrainRecord& drain);
  void SetDeadline(Member* member, absl::Duration deadline);
  Instant DeadlineOf(const Member& member);
  void Force(Member* member);
  struct Planned {
    std::string path;
    uint64_t fence = 0;  // of the life that is to be moved
    std::string key;     // of its record
  };
  void PlanMove(const Child& child);
  void Store(const Planned& move, bool begun);
  void StepRebalance();
  bool IsOver(const Planned& move) const;
  void EndRebalance(std::string result);
  absl::Duration MovePause() const;

  Coordinator::Core* const core_;
  bool poked_ = false;
  // Nodes that asked for their drain themselves, with the life that they did it in.
  std::map<std::string, uint32_t> retiring_;
  std::map<std::string, std::vector<Pid>> stuck_;  // by node
  struct Deadline {
    absl::Time wall;  // as on record
    Instant at;
  };
  std::map<std::string, Deadline> deadlines_;  // of drains, by node
  std::set<std::string> killed_;  // path keys of children that a drain's deadline has killed
  // Of the rebalance, if there is one: its operation, and what is not yet begun and not yet over.
  std::string rebalance_;
  std::deque<Planned> moves_;
  std::vector<Planned> begun_;
  uint64_t last_move_ = 0;  // number of the last record
  Instant next_move_;
  uint64_t ticks_ = 0;
};

}  // namespace banyan
