// Rebalances: once, slowly, with the moves that server/core has planned.
#include "server/core/rebalance.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "server/coordinator/cluster_requests.h"
#include "server/coordinator/core.h"

namespace banyan {

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
  moves_.clear();
  for (const PlannedMove& move : plan)
    moves_.push_back({move.child, core_->tree.FindChild(move.child)->fence.value()});
  core_->operations.Finish(op, response, "done");
  StepRebalance();
}

// A hundredth of the children a minute, one by one; at least one a minute.
void ClusterRequests::StepRebalance() {
  if (core_->safe_mode.holds_starts()) return;
  const double a_minute = std::max(1.0, static_cast<double>(core_->tree.child_count()) / 100);
  while (!moves_.empty() && core_->now() >= next_move_) {
    const Planned next = std::move(moves_.front());
    moves_.pop_front();
    Child* child = core_->tree.FindChild(next.path);
    // What has been restarted meanwhile has been placed anew.
    if (child == nullptr || child->fence.value() != next.fence) continue;
    if (!core_->reconciler.Move(child)) continue;
    next_move_ = core_->now() + absl::Minutes(1) / a_minute;
  }
}

}  // namespace banyan
