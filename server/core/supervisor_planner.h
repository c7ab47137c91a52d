#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"

#include "common/time/clock.h"
#include "server/core/backoff.h"
#include "server/core/child_table.h"
#include "server/core/exit_classification.h"
#include "server/core/intensity.h"
#include "server/core/supervisor_action.h"

namespace banyan {

// All that a planner must remember to go on after a restart of its driver. Records in start order.
struct SupervisorSnapshot {
  struct Child {
    ChildKey key = kNoChild;
    std::shared_ptr<const ChildSpec> spec;
    ExtraArgs extra_args;
    ChildState state = ChildState::kUndefined;
    Pid pid;
    uint32_t restarts = 0;
    bool retry_counted = false;
    bool restarting = false;  // kStarting: as in ChildRecord
    bool retrying = false;
    bool op_start = false;
    bool op_new = false;
    uint32_t backoff_restarts = 0;  // its place in the series
    absl::Duration running_for;     // kRunning
  };
  // A start-up, group restart or shutdown under way.
  struct Script {
    enum class Kind : uint8_t { kNone = 0, kInit = 1, kGroup = 2, kShutdown = 3 };
    Kind kind = Kind::kNone;
    bool starting = false;  // kInit, kGroup: the stops are done; kShutdown: all stops are out
    ChildKey cause = kNoChild;
    std::vector<ChildKey> members;  // start order
    uint64_t position = 0;          // starting: the next to start; else: how many are left to stop
    ExitReason exit_reason;         // kShutdown
  };
  SupervisorFlags flags;
  std::shared_ptr<const ChildSpec> child_template;  // simple_one_for_one
  std::vector<Child> children;
  std::vector<absl::Duration> restart_ages;  // newest first
  uint64_t sequence = 0;
  Script script;
};

// What a supervisor decides: OTP 25's supervisor without processes, clocks or messages.
//
// Every event returns the actions that follow from it, in order; the driver performs them and
// reports the outcome of each Start, Stop, StopAll and ScheduleRetry as a further event.
//
//   * A local driver performs one action at a time and delivers no exit and no operation while
//   busy():
//     they wait in its mailbox. It then behaves as OTP does, message for message.
//   * A driver whose actions take long (the coordinator's reconciler) delivers every event as it
//   comes.
//     Under one_for_one and simple_one_for_one several children are in flight at once. Operations
//     and exits that OTP would have left in the mailbox are held back here and judged when their
//     turn comes; exits of members of a group restart are judged at once (a member not yet stopped
//     counts as stopped; a restartable one that ends while the group is being started is one more
//     counted restart). While the member at hand waits for room (OnStartWaits), which may take for
//     ever, the supervisor serves as OTP's does between two attempts.
//
// At most one Start or Stop is out for a child, save that a Stop may overtake its Start.
// Pure: no I/O, no clock reads; `now` rises. Not thread-safe. Not movable.
// Source: OTP 25.2.3 supervisor; spec/supervisor.md.
class SupervisorPlanner {
 public:
  struct Options {
    // Back-off of children whose spec has none; unset: retry at once, as OTP.
    std::optional<RestartBackoff> default_backoff;
    Random* random = nullptr;  // spreads back-off delays; outlives the planner; null: no spread
    bool parallel_stop =
        false;  // stop all children (or a group) at once rather than in reverse order
  };

  // `child_template`: kSimpleOneForOne only. Null: every start brings its own spec (kDynamic).
  SupervisorPlanner(const SupervisorFlags& flags, Options options,
                    std::shared_ptr<const ChildSpec> child_template = nullptr);
  ~SupervisorPlanner();
  SupervisorPlanner(const SupervisorPlanner&) = delete;
  SupervisorPlanner& operator=(const SupervisorPlanner&) = delete;

  // Starts `children` one after another. A failure stops those before it in reverse order and ends
  // with ExitSupervisor{{shutdown,{failed_to_start_child,Id,E}}}. Ids must be unique
  // (ValidateSpec). Once, first.
  SupervisorActions Init(std::vector<std::shared_ptr<const ChildSpec>> children, Instant now);
  // True from Init until every child of the start list has been started.
  bool initializing() const { return script_.kind == Script::Kind::kInit; }
  // While initializing: the child that the start list has come to.
  ChildKey at_hand() const {
    const bool any = initializing() && script_.position < script_.members.size();
    return any ? script_.members[script_.position] : kNoChild;
  }

  // -- Operations. Each is answered by exactly one OpReply (none if op is 0), now or later. The
  // spec is valid (ValidateSpec). Dynamic children are addressed by key: the driver maps a pid with
  // FindByPid.
  SupervisorActions StartChild(OpId op, std::shared_ptr<const ChildSpec> spec, Instant now);
  // `spec`: null for the template.
  SupervisorActions StartDynamicChild(OpId op, std::shared_ptr<const ChildSpec> spec,
                                      ExtraArgs extra_args, Instant now);
  SupervisorActions TerminateChild(OpId op, std::string_view id, Instant now);
  SupervisorActions TerminateChildByKey(OpId op, ChildKey key, Instant now);
  SupervisorActions RestartChild(OpId op, std::string_view id, Instant now);
  SupervisorActions DeleteChild(OpId op, std::string_view id, Instant now);

  // -- Outcomes. Those of keys and states that no longer expect them are ignored.
  SupervisorActions OnStarted(ChildKey key, const Pid& pid, Payload info, Instant now);
  SupervisorActions OnStartIgnored(ChildKey key, Instant now);
  SupervisorActions OnStartFailed(ChildKey key, const ExitReason& reason, Instant now);
  // The start is not under way: it waits until there is room (true), or no longer does (false).
  SupervisorActions OnStartWaits(ChildKey key, bool waits, Instant now);
  SupervisorActions OnStopped(ChildKey key, const ExitReason& reason, Instant now);
  SupervisorActions OnRetry(ChildKey key, Instant now);

  // -- The child ended by itself. Where a Stop is out for it, this counts as its OnStopped: report
  // one of the two, not both. `counted` false: the restart is none of the child's doing (its node
  // was lost), so it is not held against the intensity.
  SupervisorActions OnExited(ChildKey key, const ExitReason& reason, Instant now,
                             bool counted = true);
  // The driver ended the child in order to start it elsewhere (drain, rebalance): it is started
  // again alone, uncounted and unreported, whatever its restart type and the strategy.
  SupervisorActions OnMoved(ChildKey key, Instant now);
  // A running child goes on as another process, which the driver started beside the old one.
  void OnReplaced(ChildKey key, const Pid& pid);

  // Stops all children and ends with ExitSupervisor{reason}. Overrides whatever is under way; a
  // shutdown already begun goes on with its own reason.
  SupervisorActions BeginShutdown(const ExitReason& reason, Instant now);

  // Specs updated in place (code change): flags replaced, history kept; specs of known ids
  // replaced, new ids added without starting them, ids not named kept after the named ones in the
  // start order. Children are not touched. False: a change from or to a strategy with dynamic
  // children is refused. `children`: the template alone for kSimpleOneForOne. Only while !busy().
  bool Update(const SupervisorFlags& flags,
              const std::vector<std::shared_ptr<const ChildSpec>>& children);

  // -- Queries.
  // A start-up, group restart, shutdown or single action is under way: OTP's supervisor would serve
  // nothing.
  bool busy() const;
  bool shutting_down() const { return script_.kind == Script::Kind::kShutdown || exited_; }
  bool exited() const { return exited_; }
  const ChildTable& children() const { return table_; }
  const ChildRecord* Find(ChildKey key) const { return table_.Find(key); }
  const ChildRecord* FindById(std::string_view id) const { return table_.FindById(id); }
  const ChildRecord* FindByPid(const Pid& pid) const { return table_.FindByPid(pid); }
  const SupervisorFlags& flags() const { return flags_; }
  // How many restarts its back-off has counted in a row.
  uint32_t BackoffRestarts(ChildKey key) const;
  // Has dynamic children: kSimpleOneForOne, kDynamic.
  bool simple() const { return flags_.dynamic(); }
  const std::shared_ptr<const ChildSpec>& child_template() const { return template_; }
  // OTP's count_children. `alive`, where given, is asked for each child with a process (not for
  // dynamic children, which OTP does not check either).
  ChildCounts Count(const std::function<bool(const Pid&)>& alive = nullptr) const;

  // -- Persistence. Operations not yet answered are not part of a snapshot.
  SupervisorSnapshot Snapshot(Instant now) const;
  // The same without the children; what it costs does not depend on how many there are.
  SupervisorSnapshot SnapshotHead(Instant now) const;
  // Rises when that changes, save with new keys and with the steps of a script under way.
  uint64_t head_version() const { return window_.added() + scripts_ended_; }
  // A start-up, group restart or shutdown is under way.
  bool scripted() const { return script_.kind != Script::Kind::kNone; }
  // Into a fresh planner. Resume() then repeats every action that is still out: Start and Stop of
  // children in flight (the driver compares with what is really there) and the retries.
  void Restore(const SupervisorSnapshot& snapshot, Instant now);
  SupervisorActions Resume(Instant now);

 private:
  using Script = SupervisorSnapshot::Script;
  // One event being handled.
  struct Turn {
    Instant now;
    SupervisorActions out;
  };
  using Held = std::function<void(Turn&)>;
  struct PendingOp {
    OpId op;
    bool terminate;  // else start_child or restart_child
  };

  // Runs one event and then whatever it lets go on.
  SupervisorActions Handle(Instant now, absl::FunctionRef<void(Turn&)> event);
  void Proceed(Turn& t);
  // Events of children outside the script, and operations, must wait.
  bool Blocked() const;
  bool grouping() const;  // one_for_all or rest_for_one

  // Records.
  void SetState(ChildRecord* r, ChildState state);
  void StartRecord(Turn& t, ChildRecord* r);
  void StopRecord(Turn& t, ChildRecord* r);
  void DropProcess(Turn& t, ChildRecord* r);
  void RemoveRecord(Turn& t, ChildRecord* r);
  void ForgetArguments(ChildRecord* r);
  const RestartBackoff* BackoffOf(const ChildRecord* r) const;
  bool StopMustBeReported(const ChildRecord* r, const ExitReason& reason) const;

  // Operations.
  void Reply(Turn& t, OpId op, OpResult result);
  void ReplyPending(Turn& t, ChildKey key, bool terminate, const OpResult& result);
  void ReplyAllPending(Turn& t, ChildKey key);
  void DoStartChild(Turn& t, OpId op, std::shared_ptr<const ChildSpec> spec);
  void DoStartDynamicChild(Turn& t, OpId op, std::shared_ptr<const ChildSpec> spec,
                           ExtraArgs extra_args);
  void StartNewRecord(Turn& t, OpId op, ChildRecord* r);
  void DoTerminateId(Turn& t, OpId op, const std::string& id);
  void DoTerminate(Turn& t, OpId op, ChildKey key);
  void TerminateRecord(Turn& t, OpId op, ChildRecord* r);
  void DoRestartChild(Turn& t, OpId op, const std::string& id);
  void DoDeleteChild(Turn& t, OpId op, const std::string& id);

  // Exits and restarts.
  void DoStarted(Turn& t, ChildRecord* r, const Pid& pid, Payload info);
  void DoStartFailed(Turn& t, ChildRecord* r, const ExitReason& reason);
  void DoStopped(Turn& t, ChildRecord* r, const ExitReason& reason);
  void DoExited(Turn& t, ChildKey key, const Pid& pid, const ExitReason& reason, bool counted);
  void DoMoved(Turn& t, ChildKey key, const Pid& pid);
  void DoRetry(Turn& t, ChildKey key);
  void JudgeExit(Turn& t, ChildRecord* r, const ExitReason& reason, bool counted);
  void RestartEvent(Turn& t, ChildRecord* r, bool counted);
  void PerformRestart(Turn& t, ChildRecord* r);
  void AwaitRetry(Turn& t, ChildRecord* r);
  void GiveUp(Turn& t, ChildRecord* r);
  void CheckAutoShutdown(Turn& t, bool significant);

  // Specs.
  void UpdateTemplate(std::shared_ptr<const ChildSpec> spec);
  void UpdateChildren(const std::vector<std::shared_ptr<const ChildSpec>>& children);

  // Scripts.
  bool IsStartingMember(const ChildRecord* r) const;
  // A group restart has come to a member that waits for room.
  bool GroupWaits() const;
  // The group restart under way will start it: it does the stops yet, or has not come to it.
  bool GroupStarts(const ChildRecord* r) const;
  // The group restart under way has yet to start it.
  bool AwaitsTurn(const ChildRecord* r) const;
  void LeaveGroup(ChildRecord* r);
  void BeginGroup(Turn& t, ChildRecord* cause);
  void EndScript();
  void AbandonGroup(Turn& t, const ChildRecord* r);
  void GroupStartFailed(Turn& t, ChildRecord* r, const ExitReason& reason);
  void StartShutdown(Turn& t, const ExitReason& reason);
  void StepStopping(Turn& t);
  void StepStarting(Turn& t);
  void StepShutdown(Turn& t);
  bool StopMembers(Turn& t);
  void StopEverything(Turn& t);
  void FinishShutdown(Turn& t);

  const Options options_;
  SupervisorFlags flags_;
  std::shared_ptr<const ChildSpec> template_;
  ChildTable table_;
  RestartWindow window_;
  Script script_;
  std::deque<Held> held_;  // events that wait for their turn
  absl::flat_hash_map<ChildKey, std::vector<PendingOp>> pending_;
  absl::flat_hash_map<ChildKey, BackoffState> backoff_;  // children with back-off only
  // Dynamic children's abnormal stop reasons during a shutdown, with how many ended so.
  std::vector<std::pair<ExitReason, uint32_t>> stop_errors_;
  uint64_t in_flight_ = 0;           // records kStarting or kStopping
  uint64_t waiting_ = 0;             // those of them that wait for room
  uint64_t restarting_ = 0;          // records kRestarting
  uint64_t processes_ = 0;           // records kRunning or kStopping
  uint64_t significant_active_ = 0;  // significant records not kUndefined
  uint64_t scripts_ended_ = 0;
  bool exited_ = false;
};

}  // namespace banyan
