#include "tests/sim/run.h"

#include <algorithm>
#include <fstream>

#include "fmt/format.h"

#include "tests/sim/clients.h"
#include "tests/sim/faults.h"
#include "tests/sim/group_checks.h"
#include "tests/sim/run_kinds.h"
#include "tests/sim/sim_cluster.h"

namespace banyan::sim {
namespace {

// The kinds of runs that seeds are divided into.
enum class Kind {
  kStorm,     // anything goes
  kCalm,      // nothing that restarts a child may happen
  kRollback,  // the store goes back in time at the end
};

struct Shape {
  Kind kind = Kind::kStorm;
  int nodes = 3;
  absl::Duration phase1;
  bool single = false;  // lease times of a single coordinator
  bool tight = false;
  bool limited = false;  // nodes take only so many children
};

Shape ShapeOf(const RunOptions& options) {
  SeededRandom random(options.seed * 7919 + 17);
  Shape s;
  const uint64_t kind = random.Below(12);
  s.kind = kind == 0 ? Kind::kRollback : kind <= 2 ? Kind::kCalm : Kind::kStorm;
  if (options.Beside() || (options.more && s.kind == Kind::kCalm)) s.kind = Kind::kStorm;
  s.single = random.Below(5) == 0;
  s.tight = random.Below(3) == 0 && s.kind == Kind::kStorm;
  s.limited = random.Below(3) == 0;
  switch (options.profile) {
    case Profile::kShort:
      s.nodes = 2 + static_cast<int>(random.Below(3));
      s.phase1 = absl::Seconds(40 + random.Below(30));
      break;
    case Profile::kFull:
      s.nodes = 3 + static_cast<int>(random.Below(6));
      s.phase1 = absl::Seconds(60 + random.Below(240));
      break;
    case Profile::kLarge:
      s.nodes = 60 + static_cast<int>(random.Below(140));
      s.phase1 = absl::Seconds(60 + random.Below(60));
      break;
  }
  if (options.phase1 > absl::ZeroDuration()) s.phase1 = options.phase1;
  return s;
}

CoordinatorOptions Times(const RunOptions& options, const Shape& shape) {
  CoordinatorOptions o;
  if (!shape.single) {  // those of a replicated one, so that lease deaths fit into a run
    o.lease_freeze = absl::Seconds(15);
    o.lease_node = absl::Seconds(20);
    o.lease_coordinator = absl::Seconds(25);
  }
  // Nodes that flap, or are lost together, are back at work before a run is judged.
  o.quarantine_first = absl::Seconds(5);
  o.quarantine_max = absl::Seconds(10);
  o.mass_loss_hold = absl::Seconds(20);
  if (!options.segfaults) o.poison_marks_max = 1000;  // nodes die of faults, not of their children
  if (options.more) Tighten(options, &o);
  return o;
}

// What the workloads' rules hold under; the others are about children.
std::set<std::string> FaultsOf(const RunOptions& options) {
  if (!options.faults.empty() || !options.Beside()) return options.faults;
  // Whoever else lost nodes would mark children, rightly.
  if (options.segfaults)
    return {"breaks", "storm", "delay", "coordinator", "crash_points", "store_slow"};
  return {"kill",  "pause",  "cut",         "isolate", "one_way",
          "peers", "breaks", "coordinator", "sessions"};
}

class SimRun {
 public:
  explicit SimRun(const RunOptions& options)
      : options_(options),
        shape_(ShapeOf(options)),
        cluster_({.seed = options.seed,
                  .nodes = shape_.nodes,
                  .coordinator = Times(options, shape_),
                  .capacity = Capacity(shape_),
                  .peer = SessionLimits(options)}),
        clients_(&cluster_),
        faults_(&cluster_, &clients_,
                {.only = FaultsOf(options),
                 .calm = shape_.kind == Kind::kCalm,
                 .wall_jumps = options.wall_jumps,
                 .more = options.more}) {}

  // The cluster outlives who listens to it.
  ~SimRun() {
    cluster_.on_start = nullptr;
    cluster_.on_end = nullptr;
    cluster_.on_left = nullptr;
    cluster_.feature_level = nullptr;
    cluster_.crash_point = nullptr;
    cluster_.set_scripts(nullptr);
    cluster_.network().set_latency(nullptr);
    cluster_.network().set_linger(nullptr);
  }

  RunResult Go() {
    if (Boot()) {
      Faulty();
      if (history().violations().empty()) {
        shape_.kind == Kind::kRollback ? RollBack() : Converge();
      }
    }
    return Finish();
  }

 private:
  History& history() { return cluster_.history(); }

  static std::function<int64_t(int)> Capacity(const Shape& shape) {
    if (!shape.limited) return nullptr;
    // Enough for all children that there are at first, and tight for those that may come.
    const int64_t each = 30 / shape.nodes + 2;
    return [each](int) { return each; };
  }

  bool Boot() {
    cluster_.store_faults.delay = absl::Milliseconds(2);
    // How much has been forgotten is only known where wall clocks stand.
    cluster_.store_checks().set_wall_jumps(faults_.Has("wall"));
    cluster_.store_checks().set_judge_deaths(true);
    if (options_.Beside()) cluster_.AddWorkload(MakeWorkload(options_));
    cluster_.StartCoordinator();
    for (int i = 0; i < cluster_.size(); ++i) cluster_.StartNode(i);
    if (!cluster_.WaitForNodes(cluster_.size(), absl::Seconds(60)) ||
        !clients_.Boot(shape_.tight, shape_.kind == Kind::kCalm, options_.more)) {
      history().Violation("INV-17: the cluster does not come up");
      return false;
    }
    WatchGroups();
    for (const auto& workload : cluster_.workloads()) workload->Start(cluster_);
    first_starts_ = history().starts();
    return true;
  }

  void WatchGroups() {
    std::vector<std::string> members{"group/group0", "group/group1", "group/group2"};
    groups_.emplace_back(&cluster_, members, clients_.group_is_one_for_all());
    groups_.emplace_back(&cluster_, std::vector<std::string>{"tree/sub/leaf0", "tree/sub/leaf1"},
                         true);
    for (GroupChecks& g : groups_) g.SeedAtEnd();
    // Members that are moved off a node go one by one, that is no restart of the group; nor is it
    // one crash of a child that it is moved while it crashes.
    if (faults_.Has("sigterm") || faults_.Has("operators")) return;
    cluster_.store_checks().set_judge_intensity(true);
    cluster_.on_end = [this](const Life& life, std::string_view why) {
      for (GroupChecks& g : groups_) g.OnEnd(life, why);
    };
    auto next = std::move(cluster_.on_start);
    cluster_.on_start = [this, next = std::move(next)](const Life& life) {
      if (next) next(life);
      for (GroupChecks& g : groups_) g.OnStart(life);
    };
  }

  // Runs for `d`, with a look at all nodes every second; ends early when a rule is broken.
  void RunFor(absl::Duration d) {
    const Instant end = cluster_.time().Now() + d;
    while (cluster_.time().Now() < end && history().violations().empty()) {
      cluster_.time().RunFor(std::min(absl::Seconds(1), end - cluster_.time().Now()));
      CheckSessions();
    }
  }

  // INV-4: no session with a life that a node knows to be over.
  void CheckSessions() {
    for (int i = 0; i < cluster_.size(); ++i) {
      if (!cluster_.node_up(i) || cluster_.node_paused(i)) continue;
      for (const auto& peer : cluster_.node(i).peers().Peers()) {
        if (!peer.up || !cluster_.wire_checks().Knows(SimCluster::NodeName(i), peer.id.node_id,
                                                      peer.id.incarnation)) {
          continue;
        }
        history().Violation(
            fmt::format("INV-4: {} has a session with {}:{}, which it knows to be dead",
                        SimCluster::NodeName(i), peer.id.node_id, peer.id.incarnation));
      }
    }
  }

  void Faulty() {
    std::string list;
    for (const std::string& f : faults_.chosen()) {
      if (f != "wall") list += " " + f;  // with and without it the history is the same
    }
    history().Event("run", "faults", list);
    faults_.Start();
    RunFor(shape_.phase1);
  }

  std::set<int> Core() {
    std::set<int> core;
    auto random = cluster_.Fork("core");
    for (int i = 0; i < cluster_.size(); ++i) core.insert(i);
    if (shape_.kind == Kind::kCalm || options_.Beside()) return core;
    const int lost = static_cast<int>(random->Below(cluster_.size() / 3 + 1));
    // The first node has a child that can be nowhere else.
    for (int k = 0; k < lost; ++k)
      core.erase(1 + static_cast<int>(random->Below(cluster_.size() - 1)));
    return core;
  }

  void Converge() {
    const std::set<int> core = Core();
    faults_.Heal(core);
    for (const auto& workload : cluster_.workloads()) workload->StopLoad();
    if (!std::all_of(cluster_.workloads().begin(), cluster_.workloads().end(),
                     [](const auto& w) { return w->KeepsChildren(); }))
      return Rest();
    clients_.PutRight();
    // Not while their children may still run.
    const absl::Duration lease = cluster_.options().coordinator.lease_coordinator;
    cluster_.After(lease + absl::Seconds(3), [this, core] {
      for (int i = 0; i < cluster_.size(); ++i) {
        if (!core.contains(i)) clients_.ConfirmDead(i);
      }
    });
    // The bound is for the shorter times.
    const absl::Duration limit =
        absl::Seconds(60) + (shape_.single ? absl::Seconds(35) : absl::ZeroDuration());
    const Instant bound = cluster_.time().Now() + limit;
    Instant end = bound;
    const Instant noticed = cluster_.time().Now() + lease + absl::Seconds(8);
    const bool whole = core.size() == static_cast<size_t>(cluster_.size());
    std::string why = "never looked";
    while (cluster_.time().Now() < end && history().violations().empty()) {
      RunFor(absl::Seconds(1));
      why = WhyNotThere(core);
      if (why.empty()) why = clients_.WhyNotAsPromised();
      // A child that was lost often, and late, waits for its next start.
      if (why.find("CHILD_STATE_BACKOFF") != std::string::npos) end = bound + RestartBackoff().max;
      // Who is gone for good is noticed when its lease is over.
      if (why.empty() && (whole || cluster_.time().Now() >= noticed)) break;
    }
    if (!history().violations().empty()) return;
    if (!why.empty()) {
      DumpStore();
      return history().Violation(
          fmt::format("INV-17: not as it should be {} after the last fault: {}",
                      absl::FormatDuration(limit), why));
    }
    // It stays so, and everything else comes to rest as well.
    const uint64_t starts = history().starts();
    const bool waits = clients_.waits();
    RunFor(absl::Seconds(14));
    if (!history().violations().empty()) return;
    if (why = clients_.WhyNotAsPromised(); !why.empty())
      history().Violation("INV-17: it did not stay as it should be: " + why);
    // What is left of a rebalance goes on for minutes.
    if (history().starts() != starts && !waits && !faults_.Has("admin"))
      history().Violation("INV-17: children start in a cluster at rest");
    if (shape_.kind == Kind::kCalm && history().starts() != first_starts_)
      history().Violation("INV-17: a child was restarted for a failover or a broken stream");
    if (!options_.Beside() || !history().violations().empty()) return;
    Rest();
  }

  void Rest() {
    RunFor(absl::Seconds(46));  // lives that were lost are declared over
    for (const auto& workload : cluster_.workloads()) workload->AtQuiescence();
  }

  // Nodes that were told to stop before the end of the faults do so, and come back.
  std::string WhyNotThere(const std::set<int>& core) {
    for (int i : core) {
      const bool there = cluster_.node_up(i) && cluster_.node(i).joined();
      if (!there || cluster_.node(i).draining())
        return fmt::format("{} is not a member, or leaves", SimCluster::NodeName(i));
    }
    return "";
  }

  // What is on record, for people who look at a run that did not converge.
  void DumpStore() {
    for (const auto& [key, value] : cluster_.disk().data) {
      internal::v1::AssignmentRecord asg;
      internal::v1::SupervisorRecord sup;
      internal::v1::NodeRecord node;
      std::string text;
      if (key.ends_with("/asg") && asg.ParseFromString(value)) {
        text = asg.ShortDebugString();
      } else if (key.starts_with("sup/") && sup.ParseFromString(value)) {
        sup.clear_spec();
        text = sup.ShortDebugString();
      } else if (key.starts_with("node/") && node.ParseFromString(value)) {
        text = node.ShortDebugString();
      } else {
        continue;
      }
      history().Event("store", key, text);
    }
  }

  // INV-25: an older store knows less than the nodes do, so it may command nothing.
  void RollBack() {
    std::set<int> all;
    for (int i = 0; i < cluster_.size(); ++i) all.insert(i);
    faults_.Heal(all);
    RunFor(absl::Seconds(2));
    const MemoryDisk old = cluster_.disk();
    // Later terms are one sign that it is old; without them only what the nodes have seen shows it.
    const int later_terms = options_.more && options_.seed % 2 == 1 ? 0 : 3;
    for (int i = 0; i < 6 && later_terms == 0; ++i) clients_.ChildRequest();
    RunFor(absl::Seconds(20));
    for (int terms = 0; terms < later_terms; ++terms) {
      cluster_.CrashCoordinator();
      cluster_.StartCoordinator();
      RunFor(absl::Seconds(5));
    }
    cluster_.CrashCoordinator();
    history().Event("fault", "the store is an older one");
    history().Mark("store rolled back");
    cluster_.ReplaceDisk(old);
    cluster_.store_checks().Forget();
    cluster_.wire_checks().ForbidCommands();
    cluster_.StartCoordinator();
    RunFor(absl::Seconds(30));
    if (options_.more && history().violations().empty()) Adopt();
  }

  // Whoever restored the store has what runs taken over: none of it is stopped or started again.
  void Adopt() {
    const auto before = cluster_.history().Live();
    const uint64_t starts = history().starts();
    cluster_.wire_checks().AllowCommands();
    absl::StatusOr<v1::EndSafeModeResponse> ended;
    v1::EndSafeModeRequest request;
    request.set_decision(v1::EndSafeModeRequest::DECISION_ADOPT);
    const bool answered = cluster_.Ask<v1::EndSafeModeResponse>(
        absl::Seconds(10), &ended, [&](Reply<v1::EndSafeModeResponse> done) {
          cluster_.coordinator().EndSafeMode(request, std::move(done));
        });
    if (!answered || !ended.ok()) {
      return history().Violation(fmt::format("INV-25: SAFE mode does not end: {}",
                                             answered ? ended.status().ToString() : "no answer"));
    }
    history().Mark("children adopted after a restore");
    RunFor(absl::Seconds(10));
    if (history().starts() != starts)
      history().Violation(
          "INV-25: children are started before the leases of the time before are over");
    for (const auto& [child, lives] : before) {
      // Of these some may be being stopped as the backup is made.
      if (child.starts_with("pool/") || child.starts_with("shelf/")) continue;
      for (const auto& [fence, node] : lives) {
        if (history().IsLive(child, fence) || cluster_.Outlived(child, fence)) continue;
        history().Violation(fmt::format("INV-25: {} of {} was adopted and has ended", child, node));
      }
    }
  }

  RunResult Finish() {
    RunResult r;
    r.violations = history().violations();
    r.marks = history().marks();
    r.faults = faults_.chosen();
    r.hash = history().hash();
    r.events_hash = history().events_hash();
    r.starts = history().starts();
    r.dispatches = history().dispatches();
    r.requests = clients_.requests();
    r.seconds = cluster_.seconds();
    r.phase1 = shape_.phase1;
    if (!r.violations.empty()) r.text = history().Text();
    if (!options_.history.empty()) {
      std::ofstream file(options_.history);
      history().WriteJson(&file);
    }
    return r;
  }

  const RunOptions options_;
  const Shape shape_;
  SimCluster cluster_;
  Clients clients_;
  Faults faults_;
  std::vector<GroupChecks> groups_;
  uint64_t first_starts_ = 0;
};

}  // namespace

RunResult RunOnce(const RunOptions& options) {
  SimRun run(options);
  return run.Go();
}

}  // namespace banyan::sim
