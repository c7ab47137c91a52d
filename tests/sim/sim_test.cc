// The cluster under faults, from seeds. BANYAN_SEED=S runs one seed; BANYAN_SEEDS=N the first N. A
// failure prints the seed, what was done to the cluster, and the rule that broke.
#include <algorithm>
#include <cstdlib>

#include "fmt/format.h"
#include "gtest/gtest.h"

#include "tests/sim/sim_cluster.h"

namespace banyan::sim {
namespace {

CoordinatorOptions Times() {
  CoordinatorOptions o;  // those of a replicated coordinator, so that lease deaths fit into a run
  o.lease_freeze = absl::Seconds(15);
  o.lease_node = absl::Seconds(20);
  o.lease_coordinator = absl::Seconds(25);
  o.poison_marks_max = 1000;  // here nodes die of faults, not of their children
  return o;
}

ChildSpec ProbeSpec(std::string id) {
  ChildSpec spec;
  spec.id = std::move(id);
  spec.start.module = "probe";
  return spec;
}

class SimRun {
 public:
  explicit SimRun(uint64_t seed)
      : cluster_({.seed = seed, .nodes = 3 + static_cast<int>(seed % 3), .coordinator = Times()}),
        seed_(seed) {}

  void All() {
    SCOPED_TRACE(fmt::format("BANYAN_SEED={}", seed_));
    Boot();
    if (!::testing::Test::HasFatalFailure()) Faults(absl::Seconds(90));
    if (!::testing::Test::HasFatalFailure()) Converge();
    for (const std::string& v : cluster_.history().violations()) ADD_FAILURE() << v;
    if (::testing::Test::HasFailure()) {
      std::vector<std::string> lines = log_;
      lines.insert(lines.end(), cluster_.history().log().begin(), cluster_.history().log().end());
      std::sort(lines.begin(), lines.end());
      std::string log;
      for (const std::string& line : lines) log += line + "\n";
      std::fprintf(stderr, "seed %llu did:\n%s", static_cast<unsigned long long>(seed_),
                   log.c_str());
    }
  }
  uint64_t starts() { return cluster_.history().starts(); }

 private:
  void Note(std::string what) {
    log_.push_back(
        fmt::format("{:8.3f} {}", absl::ToDoubleSeconds(cluster_.time().Now() - Instant()), what));
  }

  template <typename T>
  void Must(std::string id, std::function<void(std::string id, Reply<T>)> request) {
    // A client: the same request id until there is an answer.
    for (int tries = 0; tries < 200; ++tries) {
      absl::StatusOr<T> r;
      if (cluster_.Ask<T>(absl::Seconds(20), &r,
                          [&](Reply<T> done) { request(id, std::move(done)); })) {
        if (r.ok()) return;
        if (r.status().code() != absl::StatusCode::kUnavailable) {
          FAIL() << id << ": " << r.status();
        }
      }
      cluster_.time().RunFor(absl::Milliseconds(500));
    }
    FAIL() << id << " was never answered";
  }

  void StartSupervisor(std::string name, SupervisorSpec spec) {
    Must<v1::SupervisorInfo>("sup-" + name, [&](std::string id, Reply<v1::SupervisorInfo> done) {
      StartSupervisorArgs args;
      args.spec = spec;
      args.name = name;
      args.request_id = id;
      cluster_.coordinator().StartSupervisor(std::move(args), std::move(done));
    });
  }

  void Boot() {
    cluster_.StartCoordinator();
    for (int i = 0; i < cluster_.size(); ++i) cluster_.StartNode(i);
    ASSERT_TRUE(cluster_.WaitForNodes(cluster_.size(), absl::Seconds(30)));
    SupervisorSpec pool;
    pool.flags = {.strategy = Strategy::kSimpleOneForOne, .intensity = 100'000};
    pool.child_template = ProbeSpec("");
    StartSupervisor("pool", pool);
    SupervisorSpec duty;
    duty.flags.intensity = 100'000;
    for (int i = 0; i < 4; ++i) duty.children.push_back(ProbeSpec(fmt::format("duty{}", i)));
    duty.children[3].restart = RestartType::kTransient;
    StartSupervisor("duty", duty);
    SupervisorSpec group;
    group.flags = {.strategy = seed_ % 2 ? Strategy::kOneForAll : Strategy::kRestForOne,
                   .intensity = 100'000};
    for (int i = 0; i < 3; ++i) group.children.push_back(ProbeSpec(fmt::format("group{}", i)));
    StartSupervisor("group", group);
    for (int i = 0; i < kPool; ++i) AddToPool();
  }

  void AddToPool() {
    Must<v1::StartChildResponse>(
        fmt::format("pool-{}", pool_++), [&](std::string id, Reply<v1::StartChildResponse> done) {
          StartChildArgs args{.supervisor = Target{Target::Name{"pool"}}};
          args.request_id = id;
          cluster_.coordinator().StartChild(std::move(args), std::move(done));
        });
  }

  // ------------------------------------------------------------- faults

  void Faults(absl::Duration length) {
    Random& random = cluster_.random();
    const Instant end = cluster_.time().Now() + length;
    const uint64_t menu = random.Next();  // each seed has a part of the menu
    while (cluster_.time().Now() < end && cluster_.history().violations().empty()) {
      cluster_.time().RunFor(absl::Milliseconds(100 + random.Below(4000)));
      const int i = static_cast<int>(random.Below(cluster_.size()));
      const uint64_t fault = random.Below(9);
      if (fault < 8 && !((menu >> fault) & 1)) continue;
      Inject(fault, i);
    }
  }

  void Inject(uint64_t fault, int i) {
    Random& random = cluster_.random();
    const std::string name = SimCluster::NodeName(i);
    switch (fault) {
      case 0:
        if (!cluster_.node_up(i)) return Restart(i);
        Note("kill " + name + ", with watcher");
        return cluster_.CrashNode(i, true);
      case 1:
        if (!cluster_.node_up(i)) return Restart(i);
        Note("kill " + name + ", without watcher");
        return cluster_.CrashNode(i, false);
      case 2: {
        if (!cluster_.coordinator_up()) return;
        Note("kill coordinator");
        cluster_.CrashCoordinator();
        cluster_.time().RunFor(absl::Milliseconds(50 + random.Below(5000)));
        Note("start coordinator");
        return cluster_.StartCoordinator();
      }
      case 3:
        Note("cut " + name + " from coordinator");
        cluster_.network().Block(name, "coord");
        return Later(absl::Milliseconds(500 + random.Below(40'000)),
                     [this, name] { cluster_.network().Heal(name, "coord"); });
      case 4:
        Note("isolate " + name);
        cluster_.network().Isolate(name);
        return Later(absl::Milliseconds(500 + random.Below(60'000)),
                     [this, name] { cluster_.network().Join(name); });
      case 5:
        if (!cluster_.node_up(i) || cluster_.node_paused(i)) return;
        Note("pause " + name);
        cluster_.PauseNode(i);
        return Later(absl::Milliseconds(500 + random.Below(50'000)), [this, i, name] {
          if (!cluster_.node_paused(i)) return;
          Note("resume " + name);
          cluster_.ResumeNode(i);
        });
      case 6:
        Note("break streams of " + name);
        return cluster_.network().Break(name, "coord");
      case 7:
        Note("one-way loss coordinator to " + name);
        cluster_.network().BlockOneWay("coord", name);
        return Later(absl::Milliseconds(500 + random.Below(50'000)),
                     [this, name] { cluster_.network().Heal("coord", name); });
      default:
        if (cluster_.node_up(i) && !cluster_.node_paused(i)) cluster_.KillSomeChild(i);
        return;
    }
  }

  void Restart(int i) {
    Note("start " + SimCluster::NodeName(i));
    cluster_.StartNode(i);
  }
  void Later(absl::Duration d, std::function<void()> fn) {
    cluster_.time().ScheduleAt(cluster_.time().Now() + d, std::move(fn));
  }

  // ----------------------------------------------------------- liveness

  void Converge() {
    Note("heal");
    cluster_.network().HealAll();
    if (!cluster_.coordinator_up()) cluster_.StartCoordinator();
    for (int i = 0; i < cluster_.size(); ++i) {
      if (!cluster_.node_up(i)) Restart(i);
      if (cluster_.node_paused(i)) cluster_.ResumeNode(i);
    }
    std::string why = "never looked";
    const Instant end = cluster_.time().Now() + absl::Seconds(120);
    while (cluster_.time().Now() < end) {
      cluster_.network().HealAll();  // what a fault of phase 1 had scheduled
      cluster_.time().RunFor(absl::Seconds(1));
      why = WhyNotConverged();
      if (why.empty()) return;
    }
    ADD_FAILURE() << "INV-17: not as it should be 120 s after the last fault: " << why;
  }

  std::string WhyNotConverged() {
    auto live = cluster_.history().Live();
    size_t want = 0;
    for (auto [sup, count] :
         {std::pair<const char*, int>{"pool", pool_}, {"duty", 4}, {"group", 3}}) {
      std::vector<v1::ChildInfo> children = cluster_.Children(sup);
      if (static_cast<int>(children.size()) != count) {
        return fmt::format("{} has {} children, not {}", sup, children.size(), count);
      }
      for (const v1::ChildInfo& c : children) {
        ++want;
        if (c.state() != v1::CHILD_STATE_RUNNING) {
          return fmt::format("{}/{} is {} ({})", sup, c.id(), v1::ChildState_Name(c.state()),
                             c.state_reason());
        }
        auto it = live.find(c.id());
        if (it == live.end()) return fmt::format("{}/{} runs nowhere", sup, c.id());
        if (it->second.size() != 1)
          return fmt::format("{}/{} has {} lives", sup, c.id(), it->second.size());
        auto [fence, node] = it->second[0];
        if (fence != c.fence() || node != c.node()) {
          return fmt::format("{}/{} runs on {} with fence {}; recorded: {} on {}", sup, c.id(),
                             node, fence, c.fence(), c.node());
        }
      }
    }
    if (live.size() != want)
      return fmt::format("{} children live, {} are wanted", live.size(), want);
    return "";
  }

  static constexpr int kPool = 6;
  SimCluster cluster_;
  const uint64_t seed_;
  int pool_ = 0;
  std::vector<std::string> log_;
};

uint64_t FromEnv(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(Simulation, SeedsHoldTheInvariants) {
  const uint64_t one = FromEnv("BANYAN_SEED", 0);
  const uint64_t count = FromEnv("BANYAN_SEEDS", 300);
  uint64_t starts = 0, runs = 0;
  for (uint64_t seed = one ? one : 1; seed <= (one ? one : count); ++seed) {
    SimRun run(seed);
    run.All();
    starts += run.starts();
    ++runs;
    if (::testing::Test::HasFailure()) break;
  }
  std::printf("%llu seeds, %llu starts of children\n", static_cast<unsigned long long>(runs),
              static_cast<unsigned long long>(starts));
  EXPECT_GT(starts, runs * 13) << "the faults did not make anything start anew";
}

TEST(Simulation, TheSameSeedIsTheSameRun) {
  uint64_t starts[2];
  for (uint64_t& n : starts) {
    SimRun run(7);
    run.All();
    n = run.starts();
  }
  EXPECT_EQ(starts[0], starts[1]);
}

}  // namespace
}  // namespace banyan::sim
