#include "server/coordinator/operations.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/base/mutant.h"
#include "common/wire/status.h"
#include "server/coordinator/core.h"
#include "server/coordinator/snapshot.h"

namespace banyan {
namespace {

// So many unfinished operations are passed over in search for one to drop.
constexpr size_t kUnderWayMax = 1000;

// Tells two requests apart; not for secrets.
std::string Fingerprint(std::string_view text) {
  uint64_t a = 0xcbf29ce484222325, b = 0x84222325cbf29ce4;
  for (unsigned char c : text) {
    a = (a ^ c) * 0x100000001b3;
    b = (b + c) * 0x9e3779b97f4a7c15;
    b ^= b >> 29;
  }
  return fmt::format("{:016x}{:016x}", a, b);
}

// A UUIDv7 tells when it was made, by its client's clock; other ids do not.
std::optional<absl::Time> TimeOfUuid7(const std::string& id) {
  const bool uuid7 = id.size() == 36 && id[8] == '-' && id[13] == '-' && id[14] == '7';
  if (!uuid7) return std::nullopt;
  const std::string digits = id.substr(0, 8) + id.substr(9, 4);
  uint64_t ms = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), ms, 16);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return absl::FromUnixMillis(static_cast<int64_t>(ms));
}

}  // namespace

absl::Status Operations::Load() {
  auto records = core_->deps.store->Load("op/");
  if (!records.ok()) return records.status();
  std::vector<std::pair<absl::Time, std::string>> ages;
  for (const KeyValue& kv : *records) {
    auto op = std::make_unique<Operation>();
    if (!op->record.ParseFromString(kv.value)) continue;  // at worst a repeated request runs again
    op->kept = true;
    op->since = core_->now();
    const std::string id = op->record.id();
    if (!op->record.done()) {
      op->pending_told = op->record.answered();
      op->pending_answer = op->record.answer();
      op->orphan = !core_->cluster_requests.Rebalances(id);
      if (op->orphan) orphans_.insert(id);
    }
    ages.emplace_back(wire::FromProto(op->record.time()), id);
    all_[id] = std::move(op);
  }
  auto floors = core_->deps.store->Load("op_floor");
  if (!floors.ok()) return floors.status();
  internal::v1::OperationRecord floor;
  if (!floors->empty() && floor.ParseFromString((*floors)[0].value))
    floor_ = wire::FromProto(floor.time());
  std::sort(ages.begin(), ages.end());
  for (auto& [time, id] : ages) by_age_.push_back(std::move(id));
  return absl::OkStatus();
}

// An id from before those that were dropped may be one of them: it must not run again.
bool Operations::TooOld(const std::string& request_id) const {
  const std::optional<absl::Time> made = TimeOfUuid7(request_id);
  return made && *made <= floor_;
}

Operation* Operations::BeginRaw(const std::string& request_id, const std::string& kind,
                                const std::string& request, std::vector<std::string> path,
                                std::function<void(absl::StatusOr<std::string>)> done) {
  if (absl::Status status = core_->CanChange(kind); !status.ok()) {
    done(status);
    return nullptr;
  }
  const std::string hash = Fingerprint(kind + '\0' + request);
  if (!request_id.empty()) {
    if (auto it = all_.find(request_id); it != all_.end()) {
      Operation& op = *it->second;
      if (op.record.hash() != hash) {
        done(MakeError("REQUEST_ID_REUSED",
                       fmt::format("request id {} was used for another request", request_id)));
      } else if (!op.record.done() && !op.pending_told) {
        op.waiters.push_back(std::move(done));
      } else {
        // It may have come to that a moment ago: not before it is in the store.
        absl::StatusOr<std::string> answer =
            op.record.done() ? op.record.answer() : op.pending_answer;
        if (op.record.has_error()) answer = wire::FromProto(op.record.error());
        if (Mutant("retry-answered-early")) return done(answer), nullptr;
        core_->journal.After(
            [done = std::move(done), answer = std::move(answer)] { done(answer); });
      }
      return nullptr;
    }
    if (TooOld(request_id)) {
      done(MakeError("REQUEST_TOO_OLD",
                     "the request id is older than what is kept: look whether the work "
                     "was done, then use a new id"));
      return nullptr;
    }
  }
  Evict();
  auto op = std::make_unique<Operation>();
  op->since = core_->now();
  op->kept = !request_id.empty();
  const std::string id = op->kept ? request_id : fmt::format("op-{}", core_->RandomHex(12));
  op->record.set_id(id);
  op->record.set_hash(hash);
  op->record.set_kind(kind);
  for (std::string& name : path) op->record.add_path(std::move(name));
  *op->record.mutable_time() = core_->wall_proto();
  op->waiters.push_back(std::move(done));
  Operation* begun = op.get();
  all_[id] = std::move(op);
  by_age_.push_back(id);
  if (begun->kept && !Mutant("no-dedup-record")) Store(begun);
  return begun;
}

void Operations::Store(Operation* op) {
  core_->journal.Put(fmt::format("op/{}", op->record.id()), op->record);
}

// The oldest go first, but for those that are still under way.
void Operations::Evict() {
  // By the monotonic clock: a wall clock that jumps must not make retries run again.
  const Instant oldest = core_->now() - core_->options.operation_retention;
  size_t under_way = 0;
  while (by_age_.size() > under_way) {
    const std::string id = by_age_[under_way];
    auto it = all_.find(id);
    if (it != all_.end()) {
      const Operation& op = *it->second;
      const bool crowded = all_.size() > core_->options.operations_max;
      bool young = op.since >= oldest;
      if (Mutant("retention-by-wall"))
        young =
            wire::FromProto(op.record.time()) >= core_->wall() - core_->options.operation_retention;
      if (!crowded && young) return;
      if (!op.record.done()) {
        if (++under_way > kUnderWayMax) return;
        continue;
      }
      if (const std::optional<absl::Time> made = TimeOfUuid7(id); made && *made > floor_) {
        floor_ = *made;
        internal::v1::OperationRecord floor;
        *floor.mutable_time() = wire::ToProto(floor_);
        core_->journal.Put("op_floor", floor);
      }
      if (op.kept) core_->journal.Delete(fmt::format("op/{}", id));
      all_.erase(it);
    }
    by_age_.erase(by_age_.begin() + static_cast<std::ptrdiff_t>(under_way));
  }
}

void Operations::Refuse(Operation* op, const absl::Status& status) {
  const std::string id = op->record.id();
  core_->journal.Withdraw(fmt::format("op/{}", id));
  core_->journal.After([waiters = std::move(op->waiters), status] {
    for (const auto& waiter : waiters) waiter(status);
  });
  orphans_.erase(id);
  all_.erase(id);
}

void Operations::Finish(Operation* op, const google::protobuf::MessageLite& answer,
                        std::string result) {
  End(op, answer.SerializeAsString(), std::move(result));
}

void Operations::Fail(Operation* op, const absl::Status& status, std::string result) {
  End(op, status, std::move(result));
}

void Operations::End(Operation* op, absl::StatusOr<std::string> answer, std::string result) {
  if (op->record.done()) return;
  op->record.set_done(true);
  op->record.set_result(std::move(result));
  if (answer.ok()) {
    if (!Mutant("answer-not-recorded")) op->record.set_answer(*answer);
  } else {
    wire::ToProto(answer.status(), {}, op->record.mutable_error());
  }
  if (op->kept && !Mutant("no-dedup-record")) Store(op);
  orphans_.erase(op->record.id());
  if (auto it = terminating_.find(PathKey({op->record.path().begin(), op->record.path().end()}));
      it != terminating_.end()) {
    std::erase(it->second, op->record.id());
    if (it->second.empty()) terminating_.erase(it);
  }
  core_->journal.After([waiters = std::move(op->waiters), ends = std::move(op->end_waiters),
                        answer = std::move(answer)] {
    for (const auto& waiter : waiters) waiter(answer);
    for (const auto& end : ends) end();
  });
  op->waiters.clear();
  op->end_waiters.clear();
}

void Operations::TellPending(Operation* op, const std::string& message, Instant latest) {
  if (op->record.done() || op->waiters.empty()) return;
  // From now on it must outlive the answer.
  if (!op->kept) {
    op->kept = true;
    Store(op);
  }
  v1::TerminateChildResponse response;
  response.mutable_pending()->set_operation_id(op->record.id());
  response.mutable_pending()->set_message(message);
  *response.mutable_pending()->mutable_latest_time() =
      wire::ToProto(core_->wall() + (latest - core_->now()));
  op->pending_told = true;
  op->pending_answer = response.SerializeAsString();
  core_->journal.After([waiters = std::move(op->waiters), bytes = op->pending_answer] {
    for (const auto& waiter : waiters) waiter(bytes);
  });
  op->waiters.clear();
}

void Operations::Answer(Operation* op, const google::protobuf::MessageLite& answer) {
  op->kept = true;
  op->pending_told = true;
  op->pending_answer = answer.SerializeAsString();
  op->record.set_answered(true);
  op->record.set_answer(op->pending_answer);
  Store(op);
  core_->journal.After([waiters = std::move(op->waiters), bytes = op->pending_answer] {
    for (const auto& waiter : waiters) waiter(bytes);
  });
  op->waiters.clear();
}

void Operations::EndAnswered(Operation* op, std::string result) {
  End(op, op->pending_answer, std::move(result));
}

Operation* Operations::Find(const std::string& id) {
  auto it = all_.find(id);
  return it == all_.end() ? nullptr : it->second.get();
}

// -------------------------------------------------------------- planners' ops

OpId Operations::Track(std::function<void(const OpResult&)> fn) {
  replies_[++last_op_] = std::move(fn);
  return last_op_;
}

void Operations::OnReply(OpId op, const OpResult& result) {
  auto it = replies_.find(op);
  if (it == replies_.end()) return;
  auto fn = std::move(it->second);
  replies_.erase(it);
  fn(result);
}

std::string Operations::PathOf(const ClusterSupervisor* sup) { return sup->path_key; }

void Operations::OnSupervisorStarted(ClusterSupervisor* sup) {
  auto waiting = starting_.extract(sup->path_key);
  if (waiting.empty()) return;
  for (Operation* op : waiting.mapped()) Finish(op, EncodeSupervisor(*core_, *sup), "started");
}

void Operations::OnSupervisorExited(ClusterSupervisor* sup, const ExitReason& reason) {
  if (auto waiting = starting_.extract(sup->path_key); !waiting.empty()) {
    for (Operation* op : waiting.mapped()) Fail(op, StartError(sup->path_key, reason));
  }
  if (auto waiting = stopping_.extract(sup->path_key); !waiting.empty()) {
    v1::StopSupervisorResponse response;
    *response.mutable_exit_reason() = wire::ToProto(reason, {});
    for (Operation* op : waiting.mapped()) Finish(op, response, "stopped");
  }
}

// ------------------------------------------------------------------- pending

void Operations::TerminateOf(Child* child, Operation* op) {
  terminating_[child->path_key].push_back(op->record.id());
}

void Operations::OnStopOrdered(Child* child) {
  if (child->nested != nullptr) {
    for (const auto& [key, below] : child->nested->children) {
      if (below->assigned == Assigned::kStopping) OnStopOrdered(below.get());
    }
    return;
  }
  const Member* member = core_->members.FindLive(child->node_id, child->incarnation);
  if (member == nullptr || !member->reachable()) OnUnreachable(child);
}

void Operations::OnUnreachable(Child* child) {
  if (terminating_.empty()) return;
  Member* member = core_->members.FindLive(child->node_id, child->incarnation);
  const Instant latest = member != nullptr ? member->clock.dead_at() : core_->now();
  const std::string message = fmt::format("node {} is not reachable", child->node);
  for (Child* at = child; at != nullptr; at = at->supervisor->parent) {
    auto it = terminating_.find(at->path_key);
    if (it == terminating_.end()) continue;
    for (const std::string& id : it->second) {
      if (auto op = all_.find(id); op != all_.end()) TellPending(op->second.get(), message, latest);
    }
  }
}

void Operations::OnDeathDecides(Child* child) {
  // Those of an earlier coordinator are known by their paths only.
  const bool asked = terminating_.contains(child->path_key) || !orphans_.empty();
  if (asked && child->assigned == Assigned::kStopping) by_death_.insert(child->path_key);
}

v1::WaitOperationResponse Operations::Outcome(const Operation& op) const {
  v1::WaitOperationResponse response;
  response.set_done(op.record.done());
  response.set_result(op.record.result());
  std::vector<std::string> path(op.record.path().begin(), op.record.path().end());
  if (const Child* child = core_->tree.FindChild(PathKey(path))) {
    *response.mutable_child() = EncodeChild(*core_, *child, /*with_spec=*/false);
  }
  if (op.record.has_error()) {
    const auto info = GetErrorInfo(wire::FromProto(op.record.error()));
    if (info && info->exit_reason)
      *response.mutable_reason() = wire::ToProto(*info->exit_reason, {});
  }
  return response;
}

void Operations::Wait(const std::string& id, Instant deadline,
                      Reply<v1::WaitOperationResponse> done) {
  auto it = all_.find(id);
  if (it == all_.end()) {
    return done(MakeError("OPERATION_NOT_FOUND",
                          fmt::format("no operation {}: it is too old, or never was", id)));
  }
  if (it->second->record.done()) return done(Outcome(*it->second));
  auto answered = std::make_shared<bool>(false);
  auto answer = [this, id, answered, done = std::move(done)] {
    if (std::exchange(*answered, true)) return;
    auto found = all_.find(id);
    if (found == all_.end())
      return done(MakeError("OPERATION_NOT_FOUND", "the operation is too old"));
    done(Outcome(*found->second));
  };
  const uint64_t timer = core_->At(deadline, answer);
  it->second->end_waiters.push_back([this, timer, answer] {
    core_->Cancel(timer);
    answer();
  });
}

// -------------------------------------------------------------------- orphans

void Operations::CheckOrphans() {
  if (orphans_.empty()) return;
  const std::set<std::string> ids = orphans_;
  for (const std::string& id : ids) CheckOrphan(all_[id].get());
}

void Operations::CheckOrphan(Operation* op) {
  std::vector<std::string> path(op->record.path().begin(), op->record.path().end());
  const std::string key = PathKey(path);
  const std::string& kind = op->record.kind();
  Child* child = core_->tree.FindChild(key);
  ClusterSupervisor* sup = core_->tree.FindSupervisor(key);
  const auto failure = [&] {
    auto it = core_->reconciler.last_failures.find(key);
    return StartError(
        key, it == core_->reconciler.last_failures.end() ? ExitReason::Shutdown() : it->second);
  };
  if (kind == "StartSupervisor") {
    if (sup == nullptr) return Fail(op, failure());
    if (sup->started) Finish(op, EncodeSupervisor(*core_, *sup), "started");
    return;
  }
  if (kind == "StopSupervisor") {
    if (sup != nullptr) return;
    v1::StopSupervisorResponse response;
    *response.mutable_exit_reason() = wire::ToProto(ExitReason::Shutdown(), {});
    return Finish(op, response, "stopped");
  }
  if (kind == "StartChild" || kind == "RestartChild") {
    if (child == nullptr) return Fail(op, failure());
    const ChildRecord* record = child->supervisor->planner->Find(child->key);
    const bool up = record != nullptr && record->state == ChildState::kRunning;
    const bool down = record != nullptr && record->state == ChildState::kUndefined;
    if (!up && !down) return;
    if (kind == "StartChild") {
      v1::StartChildResponse response;
      *response.mutable_child() = EncodeChild(*core_, *child, false);
      response.set_ignored(down);
      return Finish(op, response, "started");
    }
    if (down) return Fail(op, failure());
    v1::RestartChildResponse response;
    *response.mutable_child() = EncodeChild(*core_, *child, false);
    return Finish(op, response, "started");
  }
  if (kind == "TerminateChild") {
    const ChildRecord* record =
        child == nullptr ? nullptr : child->supervisor->planner->Find(child->key);
    if (record != nullptr && record->state == ChildState::kStopping) return;
    v1::TerminateChildResponse response;
    if (child != nullptr && child->last_exit)
      *response.mutable_exit_reason() = wire::ToProto(*child->last_exit, {});
    return Finish(op, response, TakeDeath(key) ? "stopped_by_death" : "stopped");
  }
  // Nothing of it is left.
  if (op->record.answered()) return EndAnswered(op, "done");
  // All others are done in the turn that began them.
  Fail(op, absl::AbortedError("the coordinator was restarted"));
}

}  // namespace banyan
