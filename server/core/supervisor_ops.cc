// The supervisor's operations: start_child, terminate_child, restart_child, delete_child.
#include <utility>

#include "server/core/supervisor_planner.h"

namespace banyan {

using Code = OpResult::Code;

void SupervisorPlanner::Reply(Turn& t, OpId op, OpResult result) {
  if (op != 0) t.out.push_back(action::OpReply{op, std::move(result)});
}

// Answers those waiting for the child's start, or for its end.
void SupervisorPlanner::ReplyPending(Turn& t, ChildKey key, bool terminate,
                                     const OpResult& result) {
  const auto it = pending_.find(key);
  if (it == pending_.end()) return;
  std::vector<PendingOp> rest;
  for (const PendingOp& p : it->second) {
    if (p.terminate == terminate) {
      Reply(t, p.op, result);
    } else {
      rest.push_back(p);
    }
  }
  if (rest.empty()) {
    pending_.erase(it);
  } else {
    it->second = std::move(rest);
  }
}

// The child's process is over or will not come: whoever waits for its end has it, whoever waits for
// its start waits in vain.
void SupervisorPlanner::ReplyAllPending(Turn& t, ChildKey key) {
  if (pending_.empty()) return;
  OpResult start{.code = Code::kStartFailed, .key = key, .reason = ExitReason::Shutdown()};
  if (shutting_down()) start.code = Code::kShuttingDown;
  ReplyPending(t, key, false, start);
  ReplyPending(t, key, true, {.key = key});
}

void SupervisorPlanner::DoStartChild(Turn& t, OpId op, std::shared_ptr<const ChildSpec> spec) {
  if (shutting_down()) return Reply(t, op, {.code = Code::kShuttingDown});
  if (simple()) return DoStartDynamicChild(t, op, std::move(spec), {});
  if (Blocked()) {
    held_.push_back([this, op, spec](Turn& later) { DoStartChild(later, op, spec); });
    return;
  }
  if (const ChildRecord* r = table_.FindById(spec->id); r != nullptr) {
    OpResult present{.code = Code::kAlreadyPresent, .key = r->key};
    if (r->has_process() || r->state == ChildState::kStarting) present.code = Code::kAlreadyStarted;
    if (r->has_process()) present.pid = r->pid;
    return Reply(t, op, std::move(present));
  }
  StartNewRecord(t, op, table_.Append(std::move(spec)));
}

void SupervisorPlanner::DoStartDynamicChild(Turn& t, OpId op, std::shared_ptr<const ChildSpec> spec,
                                            ExtraArgs extra_args) {
  if (shutting_down()) return Reply(t, op, {.code = Code::kShuttingDown});
  if (Blocked()) {
    held_.push_back([this, op, spec, args = std::move(extra_args)](Turn& later) {
      DoStartDynamicChild(later, op, spec, args);
    });
    return;
  }
  if (flags_.max_children && table_.size() >= *flags_.max_children) {
    return Reply(t, op, {.code = Code::kMaxChildren});
  }
  ChildRecord* r = table_.Append(spec != nullptr ? std::move(spec) : template_);
  if (r != nullptr && !extra_args.empty()) {
    r->extra_args = std::make_unique<const ExtraArgs>(std::move(extra_args));
  }
  StartNewRecord(t, op, r);
}

void SupervisorPlanner::StartNewRecord(Turn& t, OpId op, ChildRecord* r) {
  if (r == nullptr) return Reply(t, op, {.code = Code::kMaxChildren});
  r->op_start = r->op_new = true;
  if (op != 0) pending_[r->key].push_back({op, false});
  StartRecord(t, r);
}

void SupervisorPlanner::DoTerminateId(Turn& t, OpId op, const std::string& id) {
  if (shutting_down()) return Reply(t, op, {.code = Code::kShuttingDown});
  if (const ChildRecord* r = table_.FindById(id); r != nullptr) return DoTerminate(t, op, r->key);
  // A held start_child may be about to make the record.
  if (Blocked()) {
    held_.push_back([this, op, id](Turn& later) { DoTerminateId(later, op, id); });
    return;
  }
  Reply(t, op, {.code = Code::kNotFound});
}

void SupervisorPlanner::DoTerminate(Turn& t, OpId op, ChildKey key) {
  if (shutting_down()) return Reply(t, op, {.code = Code::kShuttingDown});
  ChildRecord* r = table_.Find(key);
  if (r == nullptr) return Reply(t, op, {.code = Code::kNotFound});
  // What is being started may never come up (no node has room), so it can be given up at any time
  // but while the supervisor itself starts. OTP answers the same between two attempts: the members
  // of a group that were not reached stay without a process.
  const bool give_up = r->state == ChildState::kStarting && script_.kind != Script::Kind::kInit &&
                       (script_.kind == Script::Kind::kNone || IsStartingMember(r));
  if (give_up) {
    if (script_.kind == Script::Kind::kGroup) AbandonGroup(t, r);
    return TerminateRecord(t, op, r);
  }
  if (Blocked()) {
    held_.push_back([this, op, key](Turn& later) {
      // It was there when it was asked for.
      if (table_.Find(key) == nullptr && !shutting_down()) return Reply(later, op, {.key = key});
      DoTerminate(later, op, key);
    });
    return;
  }
  if (script_.kind == Script::Kind::kGroup) LeaveGroup(r);
  TerminateRecord(t, op, r);
}

void SupervisorPlanner::TerminateRecord(Turn& t, OpId op, ChildRecord* r) {
  const ChildKey key = r->key;
  switch (r->state) {
    case ChildState::kUndefined:
    case ChildState::kRestarting:  // the retry is dropped when it comes
      DropProcess(t, r);
      return Reply(t, op, {.key = key});
    case ChildState::kStarting:
      ReplyAllPending(t, key);
      [[fallthrough]];
    case ChildState::kRunning:
      StopRecord(t, r);
      [[fallthrough]];
    case ChildState::kStopping:
      if (op != 0) pending_[key].push_back({op, true});
      return;
  }
}

void SupervisorPlanner::DoRestartChild(Turn& t, OpId op, const std::string& id) {
  if (shutting_down()) return Reply(t, op, {.code = Code::kShuttingDown});
  if (simple()) return Reply(t, op, {.code = Code::kSimpleOneForOne});
  if (Blocked()) {
    held_.push_back([this, op, id](Turn& later) { DoRestartChild(later, op, id); });
    return;
  }
  const ChildRecord* found = table_.FindById(id);
  if (found == nullptr) return Reply(t, op, {.code = Code::kNotFound});
  ChildRecord* r = table_.Find(found->key);
  if (r->state == ChildState::kRestarting || AwaitsTurn(r)) {
    return Reply(t, op, {.code = Code::kRestarting, .key = r->key});
  }
  if (r->state != ChildState::kUndefined) {
    return Reply(t, op, {.code = Code::kRunning, .key = r->key, .pid = r->pid});
  }
  r->op_start = true;
  if (op != 0) pending_[r->key].push_back({op, false});
  StartRecord(t, r);
}

void SupervisorPlanner::DoDeleteChild(Turn& t, OpId op, const std::string& id) {
  if (shutting_down()) return Reply(t, op, {.code = Code::kShuttingDown});
  if (simple()) return Reply(t, op, {.code = Code::kSimpleOneForOne});
  if (Blocked()) {
    held_.push_back([this, op, id](Turn& later) { DoDeleteChild(later, op, id); });
    return;
  }
  const ChildRecord* found = table_.FindById(id);
  if (found == nullptr) return Reply(t, op, {.code = Code::kNotFound});
  ChildRecord* r = table_.Find(found->key);
  const ChildKey key = r->key;
  if (r->state == ChildState::kRestarting || AwaitsTurn(r))
    return Reply(t, op, {.code = Code::kRestarting, .key = key});
  if (r->state != ChildState::kUndefined) {
    return Reply(t, op, {.code = Code::kRunning, .key = key, .pid = r->pid});
  }
  RemoveRecord(t, r);
  Reply(t, op, {.key = key});
}

}  // namespace banyan
