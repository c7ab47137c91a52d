// Whether in the end all is as the clients were promised.
#include <cmath>
#include <set>

#include "fmt/format.h"

#include "tests/sim/clients.h"

namespace banyan::sim {

// Nodes whose clocks drift get no exclusive children (L6); where a rate has changed, which of them
// the coordinator goes by is not known here.
bool Clients::ClockIsRight(const std::string& node) const {
  for (int i = 0; i < cluster_->size() && cluster_->coordinator_up(); ++i) {
    if (SimCluster::NodeName(i) != node || !cluster_->node_up(i)) continue;
    const SimHost &there = cluster_->node_host(i), &here = cluster_->coordinator_host();
    return there.steady() && here.steady() && std::abs(there.rate() / here.rate() - 1) < 0.0015;
  }
  return false;
}

// No node can take the child, so it is rightly not there. What is known of nodes and of what they
// run is on record.
bool Clients::Waits(const std::string& path) {
  internal::v1::ChildRecord spec;
  std::map<uint32_t, int64_t> taken;  // by node number
  const auto weight = [](const internal::v1::ChildRecord& record) {
    const auto it = record.spec().resources().find("weight");
    return it == record.spec().resources().end() ? 1 : it->second;
  };
  const auto& data = cluster_->disk().data;
  for (const auto& [key, value] : data) {
    if (!key.starts_with("child/") || !key.ends_with("/spec")) continue;
    internal::v1::ChildRecord record;
    internal::v1::AssignmentRecord asg;
    const std::string child = key.substr(6, key.size() - 11);
    const auto place = data.find("child/" + child + "/asg");
    if (place == data.end() || !asg.ParseFromString(place->second)) continue;
    if (!record.ParseFromString(value)) continue;
    if (child == path) spec = record;
    taken[asg.node_id()] += weight(record);
  }
  const bool exclusive = spec.spec().exclusivity() != v1::EXCLUSIVITY_AVAILABLE;
  for (const auto& [key, value] : data) {
    internal::v1::NodeRecord node;
    if (!key.starts_with("node/") || !node.ParseFromString(value)) continue;
    if (node.state() != v1::NODE_STATE_ACTIVE) continue;
    const std::string& wanted = spec.spec().placement().node();
    if (!wanted.empty() && wanted != node.name()) continue;
    if (exclusive && !ClockIsRight(node.name())) continue;
    const auto capacity = node.capacity().find("weight");
    const bool limited = capacity != node.capacity().end() && capacity->second > 0;
    if (limited && taken[node.node_id()] + weight(spec) > capacity->second) continue;
    return false;
  }
  waits_ = true;
  return true;
}

std::string Clients::CheckSupervisor(const std::string& sup,
                                     const std::map<std::string, bool>& wanted, size_t* running) {
  const auto live = cluster_->history().Live();
  std::set<std::string> missing;
  for (const auto& [id, runs] : wanted) missing.insert(id);
  bool group_waits = false;  // those behind one that waits come after it
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
    const bool waits = c.state() == v1::CHILD_STATE_PENDING && Waits(path);
    // A start list is worked off in order, and what is revived begins with it.
    group_waits |=
        waits && (sup == "group" || sup == "tree/sub" || (sup == "tight" && tight_revived_));
    if ((waits || group_waits) && lives == 0) continue;
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
  waits_ = false;
  const std::map<std::string, bool> leaves{{"leaf0", true}, {"leaf1", true}};
  size_t running = 0;
  for (const auto& [sup, wanted] :
       {std::pair<std::string, const std::map<std::string, bool>*>{"pool", &pool},
        {"tree/sub", &leaves},
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
  if (live != running) return fmt::format("{} children live, {} are wanted", live, running);
  return "";
}

}  // namespace banyan::sim
