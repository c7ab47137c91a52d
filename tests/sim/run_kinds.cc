#include "tests/sim/run_kinds.h"

#include <algorithm>
#include <utility>

#include "common/time/random.h"
#include "tests/sim/faults.h"
#include "tests/sim/workload_calls.h"
#include "tests/sim/workload_crashes.h"
#include "tests/sim/workload_groups.h"
#include "tests/sim/workload_holders.h"
#include "tests/sim/workload_links.h"
#include "tests/sim/workload_messages.h"
#include "tests/sim/workload_monitors.h"
#include "tests/sim/workload_names.h"
#include "tests/sim/workload_queues.h"

namespace banyan::sim {

PeerOptions SessionLimits(const RunOptions& options) {
  PeerOptions o;
  if (options.with == "floods") {
    o.message_bytes_soft = o.receive_window = 256 * 1024;
    o.inbound_bytes_max = 1024 * 1024;
    o.message_bytes_max = 64 * 1024;
  }
  if (!options.more) return o;
  SeededRandom random(options.seed * 6151 + 3);
  o.batch_frames_max = 1 + random.Below(4);
  o.teardown_slice = 1 + random.Below(3);
  o.fragment_bytes = 1024 << random.Below(6);
  o.idle_close = absl::Seconds(2 + random.Below(20));
  return o;
}

void Tighten(const RunOptions& options, CoordinatorOptions* o) {
  SeededRandom random(options.seed * 12289 + 5);
  o->starts_in_flight_per_node = 1 + static_cast<uint32_t>(random.Below(3));
  o->starts_per_second = 5 + static_cast<double>(random.Below(50));
  o->interests_per_node = 1 + random.Below(3);
  o->relays_max = random.Below(2);
  o->pending_retry = absl::Seconds(1 + random.Below(10));
  o->events_max = 10;
}

std::unique_ptr<Workload> MakeWorkload(const RunOptions& options) {
  if (options.with == "floods") return std::make_unique<QueueWorkload>(/*oversized=*/true);
  if (options.with == "holders") return std::make_unique<HolderWorkload>();
  if (options.segfaults) return std::make_unique<CrashWorkload>();
  switch (options.seed % 6) {
    case 0:
      return std::make_unique<LinkWorkload>();
    case 1:
      return std::make_unique<MonitorWorkload>();
    case 2:
      return std::make_unique<MessageWorkload>();
    case 3:
      return std::make_unique<CallWorkload>();
    case 4:
      return std::make_unique<NameWorkload>();
    default:
      return std::make_unique<GroupWorkload>();
  }
}

const char* Name(Profile profile) {
  return profile == Profile::kShort ? "short" : profile == Profile::kFull ? "full" : "large";
}

std::optional<Profile> ParseProfile(const std::string& name) {
  for (Profile p : {Profile::kShort, Profile::kFull, Profile::kLarge}) {
    if (name == Name(p)) return p;
  }
  return std::nullopt;
}

std::vector<std::string> Withs() { return {"floods", "holders"}; }

bool ParseKind(const std::string& kind, RunOptions* options) {
  const std::vector<std::string> withs = Withs();
  options->workloads = kind == "workloads";
  options->segfaults = kind == "segfaults";
  options->more = kind == "more";
  options->pairs = kind == "pairs";
  if (std::find(withs.begin(), withs.end(), kind) != withs.end()) options->with = kind;
  if (options->Beside() || options->more || options->pairs) return true;
  const std::optional<Profile> profile = ParseProfile(kind);
  if (profile) options->profile = *profile;
  return profile.has_value();
}

std::string KindOf(const RunOptions& options) {
  std::string text = options.workloads ? " --workloads" : options.segfaults ? " --segfaults" : "";
  if (!options.with.empty()) text += " --with " + options.with;
  if (options.pairs) text += " --wall-pairs";
  return text + (options.more ? " --more" : "");
}

std::optional<RunResult> RunPair(RunOptions options) {
  // Those that may begin another term are left out.
  if (options.faults.empty()) {
    for (const std::string& name : Faults::Classes()) {
      if (name != "coordinator" && name != "crash_points" && name != "sessions")
        options.faults.insert(name);
    }
  }
  options.wall_jumps = true;
  RunResult with = RunOnce(options);
  if (!with.violations.empty()) return with;
  if (!with.marks.contains("wall clock jumped") || with.marks.contains("a new term is joined"))
    return std::nullopt;
  options.wall_jumps = false;
  if (RunOnce(options).events_hash != with.events_hash)
    with.violations.push_back("INV-26: without jumps of wall clocks it is another run");
  return with;
}

std::string RuleOf(const std::string& violation) {
  const size_t at = violation.find("INV-");
  return at == std::string::npos ? "?" : violation.substr(at, violation.find(':', at) - at);
}

std::vector<std::string> WantedMarks() {
  return {"frozen",
          "thawed",
          "death by lease",
          "death by watcher",
          "death by superseded",
          "node left",
          "a new term is joined",
          "children reported in a resync",
          "zombie command refused",
          "hello refused: NAME_IN_USE",
          "retry answered from record",
          "reply lost",
          "terminate pending",
          "drain",
          "child moved",
          "orphan stopped",
          "group restart resumed in the next term",
          "store full",
          "store rolled back",
          "supervisor gave up",
          "stale write refused",
          "wall clock jumped",
          "crash at assignment.before_commit",
          "crash at assignment.after_commit",
          "crash at start.sent",
          "crash at started.reported",
          "crash at stop.reported",
          "crash at before_reply",
          "barrier waited",
          "group member stopped"};
}

}  // namespace banyan::sim
