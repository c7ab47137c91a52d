// The cluster under faults, from seeds. BANYAN_SEED=S runs one seed; BANYAN_SEEDS=N the first N;
// the program banyan_sim does more. A failure prints the seed, what was done to the cluster, and
// the rule that broke.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "fmt/format.h"
#include "gtest/gtest.h"

#include "tests/sim/run.h"

namespace banyan::sim {
namespace {

uint64_t FromEnv(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

void Judge(const RunOptions& options, const RunResult& r) {
  if (r.violations.empty()) return;
  std::fprintf(stderr, "%s", r.text.c_str());
  for (const std::string& v : r.violations) {
    ADD_FAILURE() << v << "\n  banyan_sim --seed " << options.seed << " --profile "
                  << Name(options.profile) << KindOf(options);
  }
}

TEST(Simulation, SeedsHoldTheInvariants) {
  const uint64_t one = FromEnv("BANYAN_SEED", 0);
  const uint64_t count = FromEnv("BANYAN_SEEDS", 250);
  std::map<std::string, uint64_t> marks;
  for (uint64_t seed = one ? one : 1; seed <= (one ? one : count); ++seed) {
    const RunOptions options{.seed = seed};
    const RunResult r = RunOnce(options);
    Judge(options, r);
    if (::testing::Test::HasFailure()) return;
    // Every 40th again: the same seed must be the same run.
    if (seed % 40 == 7) {
      EXPECT_EQ(RunOnce(options).hash, r.hash) << "seed " << seed;
    }
    for (const auto& [name, n] : r.marks) marks[name] += n;
  }
  if (one) return;
  for (const std::string& name : WantedMarks())
    EXPECT_TRUE(marks.contains(name)) << "no seed has reached \"" << name << "\"";
}

// INV-26: what wall clocks show changes nothing within a term. (What is old is told by the wall
// after a failover, and rather too strictly.)
TEST(Simulation, WallClocksChangeNothing) {
  uint64_t jumps = 0;
  for (uint64_t seed = 1001; seed < 1200 && jumps < 4; ++seed) {
    const RunOptions with{.seed = seed,
                          .faults = {"wall", "cut", "pause", "kill", "isolate", "children"}};
    const RunResult r = RunOnce(with);
    if (!r.marks.contains("wall clock jumped")) continue;
    ++jumps;
    RunOptions without = with;
    without.wall_jumps = false;
    EXPECT_EQ(RunOnce(without).events_hash, r.events_hash) << "seed " << seed;
  }
  EXPECT_EQ(jumps, 4u);
}

// Each kind of workload, twice.
TEST(Simulation, TheSameSeedIsTheSameRunWithWorkloadsToo) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const RunOptions options{.seed = seed, .workloads = true};
    const RunResult r = RunOnce(options);
    Judge(options, r);
    EXPECT_EQ(RunOnce(options).hash, r.hash) << "seed " << seed;
  }
}

TEST(Simulation, AChildThatCrashesItsNodesIsGivenUpAndNobodyElse) {
  uint64_t given_up = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const RunOptions options{.seed = seed, .segfaults = true};
    const RunResult r = RunOnce(options);
    Judge(options, r);
    given_up += r.marks.contains("a child was given up as poison");
  }
  EXPECT_GT(given_up, 0u);
}

TEST(Simulation, SeedsWithMoreHoldTheInvariantsToo) {
  std::map<std::string, uint64_t> marks;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const RunOptions options{.seed = seed, .more = true};
    const RunResult r = RunOnce(options);
    Judge(options, r);
    if (::testing::Test::HasFailure()) return;
    if (seed % 20 == 7) {
      EXPECT_EQ(RunOnce(options).hash, r.hash) << "seed " << seed;
    }
    for (const auto& [name, n] : r.marks) marks[name] += n;
  }
  for (const char* name : {"starved", "rebalance", "node removed", "upgrade finalized",
                           "hello refused: FEATURE_LEVEL", "children adopted after a restore"}) {
    EXPECT_TRUE(marks.contains(name)) << "no seed has reached \"" << name << "\"";
  }
}

TEST(Simulation, FloodsAndHoldersOfExclusiveNames) {
  for (const std::string& with : Withs()) {
    for (uint64_t seed = 1; seed <= 6; ++seed) {
      const RunOptions options{.seed = seed, .with = with};
      Judge(options, RunOnce(options));
    }
  }
}

// Seeds that once failed: "SEED PROFILE RULE why"; the profile, or what goes on beside the
// children.
TEST(Simulation, WhatOnceFailedHolds) {
  std::ifstream file(BANYAN_REGRESSIONS);
  ASSERT_TRUE(file) << BANYAN_REGRESSIONS;
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    RunOptions options;
    std::string profile, rule;
    words >> options.seed >> profile >> rule;
    ASSERT_TRUE(ParseKind(profile, &options)) << line;
    SCOPED_TRACE(line);
    if (!options.pairs) {
      Judge(options, RunOnce(options));
      continue;
    }
    const std::optional<RunResult> pair = RunPair(options);
    ASSERT_TRUE(pair) << "its wall clocks do not jump";
    Judge(options, *pair);
  }
}

}  // namespace
}  // namespace banyan::sim
