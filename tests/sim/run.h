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
  std::string history;                           // file that it is written to; empty: none
  // Something goes on beside the children.
  bool Beside() const { return workloads || segfaults; }
};

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

// The rule that a violation names, "INV-7".
std::string RuleOf(const std::string& violation);

// Marks that the seeds of a test must reach, all together.
std::vector<std::string> WantedMarks();

}  // namespace banyan::sim
