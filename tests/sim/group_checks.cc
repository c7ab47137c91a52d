#include "tests/sim/group_checks.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

namespace banyan::sim {

size_t GroupChecks::IndexOf(const std::string& child) const {
  return static_cast<size_t>(std::find(members_.begin(), members_.end(), child) - members_.begin());
}

template <typename Fn>
void GroupChecks::ForEachBehind(size_t k, Fn fn) const {
  const auto live = cluster_->history().Live();
  for (size_t m = k + 1; m < members_.size(); ++m) {
    auto it = live.find(members_[m]);
    if (it == live.end()) continue;
    for (const auto& [fence, node] : it->second) {
      if (!cluster_->Outlived(members_[m], fence)) fn(members_[m], fence, node);
    }
  }
}

void GroupChecks::OnStart(const Life& life) {
  const size_t k = IndexOf(life.child);
  if (k == members_.size()) return;
  const size_t before = std::exchange(last_, k);
  if (life.outside) return;
  ForEachBehind(k, [&](const std::string& member, uint64_t fence, const std::string& node) {
    cluster_->history().Violation(fmt::format(
        "INV-20: {} starts with fence {}, and {} of an earlier round lives on {} with fence {}",
        life.child, life.fence, member, node, fence));
  });
  // The one that started last is the one before, this one (again), or the end of a round.
  const bool follows = before + 1 >= k && (before <= k || !all_ || k == 0);
  if (!follows) {
    cluster_->history().Violation(
        fmt::format("INV-20: {} starts after {}", life.child, members_[before]));
  }
}

void GroupChecks::OnEnd(const Life& life, std::string_view why) {
  const size_t k = IndexOf(life.child);
  if (k == members_.size() || life.outside || why != "gone") return;
  if (!cluster_->store_checks().AssignedNow(life.child, life.fence)) return;
  if (cluster_->Outlived(life.child, life.fence)) return;
  // A node that learns that it is dead stops what it has at once.
  if (cluster_->fenced_off(life.node)) return;
  bool up = false;  // it has not ended with its node, so its supervisor has stopped it
  for (int i = 0; i < cluster_->size(); ++i)
    up |= SimCluster::NodeName(i) == life.node && cluster_->node_up(i);
  if (!up) return;
  cluster_->history().Mark("group member stopped");
  ForEachBehind(k, [&](const std::string& member, uint64_t, const std::string& node) {
    cluster_->history().Violation(
        fmt::format("INV-20: {} is stopped, and {} lives on {}", life.child, member, node));
  });
}

}  // namespace banyan::sim
