// What starts, stops and exits of children lead to, outside the scripts that take several steps.
#include <utility>

#include "server/core/supervisor_planner.h"

namespace banyan {
namespace {

using Context = SupervisorReport::Context;

SupervisorReport ReportOn(const ChildRecord* r, Context context, ExitReason reason = {}) {
  return {.context = context,
          .reason = std::move(reason),
          .key = r->key,
          .spec = r->spec,
          .pid = r->pid};
}

}  // namespace

void SupervisorPlanner::DoStarted(Turn& t, ChildRecord* r, const Pid& pid, Payload info) {
  if (r->restarting) ++r->restarts;
  table_.SetPid(r, pid);
  SetState(r, ChildState::kRunning);
  if (BackoffOf(r) != nullptr) backoff_[r->key].OnStarted(t.now);
  // OTP's progress reports leave out dynamic children.
  if (!simple()) t.out.push_back(action::Report{ReportOn(r, Context::kProgress)});
  ForgetArguments(r);
  r->restarting = r->retrying = r->op_start = r->op_new = r->retry_counted = false;
  ReplyPending(t, r->key, false, {.key = r->key, .pid = pid, .info = std::move(info)});
}

void SupervisorPlanner::DoStartFailed(Turn& t, ChildRecord* r, const ExitReason& reason) {
  if (r->op_start) {
    const OpResult failed{.code = OpResult::Code::kStartFailed, .key = r->key, .reason = reason};
    ReplyPending(t, r->key, false, failed);
    // restart_child keeps the record, start_child does not.
    if (r->op_new) return RemoveRecord(t, r);
    r->op_start = false;
    return SetState(r, ChildState::kUndefined);
  }
  // Of a start-up that was resumed, one may be ahead of what is known of those before it.
  if (IsStartingMember(r) || initializing()) return GroupStartFailed(t, r, reason);
  SupervisorReport report = ReportOn(r, Context::kStartError, reason);
  report.restarting = r->retrying;
  t.out.push_back(action::Report{std::move(report)});
  AwaitRetry(t, r);
}

// A restart failed. Without back-off the retry is counted when it is handled, as OTP does; with it
// now, since the delay must not dilute the window.
void SupervisorPlanner::AwaitRetry(Turn& t, ChildRecord* r) {
  SetState(r, ChildState::kRestarting);
  if (BackoffOf(r) != nullptr) return RestartEvent(t, r, true);
  r->retry_counted = false;
  t.out.push_back(action::ScheduleRetry{r->key, absl::ZeroDuration()});
}

bool SupervisorPlanner::StopMustBeReported(const ChildRecord* r, const ExitReason& reason) const {
  const ShutdownPolicy policy = r->spec->shutdown_or_default();
  if (flags_.strategy == Strategy::kDynamic) {
    if (policy.brutal_kill) return reason.kind() != ExitReason::Kind::kKilled;
    if (reason.is_shutdown()) return false;
  }
  return StopIsAbnormal(policy, r->spec->restart, reason);
}

void SupervisorPlanner::DoStopped(Turn& t, ChildRecord* r, const ExitReason& reason) {
  if (StopMustBeReported(r, reason)) {
    if (template_ != nullptr && shutting_down()) {
      auto it = stop_errors_.begin();
      while (it != stop_errors_.end() && !(it->first == reason)) ++it;
      if (it == stop_errors_.end()) it = stop_errors_.insert(it, {reason, 0});
      ++it->second;
    } else {
      t.out.push_back(action::Report{ReportOn(r, Context::kShutdownError, reason)});
    }
  }
  ReplyPending(t, r->key, true, {.key = r->key, .ended = reason});
  DropProcess(t, r);
}

void SupervisorPlanner::DoExited(Turn& t, ChildKey key, const Pid& pid, const ExitReason& reason,
                                 bool counted) {
  ChildRecord* r = table_.Find(key);
  // Held back meanwhile and overtaken: OTP drops the exit of a pid it no longer knows.
  if (r == nullptr || r->pid != pid || !r->has_process()) return;
  if (r->state == ChildState::kStopping || shutting_down()) return DoStopped(t, r, reason);
  if (script_.kind == Script::Kind::kGroup) {
    if (!script_.starting && r->in_group) return DoStopped(t, r, reason);
    // An operation is under way while the group waits: one after the other.
    if (!GroupWaits() || !Blocked()) return JudgeExit(t, r, reason, counted);
  }
  if (Blocked()) {
    held_.push_back([=, this](Turn& later) { DoExited(later, key, pid, reason, counted); });
    return;
  }
  JudgeExit(t, r, reason, counted);
}

void SupervisorPlanner::JudgeExit(Turn& t, ChildRecord* r, const ExitReason& reason, bool counted) {
  const ExitDecision decision = ClassifyExit(r->spec->restart, reason);
  if (decision.report)
    t.out.push_back(action::Report{ReportOn(r, Context::kChildTerminated, reason)});
  if (decision.restart) return RestartEvent(t, r, counted);
  const bool significant = r->spec->significant;
  DropProcess(t, r);
  CheckAutoShutdown(t, significant);
}

// `r` is to be started again: it exited, or its last start failed under back-off.
void SupervisorPlanner::RestartEvent(Turn& t, ChildRecord* r, bool counted) {
  if (counted && !window_.Add(t.now)) return GiveUp(t, r);
  absl::Duration delay = absl::ZeroDuration();
  if (const RestartBackoff* backoff = BackoffOf(r); backoff != nullptr) {
    delay = backoff_[r->key].Next(*backoff, t.now, options_.random);
  }
  if (delay == absl::ZeroDuration()) return PerformRestart(t, r);
  SetState(r, ChildState::kRestarting);
  r->retry_counted = true;
  t.out.push_back(action::ScheduleRetry{r->key, delay});
}

void SupervisorPlanner::PerformRestart(Turn& t, ChildRecord* r) {
  if (grouping()) return BeginGroup(t, r);
  r->restarting = true;
  r->retrying = r->state == ChildState::kRestarting;
  StartRecord(t, r);
}

void SupervisorPlanner::DoRetry(Turn& t, ChildKey key) {
  ChildRecord* r = table_.Find(key);
  if (shutting_down() || r == nullptr || r->state != ChildState::kRestarting) return;
  if (GroupWaits() && AwaitsTurn(r)) return;  // the group is its retry
  if (Blocked()) {
    held_.push_back([this, key](Turn& later) { DoRetry(later, key); });
    return;
  }
  const bool counted_before = r->retry_counted;
  r->retry_counted = false;
  if (!counted_before && !window_.Add(t.now)) return GiveUp(t, r);
  PerformRestart(t, r);
}

void SupervisorPlanner::DoMoved(Turn& t, ChildKey key, const Pid& pid) {
  ChildRecord* r = table_.Find(key);
  if (shutting_down() || r == nullptr || r->pid != pid || r->state != ChildState::kRunning) return;
  if (Blocked()) {
    held_.push_back([this, key, pid](Turn& later) { DoMoved(later, key, pid); });
    return;
  }
  StartRecord(t, r);
}

// One restart too many.
void SupervisorPlanner::GiveUp(Turn& t, ChildRecord* r) {
  SupervisorReport report =
      ReportOn(r, Context::kShutdown, ExitReason::Error(kReachedMaxRestartIntensity));
  report.restarting = r->state == ChildState::kRestarting;
  t.out.push_back(action::Report{std::move(report)});
  DropProcess(t, r);
  StartShutdown(t, ExitReason::Shutdown());
}

// After an exit of its own that is not followed by a restart.
void SupervisorPlanner::CheckAutoShutdown(Turn& t, bool significant) {
  if (!significant || flags_.auto_shutdown == AutoShutdown::kNever) return;
  if (flags_.auto_shutdown == AutoShutdown::kAllSignificant) {
    const bool others = simple() ? !table_.empty() : significant_active_ > 0;
    if (others) return;
  }
  StartShutdown(t, ExitReason::Shutdown());
}

}  // namespace banyan
