// Faults of the runs with more: operators who move and remove, processes that get too little time,
// and releases that are mixed. Other runs have none of them, and their seeds stay what they are.
#include "fmt/format.h"

#include "server/core/feature_level.h"
#include "tests/sim/faults.h"

namespace banyan::sim {
namespace {

constexpr uint32_t kOld = kFeatureLevel, kNew = kFeatureLevel + 1;

}  // namespace

void Faults::AddMoreFaults() {
  if (!options_.more) return;
  Add("admin", 8, false, [this](Random& r) { clients_->AdminRequest(r); });
  Add("starved", 15, false, [this](Random& r) { Starve(r); });
  Add("releases", 10, false, [this](Random& r) { ChangeRelease(r); });
  if (classes_.back()->inject == nullptr) return;
  cluster_->feature_level = [this](int slot) { return LevelOf(slot); };
}

// A node, or the coordinator.
void Faults::Starve(Random& r) {
  const int i = static_cast<int>(r.Below(cluster_->size() + 1)) - 1;
  const absl::Duration each = absl::Milliseconds(15) * r.Unit();
  const absl::Duration d = absl::Seconds(2) + absl::Seconds(28) * r.Unit();
  if (i < 0 ? !cluster_->coordinator_up() : !cluster_->node_up(i)) return;
  Note("starve", fmt::format("{} for {}: {} each", i < 0 ? "coord" : cluster_->AddressOf(i),
                             absl::FormatDuration(d), absl::FormatDuration(each)));
  i < 0 ? TroubleAll(d + absl::Seconds(10)) : Trouble(i, d + absl::Seconds(10));
  cluster_->history().Mark("starved");
  SimHost* host = i < 0 ? &cluster_->coordinator_host() : &cluster_->node_host(i);
  host->Starve(each);
  Later(d, [this, i, host, lives = i < 0 ? 0 : cluster_->node_lives(i)] {
    if (i < 0) {
      if (cluster_->coordinator_up() && &cluster_->coordinator_host() == host)
        host->Starve(absl::ZeroDuration());
    } else if (cluster_->node_up(i) && cluster_->node_lives(i) == lives) {
      host->Starve(absl::ZeroDuration());
    }
  });
}

// ------------------------------------------------------------------ releases

bool Faults::Finalized() const {
  internal::v1::MetaRecord meta;
  const auto& data = cluster_->disk().data;
  const auto it = data.find("meta");
  return it != data.end() && meta.ParseFromString(it->second) && meta.level() >= kNew;
}

// An older coordinator does not start on a store whose upgrade is final, and an older node that
// does start is refused.
uint32_t Faults::LevelOf(int slot) const {
  const int process = slot < 0 ? slot : slot % cluster_->size();
  if (process >= 0 && process == outdated_) return kOld;
  return Finalized() || newer_.contains(process) ? kNew : kOld;
}

void Faults::ChangeRelease(Random& r) {
  if (r.Below(3) == 0) return Upgrade(r);
  const int i = static_cast<int>(r.Below(cluster_->size() + 1)) - 1;
  const bool forward = r.Below(3) != 0;
  // Until it is final the older release can come back.
  forward ? void(newer_.insert(i)) : void(newer_.erase(i));
  const bool outdated = i >= 0 && !forward && Finalized() && outdated_ < 0 && cluster_->node_up(i);
  Note("release", fmt::format("{} of {}{}", forward ? "the newer" : "the older",
                              i < 0 ? "coord" : SimCluster::NodeName(i),
                              outdated ? ", which is refused" : ""));
  if (outdated) {
    Trouble(i, absl::Seconds(15));
    outdated_ = i;
    Later(absl::Seconds(10), [this] { EndOutdated(); });
  }
  Replace(r, i);
}

// All of them, one after the other, and then for good.
void Faults::Upgrade(Random& r) {
  if (Finalized()) return;
  Note("upgrade");
  for (int i = -1; i < cluster_->size(); ++i) {
    newer_.insert(i);
    Later(absl::Seconds(1.5) * (i + 2), [this, i, &r] { Replace(r, i); });
  }
  Later(absl::Seconds(1.5) * (cluster_->size() + 4), [this] { clients_->Finalize(kNew); });
}

// The process ends, and the next one is of its release.
void Faults::Replace(Random& r, int i) {
  const absl::Duration down = absl::Milliseconds(100) + absl::Seconds(1) * r.Unit();
  const bool watched = r.Below(2) == 0;
  if (i < 0) {
    if (!cluster_->coordinator_up()) return;
    cluster_->CrashCoordinator();
    return ReviveCoordinator(down);
  }
  if (!cluster_->node_up(i)) return;
  Trouble(i, down);
  cluster_->CrashNode(i, watched);
  Later(down, [this, i] { RestartNode(i); });
}

void Faults::EndOutdated() {
  const int i = std::exchange(outdated_, -1);
  if (i < 0 || !cluster_->node_up(i) || cluster_->node(i).options().feature_level == kNew) return;
  Note("the release that is refused is replaced", SimCluster::NodeName(i));
  cluster_->CrashNode(i, true);
  RestartNode(i);
}

void Faults::HealMore(const std::set<int>& core) {
  if (!options_.more) return;
  EndOutdated();
  // An upgrade that was made final while they were away.
  for (int wait = 1; wait < 30; ++wait) {
    cluster_->After(absl::Seconds(wait), [this, core] {
      for (int i : core) {
        if (!Has("releases") || !Finalized() || !cluster_->node_up(i)) continue;
        if (cluster_->node(i).options().feature_level == kNew || cluster_->node(i).joined())
          continue;
        cluster_->CrashNode(i, true);
        cluster_->StartNode(i);
      }
    });
  }
  if (cluster_->coordinator_up()) cluster_->coordinator_host().Starve(absl::ZeroDuration());
  for (int i = 0; i < cluster_->size(); ++i) {
    if (cluster_->node_up(i)) cluster_->node_host(i).Starve(absl::ZeroDuration());
  }
}

}  // namespace banyan::sim
