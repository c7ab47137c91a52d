// Rebalances: once, slowly, with the moves that server/core has planned.
#include "server/core/rebalance.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "fmt/format.h"

#include "server/coordinator/cluster_requests.h"
#include "server/coordinator/core.h"

namespace banyan {
namespace {

constexpr std::string_view kMoves = "rebalance/";

}  // namespace

void ClusterRequests::Rebalance(bool validate_only, uint32_t max_moves,
                                const std::string& request_id, Reply<v1::RebalanceResponse> done) {
  std::vector<RebalanceChild> children;
  core_->tree.ForEach([&](ClusterSupervisor* sup) {
    if (sup->failed || sup->planner->shutting_down()) return;
    for (const auto& [key, child] : sup->children) {
      const bool idle = child->nested == nullptr && child->assigned == Assigned::kRunning &&
                        !child->second && !child->frozen;
      const bool may = child->spec->movable || child->spec->exclusivity == Exclusivity::kAvailable;
      if (!idle || !may) continue;
      children.push_back({child->node, core_->reconciler.RequestFor(child.get())});
    }
  });
  const std::vector<PlannedMove> plan =
      PlanRebalance(core_->members.Views(core_->now()), std::move(children), max_moves);
  v1::RebalanceResponse response;
  for (const PlannedMove& move : plan) {
    const Child* child = core_->tree.FindChild(move.child);
    auto* out = response.add_moves();
    for (const std::string& id : child->path) out->add_path(id);
    out->set_from_node(move.from);
    out->set_to_node(move.to);
  }
  // Nothing is changed by telling, so a repeated request needs no record.
  if (validate_only) return done(std::move(response));
  Operation* op = core_->operations.Begin<v1::RebalanceResponse>(
      request_id, "Rebalance", std::to_string(max_moves), {}, std::move(done));
  if (op == nullptr) return;
  EndRebalance("superseded");
  for (const PlannedMove& move : plan) PlanMove(*core_->tree.FindChild(move.child));
  if (moves_.empty()) return core_->operations.Finish(op, response, "done");
  rebalance_ = op->record.id();
  response.set_operation_id(rebalance_);
  for (const Planned& move : moves_) Store(move, /*begun=*/false);
  core_->operations.Answer(op, response);
  StepRebalance();
}

bool ClusterRequests::Rebalances(const std::string& operation_id) const {
  return operation_id == rebalance_;
}

absl::Status ClusterRequests::Load() {
  auto records = core_->deps.store->Load(kMoves);
  if (!records.ok()) return records.status();
  for (const KeyValue& kv : *records) {
    internal::v1::RebalanceMoveRecord record;
    uint64_t number = 0;
    const bool numbered = absl::SimpleAtoi(kv.key.substr(kMoves.size()), &number);
    // The child stays where it is.
    if (!numbered || !record.ParseFromString(kv.value)) continue;
    last_move_ = std::max(last_move_, number);
    rebalance_ = record.operation();
    Planned move{PathKey({record.path().begin(), record.path().end()}), record.fence(), kv.key};
    if (record.begun()) {
      begun_.push_back(std::move(move));
    } else {
      moves_.push_back(std::move(move));
    }
  }
  // The former leader may have begun one just now.
  if (!moves_.empty()) next_move_ = core_->now() + MovePause();
  return absl::OkStatus();
}

void ClusterRequests::PlanMove(const Child& child) {
  moves_.push_back(
      {child.path_key, child.fence.value(), fmt::format("{}{:010}", kMoves, ++last_move_)});
}

void ClusterRequests::Store(const Planned& move, bool begun) {
  internal::v1::RebalanceMoveRecord record;
  record.set_operation(rebalance_);
  for (const std::string& id : core_->tree.FindChild(move.path)->path) record.add_path(id);
  record.set_fence(move.fence);
  record.set_begun(begun);
  core_->journal.Put(move.key, record);
}

// A hundredth of the children a minute, one by one; at least one a minute.
absl::Duration ClusterRequests::MovePause() const {
  return absl::Minutes(1) / std::max(1.0, static_cast<double>(core_->tree.child_count()) / 100);
}

void ClusterRequests::StepRebalance() {
  if (rebalance_.empty() || core_->safe_mode.holds_starts()) return;
  // What runs is known when all nodes have said so.
  if (core_->members.AwaitsResync()) return;
  std::erase_if(begun_, [this](const Planned& move) {
    if (!IsOver(move)) return false;
    core_->journal.Delete(move.key);
    return true;
  });
  while (!moves_.empty() && core_->now() >= next_move_) {
    const Planned next = std::move(moves_.front());
    moves_.pop_front();
    Child* child = core_->tree.FindChild(next.path);
    // What has been restarted meanwhile has been placed anew.
    const bool same = child != nullptr && child->fence.value() == next.fence;
    if (!same || !core_->reconciler.Move(child)) {
      core_->journal.Delete(next.key);
      continue;
    }
    Store(next, /*begun=*/true);
    begun_.push_back(next);
    next_move_ = core_->now() + MovePause();
  }
  if (moves_.empty() && begun_.empty()) EndRebalance("done");
}

bool ClusterRequests::IsOver(const Planned& move) const {
  const Child* child = core_->tree.FindChild(move.path);
  if (child == nullptr) return true;
  return !child->moving && !child->second &&
         (child->assigned == Assigned::kRunning || child->assigned == Assigned::kNone);
}

void ClusterRequests::EndRebalance(std::string result) {
  for (const Planned& move : moves_) core_->journal.Delete(move.key);
  for (const Planned& move : begun_) core_->journal.Delete(move.key);
  moves_.clear();
  begun_.clear();
  if (Operation* op = core_->operations.Find(std::exchange(rebalance_, "")))
    core_->operations.EndAnswered(op, std::move(result));
}

}  // namespace banyan
