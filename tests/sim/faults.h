#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/clients.h"
#include "tests/sim/sim_cluster.h"

namespace banyan::sim {

// The fault menu (cluster.md 9.3). Each seed has a random part of it, each class its own pace and
// its own random numbers, so that leaving one out changes none of the others.
class Faults {
 public:
  struct Options {
    std::set<std::string> only;  // these classes; empty: what the seed says
    // Only such faults as nothing may be restarted for (INV-17).
    bool calm = false;
    bool wall_jumps = true;  // off: the rest of the run stays as it is
    bool more = false;       // also those classes that other runs do not have
  };
  Faults(SimCluster* cluster, Clients* clients, Options options);

  static std::vector<std::string> Classes();
  // Classes that this run has.
  const std::vector<std::string>& chosen() const { return chosen_; }
  bool Has(const std::string& name) const;
  void Start();
  // Phase 2: no new faults; what the nodes of `core` and the coordinator suffer from is healed, and
  // the other nodes' failures are there to stay.
  void Heal(const std::set<int>& core);

 private:
  using Inject = std::function<void(Random&)>;
  struct Class {
    std::string name;
    Inject inject;
    absl::Duration mean;  // between two
    std::unique_ptr<Random> random;
  };
  void Add(std::string name, double mean_seconds, bool calm, Inject inject);
  void Next(Class* c);
  absl::Duration Length(Random& random, absl::Duration max);
  int AnyNode(Random& random) { return static_cast<int>(random.Below(cluster_->size())); }
  void Note(const std::string& what, const std::string& more = "");
  // Not while a calm run has had something like it a moment ago.
  bool TooSoon(int i);
  void Later(absl::Duration d, std::function<void()> fn);

  void AddProcessFaults();
  void AddNetworkFaults();
  void AddSessionFaults();
  void DropSession(int at, int peer);
  void AddMoreFaults();
  void HealMore(const std::set<int>& core);
  void Starve(Random& random);
  void ChangeRelease(Random& random);
  void Upgrade(Random& random);
  void Replace(Random& random, int process);
  bool Finalized() const;
  uint32_t LevelOf(int slot) const;
  void EndOutdated();
  void AddCoordinatorFaults();
  void AddLoad();
  void CrashNode(Random& random, int i);
  void RestartNode(int i);
  void Cut(Random& random, const std::string& a, const std::string& b, absl::Duration max);
  void Trouble(int i, absl::Duration d) { cluster_->Trouble(i, cluster_->time().Now() + d); }
  void TroubleAll(absl::Duration d);
  void ReviveCoordinator(absl::Duration after);

  SimCluster* const cluster_;
  Clients* const clients_;
  const Options options_;
  bool active_ = false;
  std::vector<std::unique_ptr<Class>> classes_;
  std::vector<std::string> chosen_;
  std::vector<Instant> calm_until_;
  double delay_tail_ = 0;  // part of frames that are very late
  absl::Duration delay_;   // how late, at most
  Instant next_crash_point_;
  double crash_point_part_ = 0;
  std::set<int> newer_;  // processes of the newer release, the coordinator is -1
  int outdated_ = -1;    // a node that is started with a release that is refused
  std::unique_ptr<Random> crash_random_, delay_random_, linger_random_;
};

}  // namespace banyan::sim
