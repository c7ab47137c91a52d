#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/time/random.h"
#include "common/time/virtual_time.h"
#include "server/behaviours/host.h"
#include "server/behaviours/module.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/store/memory_store.h"
#include "server/node/node.h"
#include "tests/sim/history.h"
#include "tests/sim/probe.h"
#include "tests/sim/sim_host.h"
#include "tests/sim/store_checks.h"
#include "tests/sim/wire_checks.h"
#include "tests/sim/workload.h"
#include "tests/support/sim_transport.h"

namespace banyan::sim {

// How an end comes: the process is killed and its watcher tells; killed with its watcher; the whole
// machine loses power.
enum class Crash { kWatched, kUnwatched, kPower };

// A whole cluster in one thread on virtual time: the coordinator and the nodes that ship, on
// simulated processes, network and disk. Everything follows from the seed.
class SimCluster {
 public:
  struct Options {
    uint64_t seed = 1;
    int nodes = 3;
    // Lease times of the run; the coordinator checks them.
    CoordinatorOptions coordinator;
    // Weight of children that node `i` takes; null or 0: no limit.
    std::function<int64_t(int i)> capacity;
    PeerOptions peer;  // of the sessions between nodes
  };
  explicit SimCluster(Options options);
  ~SimCluster();

  VirtualTime& time() { return time_; }
  double seconds() const { return absl::ToDoubleSeconds(time_.Now() - Instant()); }
  Random& random() { return random_; }
  testing::SimNetwork& network() { return network_; }
  History& history() { return history_; }
  StoreChecks& store_checks() { return store_checks_; }
  WireChecks& wire_checks() { return wire_checks_; }
  MemoryDisk& disk() { return *disk_; }
  const Options& options() const { return options_; }
  int size() const { return options_.nodes; }
  // A stream of random numbers of its own, the same for the same seed and purpose.
  std::unique_ptr<Random> Fork(std::string_view purpose) const;
  // Runs `fn` after `d`, whatever becomes of the processes.
  void After(absl::Duration d, std::function<void()> fn) {
    time_.ScheduleAt(time_.Now() + d, std::move(fn));
  }
  // What goes on beside the children; before the first node starts.
  void AddWorkload(std::unique_ptr<Workload> workload) {
    workloads_.push_back(std::move(workload));
  }
  const std::vector<std::unique_ptr<Workload>>& workloads() const { return workloads_; }

  // --- processes. Names are "n1", "n2", ...; addresses are the names, the coordinator's is
  // "coord". Slots from size() on are second processes that use the name of node slot - size().
  void StartCoordinator();
  void CrashCoordinator();
  // In the middle of what it does: nothing more of it happens or gets out.
  void CrashCoordinatorNow(std::string_view where);
  bool coordinator_up() const { return coordinator_ != nullptr && !coordinator_->host.dead(); }
  Coordinator& coordinator() { return *coordinator_->coordinator; }
  SimHost& coordinator_host() { return coordinator_->host; }
  // A coordinator that was restored from a backup: the next one starts on `data`.
  void ReplaceDisk(MemoryDisk data) { *disk_ = std::move(data); }
  void StartNode(int i);
  // kill -9. With a watcher the coordinator hears of it soon.
  void CrashNode(int i, bool watcher) {
    CrashNode(i, watcher ? Crash::kWatched : Crash::kUnwatched);
  }
  void CrashNode(int i, Crash how);
  // A child crashes its node in the middle of a turn. `written`: the dying process has written down
  // whose code it was, as the watcher, if there is one, and the node's next life will say.
  void CrashInTurn(int i, internal::v1::LastCrash crash, bool written, bool watcher);
  // SIGTERM: it stops its children and leaves; the process ends in the turn in which that is done.
  void StopNode(int i);
  void PauseNode(int i);
  void ResumeNode(int i);
  // The machine stands still, its clock too.
  void StopMachine(int i);
  void ContinueMachine(int i);
  bool node_up(int i) const { return Slot(i) != nullptr && Slot(i)->process != nullptr; }
  bool node_paused(int i) const { return node_up(i) && Slot(i)->process->host.paused(); }
  int node_lives(int i) const { return Slot(i) == nullptr ? 0 : Slot(i)->lives; }
  SimHost& node_host(int i) { return Slot(i)->process->host; }
  Runtime& runtime(int i) { return Slot(i)->process->runtime; }
  Node& node(int i) { return *Slot(i)->process->node; }
  static std::string NodeName(int i) { return "n" + std::to_string(i + 1); }
  std::string AddressOf(int slot) const;
  // Something keeps node `i` (or the coordinator: -1) from being heard, now and until `until`.
  void Trouble(int i, Instant until);

  // --- clients.
  // Runs until `done` was called or `limit` is over; false: no answer.
  template <typename T>
  bool Ask(absl::Duration limit, absl::StatusOr<T>* out, std::function<void(Reply<T>)> request) {
    auto answer = std::make_shared<std::optional<absl::StatusOr<T>>>();
    if (coordinator_up()) request([answer](absl::StatusOr<T> r) { *answer = std::move(r); });
    if (!time_.RunUntil([&] { return answer->has_value(); }, limit)) return false;
    *out = **answer;
    return true;
  }
  bool WaitForNodes(int active, absl::Duration limit);
  std::vector<v1::ChildInfo> Children(const std::string& supervisor);
  // Exits a random live child of the node, if there is one.
  void KillSomeChild(int i);

  // --- children
  void set_scripts(std::function<ProbeScript(const std::string& child)> fn) {
    scripts_ = std::move(fn);
  }
  ProbeScript ScriptOf(const std::string& child) const {
    return scripts_ ? scripts_(child) : ProbeScript();
  }
  Random& probe_random() { return *probe_random_; }
  void OnProbeStarted(Life* life, int slot);
  void OnProbeRan(Life* life, int slot);
  void OnProbeEnded(const Life& life, std::string_view why);
  // Called for each start, after the rules that hold for all children.
  std::function<void(const Life&)> on_start;
  std::function<void(const Life&, std::string_view why)> on_end;
  // The release of a process that starts, by slot, the coordinator's is -1; unset: this one.
  std::function<uint32_t(int slot)> feature_level;
  // That node has left the cluster, and its process has ended.
  std::function<void(int i)> on_left;
  // Whether that life's node was declared dead, or has left: it only has not noticed yet.
  bool Outlived(const std::string& child, uint64_t fence) const;
  // It has learnt that its life is over, and is not in its next one.
  bool fenced_off(const std::string& address) const { return fenced_off_.contains(address); }

  // --- the store
  struct StoreFaults {
    absl::Duration delay;  // of each transaction, at most
    absl::Duration slow;   // added to some
    double slow_part = 0;
    bool full = false;
  };
  StoreFaults store_faults;
  // Crash points: called at each, with its name; true: crash there.
  std::function<bool(std::string_view point)> crash_point;
  bool AtPoint(std::string_view point) { return crash_point && crash_point(point); }

 private:
  friend class Probe;
  struct NodeProcess {
    NodeProcess(SimCluster* cluster, int slot);
    ~NodeProcess();
    SimHost host;
    SeededRandom random;
    std::unique_ptr<testing::SimTransport> transport;
    Modules modules;
    Host services;
    Runtime runtime;
    std::unique_ptr<Node> node;
    absl::Duration stood_still;  // its machine
    Instant stopped_at = Instant::Infinite();
  };
  struct NodeSlot {
    int lives = 0;
    uint32_t epoch_seen = 0;  // in its state directory
    std::optional<internal::v1::LastCrash> crash_file;
    std::unique_ptr<NodeProcess> process;
  };
  struct CoordinatorProcess {
    explicit CoordinatorProcess(SimCluster* cluster);
    SimHost host;
    SeededRandom random;
    testing::SimTransport transport;
    std::unique_ptr<MemoryStore> store;
    std::unique_ptr<Coordinator> coordinator;
  };
  class Watcher;

  NodeSlot* Slot(int i) const {
    return i < static_cast<int>(nodes_.size()) ? nodes_[i].get() : nullptr;
  }
  void Resolve(int slot, const std::string& name, Node::ResolveDone done);
  MemoryStore::Faults StoreHooks();
  double ClockRate();
  void EndProcess(int i);
  void Watch(int i, std::optional<internal::v1::LastCrash> crash);

  const Options options_;
  VirtualTime time_;
  SeededRandom random_;
  std::unique_ptr<Random> probe_random_, store_random_, net_random_;
  testing::SimNetwork network_;
  History history_;
  StoreChecks store_checks_;
  std::set<std::string> fenced_off_;
  WireChecks wire_checks_;
  std::function<ProbeScript(const std::string&)> scripts_;
  std::vector<std::unique_ptr<Workload>> workloads_;
  std::shared_ptr<MemoryDisk> disk_;
  std::vector<std::unique_ptr<NodeSlot>> nodes_;
  std::unique_ptr<CoordinatorProcess> coordinator_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
};

}  // namespace banyan::sim
