#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "banyan/internal/v1/membership.pb.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/start_pace.h"
#include "server/coordinator/start_queue.h"
#include "server/coordinator/token_bucket.h"
#include "server/coordinator/tree.h"
#include "server/core/placement.h"
#include "server/core/supervisor_action.h"

namespace banyan {

class ControlSession;
struct Member;

// Makes what planners decide happen on nodes, and tells them what came of it (cluster.md 6).
//
// Level-triggered: what is to be done follows from the durable assignments, the planners' states
// and what nodes report, never from having been the process that decided. Rules kept here:
//   W1  an assignment is in the store before its Start is sent (the journal sees to it)
//   W2  a child gets a new assignment only when the old one is over: reported, its node's life
//   gone, or
//       an `available` child on a suspect node
//   W3  assigned, resynced, absent, and nothing sent under this session: it is not there
class Reconciler {
 public:
  explicit Reconciler(Coordinator::Core* core) : core_(core) {}

  // After the store was loaded.
  void Start();
  // A fresh planner's children are put on record, so that the next leader knows those that were not
  // reached, and started one after the other.
  void Begin(ClusterSupervisor* sup, std::vector<std::shared_ptr<const ChildSpec>> children);
  // Performs what a planner wants and, at once, what follows from it.
  void Perform(ClusterSupervisor* sup, SupervisorActions actions);
  // Works off what is queued and the start queue; at the end of each turn.
  void Drain();

  // --- from nodes
  void OnReport(Member* member, const internal::v1::Report& report);
  void OnResync(Member* member, const std::vector<internal::v1::ResyncChunk>& chunks,
                const internal::v1::LastCrash& crash);
  void OnCommandResult(ControlSession* session, const internal::v1::CommandResult& result);
  void OnLastCrash(Member* member, const internal::v1::LastCrash& crash);
  void OnNodeGone(Member* member);
  // That life of the node is proven over, so `strict` children need wait no longer.
  void OnDeathProven(uint32_t node_id, uint32_t incarnation);
  // A child that may still run in some life of that node, which is over; null: none.
  const Child* AwaitsProof(uint32_t node_id) const;
  void OnSuspect(Member* member);
  void OnUnreachable(Member* member);
  void OnViewChanged();
  // SAFE mode (adoption.cc): a start that a node runs and the store does not know becomes the
  // child's present one.
  void Adopt(Member* member, const internal::v1::ChildStatus& status);
  void OnSafeModeEnded();

  // Later in this turn, when what is under way has been worked off.
  void Do(std::function<void()> fn) { work_.push_back(std::move(fn)); }

  // --- for requests
  // Ends a supervisor with everything under it; it vanishes when all is over.
  void StopRoot(ClusterSupervisor* sup, const ExitReason& reason);
  // A root that gave up begins anew.
  void RestartRoot(ClusterSupervisor* sup);
  void ForgetChild(Child* child);
  // Sends the stop that is due, if the node can be reached.
  void SendStop(Child* child);
  void SendStopWhenStored(Child* child);
  // Starts a running child elsewhere: an `available` one before its present life is stopped, all
  // others after it. False: no other node fits an `available` one.
  bool Move(Child* child);
  // The deadline of a drain is over: stopped where it runs, and started where there is room.
  void MoveByForce(Child* child);
  // It is being stopped, and has taken too long.
  void Kill(Child* child);
  PlacementRequest RequestFor(const Child* child) const;
  // Where the child would be started if the node that it runs on were not there.
  PlacementResult PlaceElsewhere(const Child* child, const std::vector<NodeView>& views) const;
  // Gives up an assignment that was made before its turn.
  void DropAhead(Child* child);
  bool has_work() const { return !work_.empty(); }
  size_t pending() const { return pending_.size() + queue_.size(); }
  uint64_t restarts_last_minute();
  // Why the last start of that child failed; for operations that outlived a coordinator.
  std::map<std::string, ExitReason> last_failures;

 private:
  // Actions.
  void DoStart(ClusterSupervisor* sup, ChildKey key);
  void DoStop(ClusterSupervisor* sup, ChildKey key, const ShutdownPolicy& policy);
  void DoRetryLater(ClusterSupervisor* sup, ChildKey key, absl::Duration delay);
  void DoForget(ClusterSupervisor* sup, ChildKey key);
  void DoReport(ClusterSupervisor* sup, const SupervisorReport& report);
  void DoExit(ClusterSupervisor* sup, const ExitReason& reason);
  void StartNested(Child* child);
  void AfterEvent(ClusterSupervisor* sup);
  std::vector<Child*> Unjudged(ClusterSupervisor* sup) const;
  void JudgeAgain(Child* child);
  void Later(ClusterSupervisor* sup, std::function<SupervisorActions(SupervisorPlanner&)> event);
  // Outcomes: the assignment ends or stands, then the planner hears of it.
  void Started(Child* child, const Pid& pid, Payload info);
  void Over(Child* child, const ExitReason& reason);
  void StartFailed(Child* child, const ExitReason& reason);
  enum class Cause : uint8_t { kOwn, kOther, kNodeLost, kPoison };
  // kOwn is held against the intensity, kNodeLost marks a young child as perhaps to blame, kPoison
  // gives it up.
  void Exited(Child* child, const ExitReason& reason, Cause cause);
  void Stopped(Child* child, const ExitReason& reason);
  void StartAgain(Child* child);
  // Starting.
  void Enqueue(Child* child);
  void Unqueue(Child* child);
  void Pump();
  bool AnyRoom() const;
  bool TryPlace(Child* child, const std::vector<NodeView>& views);
  // Room for a life of the child on that node, and its end.
  void Reserve(Child* child, Member* member);
  void CountOn(Child* child, const std::string& node, bool there);
  void Unreserve(Child* child, const std::string& node, uint32_t node_id, uint32_t incarnation,
                 bool waits_init);
  void Assign(Child* child, Member* member, Ahead ahead = Ahead::kNo);
  void Release(Child* child);
  void NoNode(Child* child, const PlacementResult& result);
  // Start-ups (start_ahead.cc).
  static bool TurnHasCome(const Child* child);
  void AssignAhead(ClusterSupervisor* sup);
  static void CountIn(const Child& child, std::vector<NodeView>* views);
  bool AssignNextAhead(Child* child, std::vector<NodeView>* views);
  void StartAhead(Child* child);
  bool UserWaits(const Child* child) const;
  void StartWaits(Child* child, bool waits);
  void SendStart(Child* child);
  void SendStart(Child* child, const SecondLife& life);
  // Two lives of an `available` child (second_life.cc).
  bool StartSecond(Child* child);
  bool IsSecond(const Child* child, const Member* member, uint64_t fence) const;
  void TakeSecondReport(Member* member, Child* child, const internal::v1::Report& report);
  void CompareSecond(Member* member, Child* child, const internal::v1::ChildStatus* status);
  void TakeOver(Child* child, const Pid& pid);
  void StopSecond(Child* child);
  void CancelSecond(Child* child);
  void DropSecond(Child* child);
  void BecomeSecond(Child* child);
  bool KeepOlder(Member* member, Child* child, const internal::v1::ChildStatus& status);
  void SendOrphanStop(Member* member, const std::vector<std::string>& path, uint64_t fence);
  // Nodes.
  void TakeReport(Member* member, Child* child, const internal::v1::Report& report);
  void Compare(Member* member, Child* child, const internal::v1::ChildStatus* status);
  bool NeedsProof(const Child* child) const;
  void ReplaceLost(Child* child);
  bool MayBlame(const Member& member) const;
  bool Poisoned(Child* child);
  bool MarkPoison(Child* child, absl::Time started);
  void RetryPending();
  void CountRestart(ClusterSupervisor* sup);
  void Emit(v1::SupervisorEvent::Kind kind, Child* child, const ExitReason* reason = nullptr,
            const Pid* previous = nullptr);

  Coordinator::Core* const core_;
  std::deque<std::function<void()>> work_;
  StartQueue<Child> queue_;        // wait for their turn
  std::set<std::string> pending_;  // path keys of those that no node fits
  std::deque<Instant> restarts_;
  std::map<std::string, Pid> previous_pids_;
  using Life = std::pair<uint32_t, uint32_t>;  // of a node: its number, its incarnation
  std::set<Life> blamed_;                      // whose end is known to be a certain child's doing
  // `available` children that were replaced while their node was only suspect, with when they had
  // started there: its end may still be their doing.
  std::map<Life, std::map<std::string, absl::Time>> replaced_;
  TokenBucket bucket_;
  TokenBucket brake_;
  uint64_t last_synthetic_ = 0;
  uint64_t pump_timer_ = 0;
  uint64_t pending_timer_ = 0;
  bool draining_ = false;
  StartPace pace_;
};

}  // namespace banyan
