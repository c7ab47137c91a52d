#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "banyan/internal/v1/membership.pb.h"
#include "banyan/internal/v1/store.pb.h"
#include "server/coordinator/coordinator.h"

namespace banyan {

struct Member;
struct Operation;

// What happens when the store went back in time: a backup was put in its place, or it was lost
// (cluster.md 7.5). Nodes then run children that it does not know, and killing those would turn an
// old backup into an outage.
//
//   off -> on    a node has seen a later revision of this store or a later epoch; children with
//                fences of a later epoch; a restored store; an empty store that a running node of
//                another one dials                                                      (durable)
//   on  -> off   an operator picks `adopt` or `kill`                                    (durable)
//
// While it is on, membership, names and calls work; nothing is started, stopped or replaced.
class SafeMode {
 public:
  explicit SafeMode(Coordinator::Core* core) : core_(core) {}

  // What is durable of SAFE mode: why, and numbers that were not given out before.
  // `highest_incarnation`: of all members.
  static void Begin(const std::string& why, uint32_t highest_incarnation,
                    internal::v1::MetaRecord* meta);

  // After the store was loaded.
  void Start();
  bool on() const;
  // Also for one lease after it went off: a node that is not back yet may run anything until then.
  bool holds_starts() const;
  std::vector<std::string> Alarms() const;

  // Looks for what the node knows better; before the hello is judged.
  void OnHello(const internal::v1::Hello& hello);
  // A node of a store that was lost, whose children an operator gave up: its life is over, and then
  // it may join.
  bool GivenUp(const std::string& cluster_id) const { return given_up_.contains(cluster_id); }
  // The node may be admitted with the number and the incarnation that it says it has.
  bool KnowsBetter(const Member* member, const internal::v1::Hello& hello) const;
  // True: the resync is not to be looked at, for SAFE mode has just begun.
  bool OnResync(Member* member, const std::vector<internal::v1::ResyncChunk>& chunks);
  // A child of this member that the store does not know as it is.
  void Keep(const Member* member, const internal::v1::ChildStatus& status);

  void End(v1::EndSafeModeRequest::Decision decision, bool validate_only,
           const std::string& request_id, Reply<v1::EndSafeModeResponse> done);

 private:
  struct Stray {
    std::string node;
    internal::v1::ChildStatus status;
  };
  void Enter(const std::string& why);
  void CloseControls(const std::string& why);
  // The newest start of each child, by path key.
  std::map<std::string, Stray> Newest() const;
  bool CanAdopt(const Stray& stray) const;
  v1::EndSafeModeResponse Plan(bool adopt) const;

  Coordinator::Core* const core_;
  std::map<std::string, std::vector<internal::v1::ChildStatus>> strays_;  // by node
  std::map<std::string, uint32_t> foreign_;  // cluster ids of a lost store, highest epoch of each
  std::set<std::string> given_up_;
  uint32_t epoch_needed_ = 0;
  Instant starts_from_;
};

}  // namespace banyan
