// What planners want done: actions, and the outcomes that go back.
#include "server/coordinator/reconciler.h"

#include <utility>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/mutant.h"
#include "server/coordinator/core.h"
#include "server/coordinator/snapshot.h"

namespace banyan {

using Event = v1::SupervisorEvent;

void Reconciler::Start() {
  std::vector<ClusterSupervisor*> all;
  core_->tree.ForEach([&](ClusterSupervisor* sup) { all.push_back(sup); });
  for (ClusterSupervisor* sup : all) {
    for (auto& [key, child] : sup->children) {
      const auto name_of = [this](uint32_t node_id) {
        const Member* member = core_->members.FindById(node_id);
        return member != nullptr ? member->name() : "";
      };
      if (child->second) {
        SecondLife& second = *child->second;
        second.node = name_of(second.node_id);
        Member* member = core_->members.FindLive(second.node_id, second.incarnation);
        member != nullptr ? Reserve(child.get(), member) : child->second.reset();
      }
      if (child->assigned == Assigned::kNone) continue;
      child->node = name_of(child->node_id);
      if (Member* member = core_->members.FindLive(child->node_id, child->incarnation)) {
        Reserve(child.get(), member);
      } else {
        CountOn(child.get(), child->node, true);
      }
    }
  }
  for (ClusterSupervisor* sup : all) {
    if (sup->failed || sup->gone) continue;
    const std::vector<Child*> unjudged = Unjudged(sup);
    Perform(sup, sup->planner->Resume(core_->now()));
    if (Mutant("exits-forgotten-at-failover")) continue;
    for (Child* child : unjudged) JudgeAgain(child);
  }
  // Deaths that were recorded and not yet acted on.
  for (ClusterSupervisor* sup : all) {
    std::vector<Child*> lost;
    for (auto& [key, child] : sup->children) {
      const bool placed =
          child->assigned != Assigned::kNone && child->assigned != Assigned::kQueued;
      const bool over = core_->members.FindLive(child->node_id, child->incarnation) == nullptr ||
                        Mutant("reassign-before-resync");
      if (placed && over && !NeedsProof(child.get())) {
        lost.push_back(child.get());
      }
    }
    for (Child* child : lost) Over(child, ExitReason::NoConnection());
  }
}

// Children whose end is on record and was not judged: the planner had put it off, because starts or
// stops were under way, when the coordinator ended.
std::vector<Child*> Reconciler::Unjudged(ClusterSupervisor* sup) const {
  std::vector<Child*> out;
  for (const auto& [key, child] : sup->children) {
    const ChildRecord* record = sup->planner->Find(key);
    const bool over = child->assigned == Assigned::kNone && child->nested == nullptr;
    const bool up = record != nullptr && record->state == ChildState::kRunning;
    if (over && up && child->pending_reason != "poison") out.push_back(child.get());
  }
  return out;
}

void Reconciler::JudgeAgain(Child* child) {
  const ExitReason reason = child->last_exit.value_or(ExitReason::NoConnection());
  const bool moved = child->spec->supervisor == nullptr && child->previous_node.empty();
  const bool counted = reason.kind() != ExitReason::Kind::kNoConnection;
  Later(child->supervisor, [this, key = child->key, reason, moved, counted](SupervisorPlanner& p) {
    return moved ? p.OnMoved(key, core_->now()) : p.OnExited(key, reason, core_->now(), counted);
  });
}

void Reconciler::Later(ClusterSupervisor* sup,
                       std::function<SupervisorActions(SupervisorPlanner&)> event) {
  work_.push_back([this, sup, event = std::move(event)] {
    if (sup->gone || sup->planner->exited()) return;
    Perform(sup, event(*sup->planner));
  });
}

void Reconciler::Drain() {
  if (draining_) return;
  draining_ = true;
  do {
    while (!work_.empty()) {
      auto next = std::move(work_.front());
      work_.pop_front();
      next();
    }
    Pump();
  } while (!work_.empty());
  draining_ = false;
}

void Reconciler::Begin(ClusterSupervisor* sup,
                       std::vector<std::shared_ptr<const ChildSpec>> children) {
  SupervisorActions actions = sup->planner->Init(std::move(children), core_->now());
  const ChildTable& table = sup->planner->children();
  for (const ChildRecord* r = table.First(); r != nullptr; r = table.Next(r)) {
    Child* child = core_->tree.Ensure(sup, *r);
    core_->tree.Touch(child);
    core_->names.ReserveForChild(child);
  }
  Perform(sup, std::move(actions));
}

void Reconciler::Perform(ClusterSupervisor* sup, SupervisorActions actions) {
  for (SupervisorAction& a : actions) {
    if (sup->gone) return;
    if (auto* start = std::get_if<action::Start>(&a)) {
      DoStart(sup, start->key);
    } else if (auto* stop = std::get_if<action::Stop>(&a)) {
      DoStop(sup, stop->key, stop->policy);
    } else if (auto* all = std::get_if<action::StopAll>(&a)) {
      for (ChildKey key : all->keys) {
        const ChildRecord* record = sup->planner->Find(key);
        if (record != nullptr) DoStop(sup, key, record->spec->shutdown_or_default());
      }
    } else if (auto* retry = std::get_if<action::ScheduleRetry>(&a)) {
      DoRetryLater(sup, retry->key, retry->delay);
    } else if (auto* forget = std::get_if<action::Forget>(&a)) {
      DoForget(sup, forget->key);
    } else if (auto* dropped = std::get_if<action::Dropped>(&a)) {
      // Else a child that was terminated between two lives would come back under the next leader.
      const auto it = sup->children.find(dropped->key);
      if (it == sup->children.end()) continue;
      if (it->second->ahead != Ahead::kNo) Release(it->second.get());
      core_->tree.Touch(it->second.get());
    } else if (auto* report = std::get_if<action::Report>(&a)) {
      DoReport(sup, report->report);
    } else if (auto* reply = std::get_if<action::OpReply>(&a)) {
      core_->operations.OnReply(reply->op, reply->result);
    } else if (auto* exit = std::get_if<action::ExitSupervisor>(&a)) {
      return DoExit(sup, exit->reason);
    }
  }
  AfterEvent(sup);
}

// The supervisor is up when its start list has been worked off.
void Reconciler::AfterEvent(ClusterSupervisor* sup) {
  if (sup->gone || sup->failed) return;
  if (sup->planner->initializing()) {
    core_->tree.TouchHeaderLazily(sup);
    // One that an earlier term had assigned ahead has no other sign that its turn has come.
    const auto it = sup->children.find(sup->planner->at_hand());
    if (it != sup->children.end() && it->second->ahead != Ahead::kNo) StartAhead(it->second.get());
    return;
  }
  // Scripts and restart history are part of the record.
  core_->tree.TouchHeaderIfChanged(sup);
  if (sup->started || sup->planner->shutting_down()) return;
  sup->started = true;
  sup->user_waits = false;
  core_->tree.TouchHeader(sup);
  core_->events.AddSupervisor(Event::KIND_SUPERVISOR_STARTED, sup, nullptr);
  if (sup->parent != nullptr) {
    Child* child = sup->parent;
    child->assigned = Assigned::kRunning;
    child->start_time = core_->wall();
    child->pid = Pid{kCoordinatorNodeId, core_->epoch, ++last_synthetic_};
    core_->tree.Touch(child);
    Later(child->supervisor, [this, key = child->key, pid = child->pid](SupervisorPlanner& p) {
      return p.OnStarted(key, pid, {}, core_->now());
    });
  }
  core_->operations.OnSupervisorStarted(sup);
}

// ------------------------------------------------------------------- actions

void Reconciler::DoStart(ClusterSupervisor* sup, ChildKey key) {
  const ChildRecord* record = sup->planner->Find(key);
  if (record == nullptr) return;
  Child* child = core_->tree.Ensure(sup, *record);
  if (child->ahead != Ahead::kNo) {
    if (TurnHasCome(child)) StartAhead(child);
    return;
  }
  child->spec = record->spec;
  child->retry_at = Instant();
  core_->tree.Touch(child);
  core_->names.ReserveForChild(child);
  if (record->restarting) CountRestart(sup);
  if (child->spec->supervisor != nullptr) return StartNested(child);
  // After a restart of the coordinator an assignment may stand: its node will tell.
  if (child->assigned != Assigned::kNone) return;
  if (TurnHasCome(child)) return Enqueue(child);
  child->ahead = Ahead::kUnplaced;
}

void Reconciler::StartNested(Child* child) {
  if (child->nested != nullptr) {
    // Resumed: it is up already, or gets there by itself.
    if (child->nested->started && !child->nested->planner->shutting_down()) {
      child->nested->started = false;
      AfterEvent(child->nested.get());
    }
    return;
  }
  child->assigned = Assigned::kStarting;
  ClusterSupervisor* nested = core_->tree.AddNested(child);
  nested->user_waits = UserWaits(child);
  std::vector<std::shared_ptr<const ChildSpec>> children;
  for (const ChildSpec& spec : child->spec->supervisor->children) {
    children.push_back(std::make_shared<const ChildSpec>(spec));
  }
  Begin(nested, std::move(children));
}

void Reconciler::DoStop(ClusterSupervisor* sup, ChildKey key, const ShutdownPolicy& policy) {
  auto it = sup->children.find(key);
  Child* child = it == sup->children.end() ? nullptr : it->second.get();
  const auto over = [this, sup, key](ExitReason reason) {
    Later(sup, [this, key, reason = std::move(reason)](SupervisorPlanner& p) {
      return p.OnStopped(key, reason, core_->now());
    });
  };
  if (child == nullptr) return over(ExitReason::Shutdown());
  core_->tree.Touch(child);
  if (child->ahead != Ahead::kNo) Release(child);
  if (child->nested != nullptr) {
    child->assigned = Assigned::kStopping;
    ClusterSupervisor* nested = child->nested.get();
    return Later(nested, [this](SupervisorPlanner& p) {
      return p.BeginShutdown(ExitReason::Shutdown(), core_->now());
    });
  }
  switch (child->assigned) {
    case Assigned::kNone:
    case Assigned::kQueued:
      Unqueue(child);
      return over(child->last_exit.value_or(ExitReason::Shutdown()));
    case Assigned::kStarting:
    case Assigned::kRunning:
    case Assigned::kStopping:
      child->kill = policy.brutal_kill;
      child->moving = false;
      child->assigned = Assigned::kStopping;
      if (child->second) StopSecond(child);  // it is stopped when both are over
      core_->Cancel(std::exchange(child->lost_timer, 0));
      core_->operations.OnStopOrdered(child);
      SendStopWhenStored(child);
  }
}

void Reconciler::DoRetryLater(ClusterSupervisor* sup, ChildKey key, absl::Duration delay) {
  auto it = sup->children.find(key);
  if (it == sup->children.end()) return;
  Child* child = it->second.get();
  core_->Cancel(child->retry_timer);
  child->retry_timer = 0;
  core_->tree.Touch(child);
  if (delay == absl::ZeroDuration()) {
    return Later(sup, [this, key](SupervisorPlanner& p) { return p.OnRetry(key, core_->now()); });
  }
  child->retry_at = core_->now() + delay;
  child->retry_timer = core_->After(delay, [this, path = child->path_key] {
    Child* c = core_->tree.FindChild(path);
    if (c == nullptr || c->supervisor->planner->exited()) return;
    c->retry_timer = 0;
    Perform(c->supervisor, c->supervisor->planner->OnRetry(c->key, core_->now()));
  });
}

void Reconciler::DoForget(ClusterSupervisor* sup, ChildKey key) {
  auto it = sup->children.find(key);
  if (it == sup->children.end()) return;
  Emit(Event::KIND_CHILD_DELETED, it->second.get());
  ForgetChild(it->second.get());
}

void Reconciler::ForgetChild(Child* child) {
  Unqueue(child);
  if (child->second) CancelSecond(child);
  Release(child);
  previous_pids_.erase(child->path_key);
  core_->names.OnChildGone(child);
  core_->resolver.OnChildGone(child);
  core_->tree.RemoveChild(child);
}

void Reconciler::DoReport(ClusterSupervisor* sup, const SupervisorReport& report) {
  if (report.context != SupervisorReport::Context::kShutdown) return;
  core_->events.AddSupervisor(Event::KIND_INTENSITY_EXCEEDED, sup, &report.reason);
}

// All children are over.
void Reconciler::DoExit(ClusterSupervisor* sup, const ExitReason& reason) {
  core_->events.AddSupervisor(Event::KIND_SUPERVISOR_EXITED, sup, &reason);
  if (sup->parent != nullptr) {
    Child* child = sup->parent;
    ClusterSupervisor* parent = child->supervisor;
    const bool was_up = sup->started;
    const bool stopped = child->assigned == Assigned::kStopping;
    const ChildKey key = child->key;
    core_->operations.OnSupervisorExited(sup, reason);
    core_->tree.RemoveSupervisor(sup);
    child->assigned = Assigned::kNone;
    child->last_exit = reason;
    child->last_exit_time = core_->wall();
    core_->tree.Touch(child);
    return Later(parent, [=, this](SupervisorPlanner& p) {
      if (stopped) return p.OnStopped(key, reason, core_->now());
      if (was_up) return p.OnExited(key, reason, core_->now());
      return p.OnStartFailed(key, reason, core_->now());
    });
  }
  const bool vanishes = sup->stopping || sup->user_waits;
  sup->exit_reason = reason;
  core_->operations.OnSupervisorExited(sup, reason);
  if (vanishes) return core_->tree.RemoveSupervisor(sup);
  sup->failed = true;
  core_->tree.TouchHeader(sup);
  for (auto& [key, child] : sup->children) core_->resolver.OnChildDown(child.get());
}

void Reconciler::StopRoot(ClusterSupervisor* sup, const ExitReason& reason) {
  sup->stopping = true;
  core_->tree.TouchHeader(sup);
  if (sup->failed || sup->planner->exited()) return DoExit(sup, sup->exit_reason.value_or(reason));
  Perform(sup, sup->planner->BeginShutdown(reason, core_->now()));
}

void Reconciler::RestartRoot(ClusterSupervisor* sup) {
  std::vector<std::shared_ptr<const ChildSpec>> specs;
  const ChildTable& table = sup->planner->children();
  for (const ChildRecord* r = table.First(); r != nullptr; r = table.Next(r))
    specs.push_back(r->spec);
  while (!sup->children.empty()) ForgetChild(sup->children.begin()->second.get());
  sup->failed = false;
  sup->started = false;
  sup->exit_reason.reset();
  core_->tree.MakePlanner(sup);
  Begin(sup, std::move(specs));
}

// ------------------------------------------------------------------ outcomes

void Reconciler::Started(Child* child, const Pid& pid, Payload info) {
  Member* member = core_->members.FindLive(child->node_id, child->incarnation);
  if (member != nullptr && child->waits_init && member->starts_in_flight > 0)
    --member->starts_in_flight;
  child->waits_init = false;
  pace_.Note(false, core_->now());
  if (member != nullptr) member->recent_start_failures = 0;
  child->pid = pid;
  if (child->assigned == Assigned::kStopping) return;  // the stop that overtook it counts
  child->assigned = Assigned::kRunning;
  child->start_time = core_->wall();
  child->running_since = core_->now();
  child->hand_off = {};
  // Who was told that it runs must not lose it if it cannot be started again. Of a start-up nobody
  // is told before the end.
  child->supervisor->planner->initializing() ? core_->tree.TouchLazily(child)
                                             : core_->tree.Touch(child);
  core_->names.OnChildStarted(child);
  core_->resolver.OnChildStarted(child);
  const ChildRecord* record = child->supervisor->planner->Find(child->key);
  const bool again = record != nullptr && (record->restarting || child->starts > 1);
  auto previous = previous_pids_.find(child->path_key);
  Emit(again ? Event::KIND_CHILD_RESTARTED : Event::KIND_CHILD_STARTED, child, nullptr,
       previous == previous_pids_.end() ? nullptr : &previous->second);
  previous_pids_[child->path_key] = pid;
  Later(child->supervisor, [this, key = child->key, pid, info](SupervisorPlanner& p) {
    return p.OnStarted(key, pid, info, core_->now());
  });
  core_->cluster_requests.PokeDrains();
}

// The assignment has ended with the life of its node; not the child's doing.
void Reconciler::Over(Child* child, const ExitReason& reason) {
  switch (child->assigned) {
    case Assigned::kNone:
    case Assigned::kQueued:
      return;
    case Assigned::kStarting:
      return StartAgain(child);
    case Assigned::kRunning:
      return Exited(child, reason, Cause::kNodeLost);
    case Assigned::kStopping:
      return Stopped(child, reason);
  }
}

void Reconciler::StartFailed(Child* child, const ExitReason& reason) {
  if (child->assigned == Assigned::kStopping) return Stopped(child, reason);
  pace_.Note(true, core_->now());
  if (Member* member = core_->members.FindLive(child->node_id, child->incarnation)) {
    ++member->recent_start_failures;
  }
  child->last_exit = reason;
  child->last_exit_time = core_->wall();
  Emit(Event::KIND_CHILD_START_FAILED, child, &reason);
  last_failures[child->path_key] = reason;
  if (last_failures.size() > 1000) last_failures.clear();
  Release(child);
  core_->tree.Touch(child);
  Later(child->supervisor, [this, key = child->key, reason](SupervisorPlanner& p) {
    return p.OnStartFailed(key, reason, core_->now());
  });
  core_->resolver.OnChildDown(child);
}

void Reconciler::Exited(Child* child, const ExitReason& reason, Cause cause) {
  if (child->assigned == Assigned::kStopping) return Stopped(child, reason);
  const bool counted = cause == Cause::kOwn;
  if (child->second && !child->second->outgoing) CancelSecond(child);
  child->last_exit = reason;
  child->last_exit_time = core_->wall();
  Emit(Event::KIND_CHILD_EXITED, child, &reason);
  const bool poisoned = cause == Cause::kPoison || (cause == Cause::kNodeLost && Poisoned(child));
  const bool was_starting = child->assigned == Assigned::kStarting;
  const Pid pid = child->pid;
  child->previous_node = child->node;
  Release(child);
  core_->tree.Touch(child);
  core_->names.OnChildDown(child);
  if (was_starting) {
    // It came up and ended before it could say so.
    Later(child->supervisor, [this, key = child->key, pid](SupervisorPlanner& p) {
      return p.OnStarted(key, pid, {}, core_->now());
    });
  }
  if (poisoned) {
    child->pending_reason = "poison";
    Emit(Event::KIND_CHILD_FAILED, child, &reason);
    core_->cluster_events.AddAlarm(
        fmt::format("child {} is given up: {} nodes were lost shortly after it had started there",
                    child->path_key, child->poison_marks.size()));
    return core_->resolver.OnChildDown(child);  // it stays down until somebody restarts it
  }
  Later(child->supervisor, [this, key = child->key, reason, counted](SupervisorPlanner& p) {
    return p.OnExited(key, reason, core_->now(), counted || Mutant("node-loss-counts"));
  });
  core_->resolver.OnChildDown(child);
}

void Reconciler::Stopped(Child* child, const ExitReason& reason) {
  const bool moved = child->moving;
  if (child->second && !moved) return BecomeSecond(child);
  child->last_exit = reason;
  child->last_exit_time = core_->wall();
  Emit(moved ? Event::KIND_CHILD_MOVED : Event::KIND_CHILD_TERMINATED, child, &reason);
  child->previous_node = moved ? "" : child->node;
  Release(child);
  child->moving = false;
  core_->tree.Touch(child);
  core_->names.OnChildDown(child);
  Later(child->supervisor, [this, key = child->key, reason, moved](SupervisorPlanner& p) {
    return moved ? p.OnMoved(key, core_->now()) : p.OnStopped(key, reason, core_->now());
  });
  core_->resolver.OnChildDown(child);
}

// The start came to nothing without the child's doing: another one, elsewhere, with a new fence.
void Reconciler::StartAgain(Child* child) {
  child->previous_node = "";
  Release(child);
  core_->tree.Touch(child);
  if (TurnHasCome(child)) return Enqueue(child);
  child->ahead = Ahead::kUnplaced;
}

void Reconciler::CountRestart(ClusterSupervisor* sup) {
  restarts_.push_back(core_->now());
  while (restarts_.size() > 100'000) restarts_.pop_front();
}

uint64_t Reconciler::restarts_last_minute() {
  while (!restarts_.empty() && core_->now() - restarts_.front() > absl::Minutes(1))
    restarts_.pop_front();
  return restarts_.size();
}

void Reconciler::Emit(v1::SupervisorEvent::Kind kind, Child* child, const ExitReason* reason,
                      const Pid* previous) {
  core_->events.AddChild(kind, child, reason, previous);
}

}  // namespace banyan
