#include "server/core/supervisor_planner.h"

#include <utility>

#include "common/base/check.h"

namespace banyan {
namespace {

static_assert(sizeof(ChildRecord) <= 64, "a simple_one_for_one may have a million of these");

}  // namespace

SupervisorPlanner::SupervisorPlanner(const SupervisorFlags& flags, Options options,
                                     std::shared_ptr<const ChildSpec> child_template)
    : options_(std::move(options)),
      flags_(flags),
      template_(std::move(child_template)),
      table_(!flags.dynamic()),
      window_(flags.intensity, flags.period) {}

SupervisorPlanner::~SupervisorPlanner() = default;

SupervisorActions SupervisorPlanner::Handle(Instant now, absl::FunctionRef<void(Turn&)> event) {
  Turn t{now, {}};
  if (!exited_) {
    event(t);
    Proceed(t);
  }
  return std::move(t.out);
}

void SupervisorPlanner::Proceed(Turn& t) {
  while (!exited_) {
    // A shutdown lets everything through: it answers operations and counts exits as stops.
    if (!held_.empty() && (!Blocked() || shutting_down())) {
      Held next = std::move(held_.front());
      held_.pop_front();
      next(t);
      continue;
    }
    const Script::Kind before = script_.kind;
    if (before == Script::Kind::kNone) return;
    if (before == Script::Kind::kShutdown) {
      StepShutdown(t);
    } else {
      script_.starting ? StepStarting(t) : StepStopping(t);
    }
    if (script_.kind == before) return;
  }
}

bool SupervisorPlanner::grouping() const {
  return flags_.strategy == Strategy::kOneForAll || flags_.strategy == Strategy::kRestForOne;
}

bool SupervisorPlanner::Blocked() const {
  if (script_.kind != Script::Kind::kNone && !GroupWaits()) return true;
  return grouping() && in_flight_ > waiting_;
}

bool SupervisorPlanner::busy() const {
  return script_.kind != Script::Kind::kNone || in_flight_ > 0 || !held_.empty();
}

SupervisorActions SupervisorPlanner::Init(std::vector<std::shared_ptr<const ChildSpec>> children,
                                          Instant now) {
  BANYAN_CHECK(table_.empty() && script_.kind == Script::Kind::kNone);
  return Handle(now, [&](Turn&) {
    script_.kind = Script::Kind::kInit;
    script_.starting = true;
    script_.members.reserve(children.size());
    for (auto& spec : children) script_.members.push_back(table_.Append(std::move(spec))->key);
  });
}

SupervisorActions SupervisorPlanner::OnStarted(ChildKey key, const Pid& pid, Payload info,
                                               Instant now) {
  return Handle(now, [&](Turn& t) {
    ChildRecord* r = table_.Find(key);
    if (r != nullptr && r->state == ChildState::kStarting) DoStarted(t, r, pid, std::move(info));
  });
}

SupervisorActions SupervisorPlanner::OnStartIgnored(ChildKey key, Instant now) {
  return Handle(now, [&](Turn& t) {
    ChildRecord* r = table_.Find(key);
    if (r == nullptr || r->state != ChildState::kStarting) return;
    if (IsStartingMember(r)) ++script_.position;
    ReplyPending(t, key, false, {.code = OpResult::Code::kIgnored, .key = key});
    DropProcess(t, r);
  });
}

SupervisorActions SupervisorPlanner::OnStartFailed(ChildKey key, const ExitReason& reason,
                                                   Instant now) {
  return Handle(now, [&](Turn& t) {
    ChildRecord* r = table_.Find(key);
    if (r != nullptr && r->state == ChildState::kStarting) DoStartFailed(t, r, reason);
  });
}

SupervisorActions SupervisorPlanner::OnStartWaits(ChildKey key, bool waits, Instant now) {
  return Handle(now, [&](Turn&) {
    ChildRecord* r = table_.Find(key);
    if (r == nullptr || r->state != ChildState::kStarting || r->waits == waits) return;
    r->waits = waits;
    waiting_ += waits ? 1 : -1;
  });
}

SupervisorActions SupervisorPlanner::OnStopped(ChildKey key, const ExitReason& reason,
                                               Instant now) {
  return Handle(now, [&](Turn& t) {
    ChildRecord* r = table_.Find(key);
    if (r != nullptr && r->state == ChildState::kStopping) DoStopped(t, r, reason);
  });
}

SupervisorActions SupervisorPlanner::OnRetry(ChildKey key, Instant now) {
  return Handle(now, [&](Turn& t) { DoRetry(t, key); });
}

SupervisorActions SupervisorPlanner::OnExited(ChildKey key, const ExitReason& reason, Instant now,
                                              bool counted) {
  return Handle(now, [&](Turn& t) {
    const ChildRecord* r = table_.Find(key);
    if (r != nullptr) DoExited(t, key, r->pid, reason, counted);
  });
}

SupervisorActions SupervisorPlanner::OnMoved(ChildKey key, Instant now) {
  return Handle(now, [&](Turn& t) {
    const ChildRecord* r = table_.Find(key);
    if (r != nullptr) DoMoved(t, key, r->pid);
  });
}

void SupervisorPlanner::OnReplaced(ChildKey key, const Pid& pid) {
  ChildRecord* r = table_.Find(key);
  if (r != nullptr && r->state == ChildState::kRunning) table_.SetPid(r, pid);
}

uint32_t SupervisorPlanner::BackoffRestarts(ChildKey key) const {
  const auto it = backoff_.find(key);
  return it == backoff_.end() ? 0 : it->second.restarts;
}

SupervisorActions SupervisorPlanner::BeginShutdown(const ExitReason& reason, Instant now) {
  return Handle(now, [&](Turn& t) { StartShutdown(t, reason); });
}

SupervisorActions SupervisorPlanner::StartChild(OpId op, std::shared_ptr<const ChildSpec> spec,
                                                Instant now) {
  return Handle(now, [&](Turn& t) { DoStartChild(t, op, std::move(spec)); });
}

SupervisorActions SupervisorPlanner::StartDynamicChild(OpId op,
                                                       std::shared_ptr<const ChildSpec> spec,
                                                       ExtraArgs extra_args, Instant now) {
  return Handle(
      now, [&](Turn& t) { DoStartDynamicChild(t, op, std::move(spec), std::move(extra_args)); });
}

SupervisorActions SupervisorPlanner::TerminateChild(OpId op, std::string_view id, Instant now) {
  return Handle(now, [&](Turn& t) {
    if (simple()) return Reply(t, op, {.code = OpResult::Code::kSimpleOneForOne});
    DoTerminateId(t, op, std::string(id));
  });
}

SupervisorActions SupervisorPlanner::TerminateChildByKey(OpId op, ChildKey key, Instant now) {
  return Handle(now, [&](Turn& t) { DoTerminate(t, op, key); });
}

SupervisorActions SupervisorPlanner::RestartChild(OpId op, std::string_view id, Instant now) {
  return Handle(now, [&](Turn& t) { DoRestartChild(t, op, std::string(id)); });
}

SupervisorActions SupervisorPlanner::DeleteChild(OpId op, std::string_view id, Instant now) {
  return Handle(now, [&](Turn& t) { DoDeleteChild(t, op, std::string(id)); });
}

// -- Records.

void SupervisorPlanner::SetState(ChildRecord* r, ChildState state) {
  const auto account = [&](int64_t n) {
    const bool in_flight = r->state == ChildState::kStarting || r->state == ChildState::kStopping;
    if (in_flight) in_flight_ += n;
    if (r->has_process()) processes_ += n;
    if (r->state == ChildState::kRestarting) restarting_ += n;
    if (r->spec->significant && r->state != ChildState::kUndefined) significant_active_ += n;
  };
  account(-1);
  if (r->waits) --waiting_;
  r->waits = false;
  r->state = state;
  account(1);
}

void SupervisorPlanner::StartRecord(Turn& t, ChildRecord* r) {
  SetState(r, ChildState::kStarting);
  t.out.push_back(action::Start{r->key});
}

void SupervisorPlanner::StopRecord(Turn& t, ChildRecord* r) {
  SetState(r, ChildState::kStopping);
  t.out.push_back(action::Stop{r->key, r->spec->shutdown_or_default()});
}

// The child has no process now: OTP's del_child.
void SupervisorPlanner::DropProcess(Turn& t, ChildRecord* r) {
  if (simple() || r->spec->restart == RestartType::kTemporary) return RemoveRecord(t, r);
  ReplyAllPending(t, r->key);
  SetState(r, ChildState::kUndefined);
  table_.SetPid(r, Pid{});
  r->restarting = r->retrying = r->op_start = r->op_new = r->retry_counted = false;
  t.out.push_back(action::Dropped{r->key});
}

void SupervisorPlanner::RemoveRecord(Turn& t, ChildRecord* r) {
  const ChildKey key = r->key;
  ReplyAllPending(t, key);
  SetState(r, ChildState::kUndefined);
  backoff_.erase(key);
  table_.Remove(key);
  t.out.push_back(action::Forget{key});
}

// A temporary child is never started again, so memory must not grow with its arguments.
void SupervisorPlanner::ForgetArguments(ChildRecord* r) {
  if (r->spec->restart != RestartType::kTemporary) return;
  r->extra_args.reset();
  if (!r->op_new || r->spec == template_ || r->spec->start.args.empty()) return;
  auto spec = std::make_shared<ChildSpec>(*r->spec);
  spec->start.args = {};
  table_.SetSpec(r, std::move(spec));
}

const RestartBackoff* SupervisorPlanner::BackoffOf(const ChildRecord* r) const {
  if (r->spec->restart_backoff) return &*r->spec->restart_backoff;
  return options_.default_backoff ? &*options_.default_backoff : nullptr;
}

ChildCounts SupervisorPlanner::Count(const std::function<bool(const Pid&)>& alive) const {
  ChildCounts counts;
  counts.specs = simple() && template_ != nullptr ? 1 : table_.size();
  counts.supervisors = table_.supervisors();
  counts.workers = table_.size() - table_.supervisors();
  counts.active = processes_;
  if (alive == nullptr || simple()) return counts;
  counts.active = 0;
  for (const ChildRecord* r = table_.First(); r != nullptr; r = table_.Next(r)) {
    if (r->has_process() && alive(r->pid)) ++counts.active;
  }
  return counts;
}

}  // namespace banyan
