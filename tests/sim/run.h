#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace banyan::sim {

enum class Profile { kShort, kFull, kLarge };
const char* Name(Profile profile);
std::optional<Profile> ParseProfile(const std::string& name);

struct RunOptions {
  uint64_t seed = 1;
  Profile profile = Profile::kShort;
  std::set<std::string> faults;                  // only these classes; empty: those of the seed
  absl::Duration phase1 = absl::ZeroDuration();  // zero: that of the seed
  bool wall_jumps = true;                        // off: the same run without them
  bool workloads = false;                        // one of links, monitors, calls, ... as well
  bool segfaults = false;                        // children that crash their nodes as well
  std::string with;                              // one of Withs() as well; empty: none
  bool pairs = false;                            // by RunPair()
  // Faults that other runs do not have, with small limits (docs/simulator.md).
  bool more = false;
  std::string history;  // file that it is written to; empty: none
  // Something goes on beside the children.
  bool Beside() const { return workloads || segfaults || !with.empty(); }
};
// What can go on beside the children by name.
std::vector<std::string> Withs();

struct RunResult {
  std::vector<std::string> violations;
  std::map<std::string, uint64_t> marks;
  std::vector<std::string> faults;
  std::string text;  // what was done, of a run that failed
  uint64_t hash = 0, events_hash = 0;
  uint64_t starts = 0, dispatches = 0, requests = 0;
  double seconds = 0;  // of simulated time
  absl::Duration phase1;
};

// One run, all of which follows from its options.
RunResult RunOnce(const RunOptions& options);

// What a run is named by in regressions.txt: a profile, or what is special about it.
bool ParseKind(const std::string& kind, RunOptions* options);
std::string KindOf(const RunOptions& options);

// INV-26: the run with jumps of wall clocks and without them, both without another term of the
// coordinator: ages of restarts are told by the wall clock after one. Nullopt: it has none.
std::optional<RunResult> RunPair(RunOptions options);

// The rule that a violation names, "INV-7".
std::string RuleOf(const std::string& violation);

// Marks that the seeds of a test must reach, all together.
std::vector<std::string> WantedMarks();

}  // namespace banyan::sim
