// What processes of different nodes may rely on, each rule on its own: seeds with faults between
// the nodes and of them, and some without. BANYAN_SEED=S runs one seed; BANYAN_SEEDS=N the first N.
#include <cstdlib>

#include "fmt/format.h"
#include "gtest/gtest.h"

#include "tests/sim/sim_cluster.h"
#include "tests/sim/workload_calls.h"
#include "tests/sim/workload_groups.h"
#include "tests/sim/workload_links.h"
#include "tests/sim/workload_messages.h"
#include "tests/sim/workload_monitors.h"
#include "tests/sim/workload_names.h"
#include "tests/sim/workload_queues.h"

namespace banyan::sim {
namespace {

uint64_t FromEnv(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

CoordinatorOptions Times() {
  CoordinatorOptions o;
  o.lease_freeze = absl::Seconds(15);
  o.lease_node = absl::Seconds(20);
  o.lease_coordinator = absl::Seconds(25);
  o.poison_marks_max = 1000;
  return o;
}

// Small ones, that are reached.
PeerOptions Queues() {
  PeerOptions o;
  o.message_bytes_soft = 256 * 1024;
  o.receive_window = 256 * 1024;
  o.inbound_bytes_max = 1024 * 1024;
  return o;
}

// One seed: a cluster, the workload, faults from the seed's part of the menu, rest, the checks.
class Run {
 public:
  Run(uint64_t seed, bool faults, ActorWorkload* workload)
      : seed_(seed),
        faults_(faults),
        workload_(workload),
        cluster_({.seed = seed,
                  .nodes = 3 + static_cast<int>(seed % 2),
                  .coordinator = Times(),
                  .peer = Queues()}) {}

  void All() {
    SCOPED_TRACE(fmt::format("BANYAN_SEED={} {}", seed_, workload_->name()));
    cluster_.StartCoordinator();
    for (int i = 0; i < cluster_.size(); ++i) cluster_.StartNode(i);
    ASSERT_TRUE(cluster_.WaitForNodes(cluster_.size(), absl::Seconds(30)));
    workload_->set_calm(!faults_);
    workload_->Start(cluster_);
    const Instant end = cluster_.time().Now() + absl::Seconds(60);
    const uint64_t menu = cluster_.random().Next();
    while (cluster_.time().Now() < end && cluster_.history().violations().empty()) {
      cluster_.time().RunFor(absl::Milliseconds(100 + cluster_.random().Below(3000)));
      const uint64_t fault = cluster_.random().Below(kFaults);
      if (faults_ && ((menu >> fault) & 1)) Inject(fault);
    }
    Heal();
    workload_->StopLoad();
    // Longer than a lease: lives that were lost are declared over.
    cluster_.time().RunFor(absl::Seconds(60));
    if (cluster_.history().violations().empty()) workload_->AtQuiescence();
    for (const std::string& v : cluster_.history().violations()) ADD_FAILURE() << v;
    if (::testing::Test::HasFailure()) {
      for (const std::string& line : log_) std::fprintf(stderr, "%s\n", line.c_str());
    }
  }

 private:
  static constexpr uint64_t kFaults = 9;

  void Note(const std::string& what) {
    log_.push_back(
        fmt::format("{:8.3f} {}", absl::ToDoubleSeconds(cluster_.time().Now() - Instant()), what));
  }
  void Later(absl::Duration most, std::function<void()> fn) {
    const absl::Duration d = absl::Milliseconds(100) + most * cluster_.random().Unit();
    cluster_.time().ScheduleAt(cluster_.time().Now() + d, std::move(fn));
  }

  // The node, or the coordinator (-1), cannot be heard for up to `most`; its death is no surprise.
  void Trouble(int i, absl::Duration most) {
    cluster_.Trouble(i, cluster_.time().Now() + most + absl::Seconds(5));
  }

  void Inject(uint64_t fault) {
    Random& random = cluster_.random();
    const int i = static_cast<int>(random.Below(cluster_.size()));
    const int j = (i + 1 + static_cast<int>(random.Below(cluster_.size() - 1))) % cluster_.size();
    const std::string a = SimCluster::NodeName(i), b = SimCluster::NodeName(j);
    switch (fault) {
      case 0:
      case 1:
        if (!cluster_.node_up(i)) {
          Note("start " + a);
          return cluster_.StartNode(i);
        }
        Note("kill " + a);
        cluster_.CrashNode(i, random.Below(2) == 0);
        return Later(absl::Seconds(10), [this, i] {
          if (!cluster_.node_up(i)) cluster_.StartNode(i);
        });
      case 2:
      case 3:
        Note("break the streams of " + a + " and " + b);
        return cluster_.network().Break(a, b);
      case 4:
        Note("no frames from " + a + " to " + b);
        cluster_.network().BlockOneWay(a, b);
        return Later(absl::Seconds(20), [this, a, b] { cluster_.network().Heal(a, b); });
      case 5:
        Note("cut " + a + " from " + b);
        cluster_.network().Block(a, b);
        return Later(absl::Seconds(20), [this, a, b] { cluster_.network().Heal(a, b); });
      case 6:
        Note("isolate " + a);
        Trouble(i, absl::Seconds(45));
        cluster_.network().Isolate(a);
        return Later(absl::Seconds(45), [this, a] { cluster_.network().Join(a); });
      case 7:
        if (!cluster_.coordinator_up()) return;
        Note("kill the coordinator");
        Trouble(-1, absl::Seconds(10));
        cluster_.CrashCoordinator();
        return Later(absl::Seconds(10), [this] {
          if (!cluster_.coordinator_up()) cluster_.StartCoordinator();
        });
      default:
        if (!cluster_.node_up(i) || cluster_.node_paused(i)) return;
        Note("pause " + a);
        Trouble(i, absl::Seconds(40));
        cluster_.PauseNode(i);
        return Later(absl::Seconds(random.Below(2) == 0 ? 5 : 40), [this, i] {
          if (cluster_.node_paused(i)) cluster_.ResumeNode(i);
        });
    }
  }

  void Heal() {
    Note("heal");
    cluster_.network().HealAll();
    if (!cluster_.coordinator_up()) cluster_.StartCoordinator();
    for (int i = 0; i < cluster_.size(); ++i) {
      if (!cluster_.node_up(i)) cluster_.StartNode(i);
      if (cluster_.node_paused(i)) cluster_.ResumeNode(i);
    }
  }

  const uint64_t seed_;
  const bool faults_;
  ActorWorkload* const workload_;
  SimCluster cluster_;
  std::vector<std::string> log_;
};

// Every tenth seed without faults. Returns what was done in all, by name.
template <typename W>
std::map<std::string, uint64_t> Seeds() {
  const uint64_t one = FromEnv("BANYAN_SEED", 0);
  const uint64_t count = FromEnv("BANYAN_SEEDS", 60);
  std::map<std::string, uint64_t> sum;
  for (uint64_t seed = one ? one : 1; seed <= (one ? one : count); ++seed) {
    W workload;
    Run(seed, seed % 10 != 0, &workload).All();
    for (const auto& [what, n] : workload.counts()) sum[what] += n;
    if (::testing::Test::HasFailure()) break;
  }
  for (const auto& [what, n] : sum)
    std::printf("%12llu %s\n", static_cast<unsigned long long>(n), what.c_str());
  return sum;
}

TEST(Workloads, INV9To11Links) {
  auto did = Seeds<LinkWorkload>();
  EXPECT_GT(did["exits"], 0u);
  EXPECT_GT(did["links at rest"], 0u);
}
TEST(Workloads, INV12Monitors) {
  auto did = Seeds<MonitorWorkload>();
  EXPECT_GT(did["noprocs"], 0u);
  EXPECT_GT(did["monitors at rest"], 0u);
}
TEST(Workloads, INV13Messages) { EXPECT_GT(Seeds<MessageWorkload>()["gaps"], 0u); }
TEST(Workloads, INV14And15Names) {
  auto did = Seeds<NameWorkload>();
  EXPECT_GT(did["grants at rest"], 0u);
  EXPECT_GT(did["found"], 0u);
}
TEST(Workloads, INV16Groups) { EXPECT_GT(Seeds<GroupWorkload>()["comparisons"], 0u); }
TEST(Workloads, INV21Calls) {
  auto did = Seeds<CallWorkload>();
  EXPECT_GT(did["CALL_TIMEOUT"], 0u);
  EXPECT_GT(did["NOPROC"], 0u);
  EXPECT_GT(did["given up"], 0u);
  EXPECT_GT(did["names given up"], 0u);
}

TEST(Workloads, INV24Queues) {
  auto did = Seeds<QueueWorkload>();
  EXPECT_GT(did["busy"], 0u);
  EXPECT_GT(did["full mailboxes"], 0u);
}

}  // namespace
}  // namespace banyan::sim
