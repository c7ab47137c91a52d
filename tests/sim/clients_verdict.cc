// Whether in the end all is as the clients were promised.
#include <set>

#include "fmt/format.h"

#include "tests/sim/clients.h"

namespace banyan::sim {

// There are more children than the nodes that are left can take: then not all run, nor do those
// that come after them in their groups.
bool Clients::Crowded() const {
  if (!limited_) return false;
  for (const auto& [key, value] : cluster_->disk().data) {
    internal::v1::AssignmentRecord asg;
    if (key.ends_with("/asg") && asg.ParseFromString(value) &&
        asg.pending_reason() == "no_capacity")
      return true;
  }
  return false;
}

// Nodes that flapped get no children for a time that may be longer than a run.
bool Clients::MayWait(const std::string& path) {
  absl::StatusOr<v1::ListNodesResponse> nodes;
  cluster_->Ask<v1::ListNodesResponse>(
      absl::Seconds(1), &nodes, [&](Reply<v1::ListNodesResponse> done) {
        cluster_->coordinator().ListNodes({.page_size = 1000}, false, nullptr, std::move(done));
      });
  if (!nodes.ok()) return false;
  bool any = false, all = true;
  for (const v1::NodeInfo& info : nodes->nodes()) {
    if (path == "duty/duty3" && info.name() == "n1" && info.quarantined()) return true;  // pinned
    if (info.state() != v1::NODE_STATE_ACTIVE) continue;
    any |= info.quarantined();
    all &= info.quarantined();
  }
  return any && (all || limited_);
}

std::string Clients::CheckSupervisor(const std::string& sup,
                                     const std::map<std::string, bool>& wanted, size_t* running) {
  const auto live = cluster_->history().Live();
  std::set<std::string> missing;
  for (const auto& [id, runs] : wanted) missing.insert(id);
  for (const v1::ChildInfo& c : cluster_->Children(sup)) {
    const std::string path = sup + "/" + c.id();
    auto want = wanted.find(c.id());
    if (want == wanted.end()) return fmt::format("{} is there, nobody was promised it", path);
    missing.erase(c.id());
    auto it = live.find(path);
    size_t lives = 0;
    if (it != live.end()) {
      for (const auto& [fence, node] : it->second) lives += !cluster_->Outlived(path, fence);
    }
    if (!want->second) {
      if (lives != 0 || c.state() == v1::CHILD_STATE_RUNNING)
        return fmt::format("{} is to be stopped and {}", path, v1::ChildState_Name(c.state()));
      continue;
    }
    if (c.state_reason() == "death_not_proven") ConfirmLife(path);
    const bool down = c.state() == v1::CHILD_STATE_PENDING || c.state() == v1::CHILD_STATE_STOPPED;
    if (down && MayWait(path)) {
      waits_ = true;
      continue;
    }
    if (c.state() != v1::CHILD_STATE_RUNNING) {
      return fmt::format("{} is {} ({})", path, v1::ChildState_Name(c.state()), c.state_reason());
    }
    if (lives != 1) return fmt::format("{} has {} lives", path, lives);
    for (const auto& [fence, node] : it->second) {
      if (cluster_->Outlived(path, fence)) continue;
      if (fence != c.fence() || node != c.node()) {
        return fmt::format("{} runs on {} with fence {}; recorded: {} on {}", path, node, fence,
                           c.fence(), c.node());
      }
    }
    ++*running;
  }
  if (!missing.empty()) return fmt::format("{}/{} was promised and is gone", sup, *missing.begin());
  return "";
}

std::string Clients::WhyNotAsPromised() {
  if (!idle()) return fmt::format("{} requests have no answer", open_);
  if (tight_ && !tight_busy_ && cluster_->store_checks().Failed("tight")) {
    ReviveTight();
    return "tight had given up";
  }
  std::map<std::string, bool> pool, duty, group, shelf, tight;
  for (const std::string& id : pool_) pool[id] = true;
  for (int i = 0; i < 5; ++i) duty[fmt::format("duty{}", i)] = true;
  for (int i = 0; i < 3; ++i) group[fmt::format("group{}", i)] = true;
  for (const auto& [id, slot] : shelf_) {
    if (slot.state != Slot::State::kAbsent) shelf[id] = slot.state == Slot::State::kRunning;
  }
  waits_ = Crowded();
  if (waits_) return "";
  size_t running = 2;  // the leaves
  for (const auto& [sup, wanted] :
       {std::pair<std::string, std::map<std::string, bool>*>{"pool", &pool},
        {"duty", &duty},
        {"group", &group},
        {"shelf", &shelf}}) {
    if (std::string why = CheckSupervisor(sup, *wanted, &running); !why.empty()) return why;
  }
  if (tight_) {
    for (int i = 0; i < 2; ++i) tight[fmt::format("tight{}", i)] = true;
    if (std::string why = CheckSupervisor("tight", tight, &running); !why.empty()) return why;
  }
  size_t live = 0;
  for (const auto& [child, lives] : cluster_->history().Live()) {
    size_t here = 0;
    for (const auto& [fence, node] : lives) here += !cluster_->Outlived(child, fence);
    if (here > 1) return fmt::format("{} has {} lives", child, here);
    live += here;
  }
  if (live != running && !waits_)
    return fmt::format("{} children live, {} are wanted", live, running);
  return "";
}

}  // namespace banyan::sim
