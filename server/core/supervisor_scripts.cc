// Decisions that take several steps: start-up, group restarts, shutdown. The script in progress is
// plain data; each step looks at the records, so it can be repeated at any time (after a restart of
// the driver, or when an event in between changed a record).
#include <utility>

#include "common/base/mutant.h"
#include "server/core/supervisor_planner.h"

namespace banyan {

using Context = SupervisorReport::Context;

bool SupervisorPlanner::IsStartingMember(const ChildRecord* r) const {
  const bool starts = script_.kind == Script::Kind::kInit || script_.kind == Script::Kind::kGroup;
  return starts && script_.starting && script_.position < script_.members.size() &&
         script_.members[script_.position] == r->key;
}

bool SupervisorPlanner::GroupWaits() const {
  if (script_.kind != Script::Kind::kGroup || !script_.starting) return false;
  if (script_.position >= script_.members.size()) return false;
  const ChildRecord* r = table_.Find(script_.members[script_.position]);
  return r != nullptr && r->waits;
}

bool SupervisorPlanner::AwaitsTurn(const ChildRecord* r) const {
  if (script_.kind != Script::Kind::kGroup || !r->in_group) return false;
  if (r->state == ChildState::kStarting) return false;
  for (uint64_t i = script_.position; i < script_.members.size(); ++i) {
    if (script_.members[i] == r->key) return true;
  }
  return false;
}

bool SupervisorPlanner::GroupStarts(const ChildRecord* r) const {
  if (script_.kind != Script::Kind::kGroup || !r->in_group) return false;
  if (Mutant("group-cause-forgotten")) return true;
  return !script_.starting || AwaitsTurn(r);
}

// The group restart goes on without `r`.
void SupervisorPlanner::LeaveGroup(ChildRecord* r) {
  r->in_group = false;
  for (uint64_t i = 0; i < script_.members.size(); ++i) {
    if (script_.members[i] != r->key) continue;
    script_.members.erase(script_.members.begin() + static_cast<ptrdiff_t>(i));
    if (i < script_.position) --script_.position;
    return;
  }
}

// Restarts `cause` with all records (one_for_all) or those after it (rest_for_one). Replaces a
// group restart under way, which `cause` interrupted; what that has yet to start is in the new one.
void SupervisorPlanner::BeginGroup(Turn& t, ChildRecord* cause) {
  const ChildKey waiting = GroupWaits() ? script_.members[script_.position] : kNoChild;
  EndScript();
  SetState(cause, ChildState::kRestarting);
  script_.kind = Script::Kind::kGroup;
  script_.cause = cause->key;
  const ChildRecord* r = cause;
  if (flags_.strategy == Strategy::kOneForAll || waiting != kNoChild) r = table_.First();
  if (flags_.strategy == Strategy::kRestForOne) {
    while (r != cause && r->key != waiting) r = table_.Next(r);
  }
  for (; r != nullptr; r = table_.Next(r)) {
    table_.Find(r->key)->in_group = true;
    script_.members.push_back(r->key);
  }
  script_.position = script_.members.size();
}

void SupervisorPlanner::EndScript() {
  for (ChildKey key : script_.members) {
    if (ChildRecord* r = table_.Find(key); r != nullptr) r->in_group = false;
  }
  script_ = Script{};
  ++scripts_ended_;
}

// Stops the members in reverse order, or all at once; true when they are over.
bool SupervisorPlanner::StopMembers(Turn& t) {
  const bool parallel = options_.parallel_stop || Mutant("group-stops-at-once");
  std::vector<ChildKey> together;
  uint64_t& left = script_.position;
  for (; left > 0; --left) {
    ChildRecord* r = table_.Find(script_.members[left - 1]);
    if (r == nullptr || r->key == script_.cause) continue;
    if (r->state == ChildState::kRunning || r->state == ChildState::kStarting) {
      if (!parallel) {
        StopRecord(t, r);
        return false;
      }
      SetState(r, ChildState::kStopping);
      together.push_back(r->key);
    } else if (r->state == ChildState::kStopping) {
      if (!parallel) return false;
    } else {
      // Without a process: a retry is cancelled, and OTP goes on without a temporary record.
      DropProcess(t, r);
    }
  }
  if (!together.empty()) t.out.push_back(action::StopAll{std::move(together)});
  // What waits now is none of the members, and may do so for ever.
  return in_flight_ == waiting_;
}

void SupervisorPlanner::StepStopping(Turn& t) {
  if (!StopMembers(t)) return;
  std::erase_if(script_.members, [&](ChildKey key) { return table_.Find(key) == nullptr; });
  script_.starting = true;
  script_.position = 0;
  StepStarting(t);
}

void SupervisorPlanner::StepStarting(Turn& t) {
  for (; script_.position < script_.members.size(); ++script_.position) {
    ChildRecord* r = table_.Find(script_.members[script_.position]);
    if (r == nullptr || r->state == ChildState::kRunning) continue;
    if (r->state == ChildState::kStarting && Mutant("group-not-awaited")) continue;
    if (r->state == ChildState::kStarting) return;
    r->restarting = script_.kind == Script::Kind::kGroup;
    return StartRecord(t, r);
  }
  EndScript();
}

void SupervisorPlanner::GroupStartFailed(Turn& t, ChildRecord* r, const ExitReason& reason) {
  t.out.push_back(action::Report{
      {.context = Context::kStartError, .reason = reason, .key = r->key, .spec = r->spec}});
  if (script_.kind == Script::Kind::kInit) {
    const std::string id = r->spec->id;
    SetState(r, ChildState::kUndefined);
    return StartShutdown(t, ExitReason::FailedToStartChild(id, reason));
  }
  AbandonGroup(t, r);
  AwaitRetry(t, r);
}

// The group restart ends at `r`, which did not come up. Members not reached stay without a process,
// the cause among them.
void SupervisorPlanner::AbandonGroup(Turn& t, const ChildRecord* r) {
  ChildRecord* cause = table_.Find(script_.cause);
  // One that came up and has ended again has a retry of its own.
  if (cause != nullptr && cause != r && cause->state == ChildState::kRestarting &&
      AwaitsTurn(cause)) {
    DropProcess(t, cause);
  }
  EndScript();
}

void SupervisorPlanner::StartShutdown(Turn& t, const ExitReason& reason) {
  if (shutting_down()) return;
  EndScript();
  script_.kind = Script::Kind::kShutdown;
  script_.exit_reason = reason;
  // Dynamic children are all stopped at once and need no list.
  if (simple()) return;
  for (const ChildRecord* r = table_.First(); r != nullptr; r = table_.Next(r)) {
    script_.members.push_back(r->key);
  }
  script_.position = script_.members.size();
}

void SupervisorPlanner::StepShutdown(Turn& t) {
  if (!simple()) {
    if (!StopMembers(t)) return;
  } else if (!script_.starting) {
    script_.starting = true;
    StopEverything(t);
  }
  if (in_flight_ == 0 && held_.empty()) FinishShutdown(t);
}

void SupervisorPlanner::StopEverything(Turn& t) {
  std::vector<ChildKey> keys;
  keys.reserve(table_.size());
  const ChildRecord* next = nullptr;
  for (const ChildRecord* i = table_.First(); i != nullptr; i = next) {
    next = table_.Next(i);
    ChildRecord* r = table_.Find(i->key);
    if (r->state == ChildState::kRunning || r->state == ChildState::kStarting) {
      SetState(r, ChildState::kStopping);
      keys.push_back(r->key);
    } else if (r->state != ChildState::kStopping) {
      RemoveRecord(t, r);
    }
  }
  if (!keys.empty()) t.out.push_back(action::StopAll{std::move(keys)});
}

void SupervisorPlanner::FinishShutdown(Turn& t) {
  for (auto& [reason, count] : stop_errors_) {
    t.out.push_back(action::Report{{.context = Context::kShutdownError,
                                    .reason = reason,
                                    .spec = template_,
                                    .nb_children = count}});
  }
  const ExitReason reason = script_.exit_reason;
  exited_ = true;
  script_ = Script{};
  t.out.push_back(action::ExitSupervisor{reason});
}

}  // namespace banyan
