// banyan_sim: runs of the simulated cluster, by seed (docs/simulator.md).
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <set>

#include "CLI/CLI.hpp"
#include "fmt/format.h"

#include "tests/sim/faults.h"
#include "tests/sim/mutants.h"
#include "tests/sim/run.h"

namespace banyan::sim {
namespace {

// What runs now, for when a check in the product ends the process.
std::atomic<uint64_t> running{0};

void OnAbort(int) {
  std::fprintf(stderr, "seed %llu breaks CHECK\n", static_cast<unsigned long long>(running.load()));
}

struct Flags {
  uint64_t seed = 0, first = 1, seeds = 100;
  std::string profile = "short", mutant, history;
  std::vector<std::string> faults;
  double phase1 = 0;
  bool list_mutants = false, minimise = false, verbose = false, twice = false, keep_going = false;
  bool workloads = false, segfaults = false, more = false, hashes = false, pairs = false;
  std::string with;
};

std::string Replay(const RunOptions& o, const std::string& mutant) {
  std::string line = fmt::format("banyan_sim --seed {} --profile {}", o.seed, Name(o.profile));
  if (o.phase1 > absl::ZeroDuration())
    line += fmt::format(" --phase1 {:g}", absl::ToDoubleSeconds(o.phase1));
  if (!o.faults.empty()) {
    std::string list;
    for (const std::string& f : o.faults) list += (list.empty() ? "" : ",") + f;
    line += " --faults " + list;
  }
  line += KindOf(o);
  if (!mutant.empty()) line += " --mutant " + mutant;
  return line;
}

// As few classes of faults and as short a first phase as still break the same rule.
RunOptions Minimise(RunOptions options, const RunResult& failed) {
  const std::string rule = RuleOf(failed.violations[0]);
  const auto fails = [&](const RunOptions& o) {
    const RunResult r = RunOnce(o);
    return !r.violations.empty() && RuleOf(r.violations[0]) == rule;
  };
  options.history.clear();
  options.faults = {failed.faults.begin(), failed.faults.end()};
  for (const std::string& name : failed.faults) {
    RunOptions fewer = options;
    fewer.faults.erase(name);
    if (fewer.faults.empty()) fewer.faults.insert("none");
    if (fails(fewer)) options = fewer;
  }
  double works = absl::ToDoubleSeconds(failed.phase1), too_short = 0;
  for (int i = 0; i < 8 && works - too_short > 1; ++i) {
    RunOptions shorter = options;
    shorter.phase1 = absl::Seconds((works + too_short) / 2);
    if (fails(shorter)) {
      works = (works + too_short) / 2;
      options = shorter;
    } else {
      too_short = (works + too_short) / 2;
    }
  }
  return options;
}

int Main(const Flags& flags) {
  const auto began = std::chrono::steady_clock::now();
  const auto wall = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  };
  RunOptions options;
  options.profile = *ParseProfile(flags.profile);
  options.faults = {flags.faults.begin(), flags.faults.end()};
  options.phase1 = absl::Seconds(flags.phase1);
  options.history = flags.history;
  options.workloads = flags.workloads;
  options.segfaults = flags.segfaults;
  options.with = flags.with;
  options.more = flags.more;
  options.pairs = flags.pairs;
  const uint64_t first = flags.seed != 0 ? flags.seed : flags.first;
  const uint64_t count = flags.seed != 0 ? 1 : flags.seeds;
  uint64_t ran = 0, starts = 0, violations = 0, failed = 0;
  double simulated = 0;
  std::map<std::string, uint64_t> marks;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    options.seed = seed;
    running = seed;
    RunResult r;
    if (flags.pairs) {
      std::optional<RunResult> pair = RunPair(options);
      if (!pair) continue;
      r = *std::move(pair);
    } else {
      r = RunOnce(options);
    }
    if (flags.twice && RunOnce(options).hash != r.hash)
      r.violations.push_back("INV-0: the same seed gave two different runs");
    if (flags.hashes) {
      std::printf("seed %llu hash %016llx\n", static_cast<unsigned long long>(seed),
                  static_cast<unsigned long long>(r.hash));
    }
    ++ran;
    starts += r.starts;
    simulated += r.seconds;
    violations += r.violations.size();
    for (const auto& [name, n] : r.marks) marks[name] += n;
    if (r.violations.empty()) continue;
    ++failed;
    if (!flags.keep_going || flags.verbose) std::printf("%s", r.text.c_str());
    std::printf("seed %llu breaks %s\n", static_cast<unsigned long long>(seed),
                RuleOf(r.violations[0]).c_str());
    for (const std::string& v : r.violations) std::printf("  %s\n", v.c_str());
    std::printf("  again: %s\n", Replay(options, flags.mutant).c_str());
    if (flags.minimise)
      std::printf("  least: %s\n", Replay(Minimise(options, r), flags.mutant).c_str());
    std::fflush(stdout);
    if (!flags.keep_going) break;
  }
  if (flags.verbose) {
    for (const auto& [name, n] : marks)
      std::printf("%10llu  %s\n", static_cast<unsigned long long>(n), name.c_str());
  }
  std::printf("%s\n", fmt::format("{} seeds, {:.2f} simulated hours, {:.1f} s of wall time, {:.0f} "
                                  "simulated s per s, {} starts, {} violations in {} seeds",
                                  ran, simulated / 3600, wall(), simulated / wall(), starts,
                                  violations, failed)
                          .c_str());
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace banyan::sim

int main(int argc, char** argv) {
  using namespace banyan::sim;  // NOLINT: this file's own names
  Flags flags;
  CLI::App app("Runs a simulated Banyan cluster under faults; each seed is one run.");
  app.add_option("--seed", flags.seed, "run this seed only");
  app.add_option("--first", flags.first, "first of --seeds")->capture_default_str();
  app.add_option("--seeds", flags.seeds, "how many")->capture_default_str();
  app.add_option("--profile", flags.profile, "length and size of a run")
      ->check(CLI::IsMember({"short", "full", "large"}))
      ->capture_default_str();
  app.add_option("--faults", flags.faults, "only these classes of faults")
      ->delimiter(',')
      ->check(CLI::IsMember([] {
        std::vector<std::string> all = Faults::Classes();
        all.push_back("all");
        all.push_back("none");
        return all;
      }()));
  app.add_option("--phase1", flags.phase1, "seconds of faults; 0: what the seed says");
  app.add_option("--mutant", flags.mutant, "plant this bug");
  app.add_flag("--list-mutants", flags.list_mutants, "show the bugs that can be planted");
  app.add_option("--history", flags.history, "write the history there, as lines of JSON");
  app.add_flag("--minimise", flags.minimise, "look for fewer faults and a shorter run that fail");
  app.add_flag("--twice", flags.twice, "run each seed twice: both runs must be the same");
  app.add_flag("--hashes", flags.hashes,
               "print what each run comes to: another process must print the same");
  app.add_flag("--keep-going", flags.keep_going, "do not stop at the first seed that fails");
  app.add_flag("--workloads", flags.workloads,
               "with links, monitors, messages, calls, names or groups, one of them in each run");
  app.add_flag("--segfaults", flags.segfaults, "with children that crash their nodes")
      ->excludes("--workloads");
  app.add_option("--with", flags.with,
                 "with mailboxes that are flooded, or holders of exclusive names")
      ->check(CLI::IsMember(Withs()))
      ->excludes("--workloads")
      ->excludes("--segfaults");
  app.add_flag("--more", flags.more,
               "with rebalances, removals, mixed releases, starved processes and small limits");
  app.add_flag(
      "--wall-pairs", flags.pairs,
      "run each seed without jumps of wall clocks too: nothing else may differ; seeds that "
      "have none are passed over");
  app.add_flag("-v,--verbose", flags.verbose, "show which rare paths were taken");
  CLI11_PARSE(app, argc, argv);
  if (flags.list_mutants) {
    for (const MutantInfo& m : Mutants()) std::printf("%-26s %s\n", m.name.c_str(), m.what.c_str());
    return 0;
  }
  if (!flags.mutant.empty() && !Activate(flags.mutant)) {
    std::fprintf(stderr, "no mutant \"%s\": see --list-mutants; only the preset \"sim\" has them\n",
                 flags.mutant.c_str());
    return 2;
  }
  std::signal(SIGABRT, OnAbort);
  return Main(flags);
}
