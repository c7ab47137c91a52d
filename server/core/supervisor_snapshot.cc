// Specs updated in place, and a planner's state as data.
#include <utility>

#include "common/base/check.h"
#include "server/core/supervisor_planner.h"

namespace banyan {

bool SupervisorPlanner::Update(const SupervisorFlags& flags,
                               const std::vector<std::shared_ptr<const ChildSpec>>& children) {
  const bool same_kind = !flags.dynamic() && !simple();
  if (!same_kind && flags.strategy != flags_.strategy) return false;
  if (flags.dynamic() && children.size() > 1) return false;
  BANYAN_CHECK(!Blocked());
  flags_ = flags;
  window_.SetLimits(flags.intensity, flags.period);
  if (simple()) {
    UpdateTemplate(children.empty() ? nullptr : children[0]);
  } else {
    UpdateChildren(children);
  }
  significant_active_ = 0;
  for (const ChildRecord* r = table_.First(); r != nullptr; r = table_.Next(r)) {
    if (r->spec->significant && r->state != ChildState::kUndefined) ++significant_active_;
  }
  return true;
}

void SupervisorPlanner::UpdateTemplate(std::shared_ptr<const ChildSpec> spec) {
  const std::shared_ptr<const ChildSpec> old = std::exchange(template_, std::move(spec));
  if (template_ == nullptr) return;
  for (const ChildRecord* r = table_.First(); r != nullptr; r = table_.Next(r)) {
    if (r->spec == old) table_.SetSpec(table_.Find(r->key), template_);
  }
}

void SupervisorPlanner::UpdateChildren(
    const std::vector<std::shared_ptr<const ChildSpec>>& children) {
  std::vector<ChildKey> unnamed;
  for (const ChildRecord* r = table_.First(); r != nullptr; r = table_.Next(r))
    unnamed.push_back(r->key);
  for (const auto& spec : children) {
    const ChildRecord* known = table_.FindById(spec->id);
    if (known == nullptr) {
      table_.Append(spec);
      continue;
    }
    ChildRecord* r = table_.Find(known->key);
    table_.SetSpec(r, spec);
    table_.MoveToEnd(r);
    r->in_group = true;  // Borrowed as "named" until the end of this function.
  }
  // OTP puts the records that the new list does not name behind those that it does.
  for (ChildKey key : unnamed) {
    ChildRecord* r = table_.Find(key);
    if (!r->in_group) table_.MoveToEnd(r);
    r->in_group = false;
  }
}

SupervisorSnapshot SupervisorPlanner::SnapshotHead(Instant now) const {
  SupervisorSnapshot s;
  s.flags = flags_;
  s.child_template = template_;
  s.restart_ages = window_.Ages(now);
  s.sequence = table_.sequence();
  s.script = script_;
  return s;
}

SupervisorSnapshot SupervisorPlanner::Snapshot(Instant now) const {
  SupervisorSnapshot s = SnapshotHead(now);
  s.children.reserve(table_.size());
  for (const ChildRecord* r = table_.First(); r != nullptr; r = table_.Next(r)) {
    s.children.push_back({.key = r->key,
                          .spec = r->spec,
                          .extra_args = r->extra_args ? *r->extra_args : ExtraArgs{},
                          .state = r->state,
                          .pid = r->pid,
                          .restarts = r->restarts,
                          .retry_counted = r->retry_counted,
                          .restarting = r->restarting,
                          .retrying = r->retrying,
                          .op_start = r->op_start,
                          .op_new = r->op_new,
                          .backoff_restarts = BackoffRestarts(r->key)});
    const auto it = backoff_.find(r->key);
    if (it != backoff_.end() && it->second.running)
      s.children.back().running_for = now - it->second.running_since;
  }
  return s;
}

void SupervisorPlanner::Restore(const SupervisorSnapshot& snapshot, Instant now) {
  BANYAN_CHECK(table_.empty() && script_.kind == Script::Kind::kNone);
  BANYAN_CHECK(snapshot.flags.dynamic() == simple());
  flags_ = snapshot.flags;
  template_ = snapshot.child_template;
  window_ = RestartWindow(flags_.intensity, flags_.period);
  window_.RestoreAges(snapshot.restart_ages, now);
  for (const SupervisorSnapshot::Child& c : snapshot.children) {
    ChildRecord* r = table_.AppendWithKey(c.key, c.spec);
    if (!c.extra_args.empty()) r->extra_args = std::make_unique<const ExtraArgs>(c.extra_args);
    table_.SetPid(r, c.pid);
    SetState(r, c.state);
    r->restarts = c.restarts;
    r->retry_counted = c.retry_counted;
    r->restarting = c.restarting;
    r->retrying = c.retrying;
    r->op_start = c.op_start;
    r->op_new = c.op_new;
    if (BackoffOf(r) == nullptr) continue;
    const bool running = c.state == ChildState::kRunning;
    if (running || c.backoff_restarts > 0)
      backoff_[r->key] = {c.backoff_restarts, now - c.running_for, running};
  }
  table_.FinishRestore();
  table_.set_sequence(snapshot.sequence);
  script_ = snapshot.script;
  if (script_.kind != Script::Kind::kGroup) return;
  for (ChildKey key : script_.members) {
    if (ChildRecord* r = table_.Find(key); r != nullptr) r->in_group = true;
  }
}

SupervisorActions SupervisorPlanner::Resume(Instant now) {
  return Handle(now, [&](Turn& t) {
    std::vector<ChildKey> stops;
    for (const ChildRecord* r = table_.First(); r != nullptr; r = table_.Next(r)) {
      if (r->state == ChildState::kStarting) {
        t.out.push_back(action::Start{r->key});
      } else if (r->state == ChildState::kStopping) {
        stops.push_back(r->key);
      } else if (r->state == ChildState::kRestarting && !GroupStarts(r)) {
        t.out.push_back(action::ScheduleRetry{r->key, absl::ZeroDuration()});
      }
    }
    if (stops.size() > 1) {
      t.out.push_back(action::StopAll{std::move(stops)});
    } else if (stops.size() == 1) {
      const ChildRecord* r = table_.Find(stops[0]);
      t.out.push_back(action::Stop{r->key, r->spec->shutdown_or_default()});
    }
  });
}

}  // namespace banyan
