#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/time/random.h"
#include "common/time/virtual_time.h"
#include "server/behaviours/host.h"
#include "server/behaviours/module.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/store/memory_store.h"
#include "server/node/node.h"
#include "tests/sim/history.h"
#include "tests/sim/sim_host.h"
#include "tests/sim/workload.h"
#include "tests/support/sim_transport.h"

namespace banyan::sim {

// A whole cluster in one thread on virtual time: the coordinator and the nodes that ship, on
// simulated processes, network and disk. Everything follows from the seed.
class SimCluster {
 public:
  struct Options {
    uint64_t seed = 1;
    int nodes = 3;
    // Lease times of the run; the coordinator checks them.
    CoordinatorOptions coordinator;
  };
  explicit SimCluster(Options options);
  ~SimCluster();

  VirtualTime& time() { return time_; }
  Random& random() { return random_; }
  testing::SimNetwork& network() { return network_; }
  History& history() { return history_; }
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
  int size() const { return static_cast<int>(nodes_.size()); }

  // --- processes. Names are "n1", "n2", ...; addresses are the names, the coordinator's is
  // "coord".
  void StartCoordinator();
  void CrashCoordinator();
  bool coordinator_up() const { return coordinator_ != nullptr; }
  Coordinator& coordinator() { return *coordinator_->coordinator; }
  void StartNode(int i);
  // kill -9. With a watcher the coordinator hears of it soon.
  void CrashNode(int i, bool watcher);
  // SIGTERM: it stops its children and leaves; the process ends in the turn in which that is done.
  void StopNode(int i);
  void PauseNode(int i);
  void ResumeNode(int i);
  bool node_up(int i) const { return nodes_[i].process != nullptr; }
  bool node_paused(int i) const { return node_up(i) && nodes_[i].process->host.paused(); }
  Runtime& runtime(int i) { return nodes_[i].process->runtime; }
  Node& node(int i) { return *nodes_[i].process->node; }
  static std::string NodeName(int i) { return "n" + std::to_string(i + 1); }

  // --- clients. Requests are repeated with their id until they are answered.
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

 private:
  class Probe;
  struct CoordinatorProcess;
  struct NodeProcess {
    NodeProcess(SimCluster* cluster, int index);
    ~NodeProcess();
    SimHost host;
    SeededRandom random;
    std::unique_ptr<testing::SimTransport> transport;
    Modules modules;
    Host services;
    Runtime runtime;
    std::unique_ptr<Node> node;
  };
  struct NodeSlot {
    int lives = 0;
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

  bool AssignmentDurable(const std::string& child, uint64_t fence) const;
  double ClockRate();
  void EndProcess(int i);

  const Options options_;
  VirtualTime time_;
  SeededRandom random_;
  testing::SimNetwork network_;
  History history_;
  std::vector<std::unique_ptr<Workload>> workloads_;
  std::shared_ptr<MemoryDisk> disk_;
  std::vector<NodeSlot> nodes_;
  std::unique_ptr<CoordinatorProcess> coordinator_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
};

}  // namespace banyan::sim
