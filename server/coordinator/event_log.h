#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "banyan/v1/cluster.pb.h"
#include "banyan/v1/supervisors.pb.h"
#include "server/coordinator/coordinator.h"

namespace banyan {

struct Child;
struct ClusterSupervisor;

// The history of one kind of events, in the leader's memory, and who reads it. A reader has no
// queue of its own, only its place in the history; one that is too far behind is cut. Tokens are
// "EPOCH:SEQ", so one of another leader is told from a good one.
template <typename Event, typename Response>
class EventLog {
 public:
  using Filter = std::function<bool(const Event&)>;
  using WatchId = Coordinator::WatchId;
  explicit EventLog(Coordinator::Core* core) : core_(core) {}

  absl::StatusOr<WatchId> Open(const std::string& token, std::optional<std::vector<Event>> snapshot,
                               Filter filter);
  void Next(WatchId id, Reply<Response> done);
  bool Close(WatchId id);
  // Answers those who wait for what this turn brought.
  void Flush();

 protected:
  void Append(Event event);
  Coordinator::Core* const core_;

 private:
  struct Watch {
    uint64_t next = 0;     // the first event not yet looked at
    uint64_t lag_max = 0;  // further behind it is cut
    std::vector<Event> snapshot;
    size_t snapshot_sent = 0;
    bool in_snapshot = false;
    Filter filter;
    Reply<Response> waiting;
    uint64_t timer = 0;
  };
  std::string Token(uint64_t next) const;
  // True: answered.
  bool Serve(Watch& watch);
  void Bookmark(WatchId id);

  std::deque<Event> history_;
  uint64_t first_ = 1;  // number of history_.front()
  std::map<WatchId, Watch> watches_;
  bool fresh_ = false;
};

class SupervisionEvents : public EventLog<v1::SupervisorEvent, v1::WatchEventsResponse> {
 public:
  using EventLog::EventLog;
  // The child as it is at the end of the call.
  void AddChild(v1::SupervisorEvent::Kind kind, Child* child, const ExitReason* reason,
                const Pid* previous);
  void AddSupervisor(v1::SupervisorEvent::Kind kind, ClusterSupervisor* sup,
                     const ExitReason* reason);
};

class ClusterEvents : public EventLog<v1::ClusterEvent, v1::WatchClusterResponse> {
 public:
  using EventLog::EventLog;
  void Add(v1::ClusterEvent::Kind kind, const std::string& node);
  void AddAlarm(const std::string& message);
  void AddLeader();
};

}  // namespace banyan
