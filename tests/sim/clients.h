#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "tests/sim/sim_cluster.h"

namespace banyan::sim {

// Clients of the coordinator: each repeats its request, with the same request id, until it has an
// answer, through lost replies and failovers. They know what was promised to them: INV-8, 14, 18.
class Clients {
 public:
  explicit Clients(SimCluster* cluster);

  // The supervisors of the run; runs the clock until they are there. False: they do not come up.
  // `tight`: one of them gives up soon. `calm`: none may be restarted for silence alone.
  // `movable`: some may be moved by a rebalance.
  bool Boot(bool tight, bool calm, bool movable = false);
  // Some children wait, rightly: no node has room for them, or a clock that they can trust.
  bool waits() const { return waits_; }
  // One random request on children.
  void ChildRequest();
  // One random request of an operator about a node.
  void NodeRequest();
  // A rebalance, or the removal of a node that is gone.
  void AdminRequest(Random& random);
  // No process of an older release joins from then on.
  void Finalize(uint32_t level);
  // Operators put right what they have done, and what gave up is restarted.
  void PutRight();
  void ConfirmDead(int node);
  // Replies are lost from now on with this chance.
  void LoseReplies(double part) { lose_ = part; }
  bool idle() const { return open_ == 0; }
  uint64_t requests() const { return requests_; }

  bool group_is_one_for_all() const { return all_; }

  // "" or what is not as it was promised or should be: each wanted child runs once, with the fence
  // and on the node on record.
  std::string WhyNotAsPromised();

 private:
  struct Slot {  // a child of "shelf", or a node
    enum class State { kAbsent, kRunning, kStopped } state = State::kAbsent;
    bool busy = false;
  };
  template <typename T>
  struct Request;
  template <typename T>
  void Do(std::string id, std::function<void(const std::string&, Reply<T>)> send,
          std::function<void(absl::StatusOr<T>)> done);
  template <typename T>
  void Try(std::shared_ptr<Request<T>> request);
  template <typename T>
  void OnAnswer(std::shared_ptr<Request<T>> request, int attempt, absl::StatusOr<T> answer);
  bool WaitIdle(absl::Duration limit);

  void StartSupervisor(std::string name, SupervisorSpec spec);
  void PoolStart();
  void PoolTerminate();
  void ShelfRequest();
  void ShelfStart(const std::string& id);
  void ShelfTerminate(const std::string& id);
  void ShelfRestart(const std::string& id);
  void ShelfDelete(const std::string& id);
  std::string Twin(const std::string& id) const;  // the slot with the same name
  void Unexpected(const std::string& what, const absl::Status& status);
  std::string NextId(std::string_view kind);
  void OnStart(const Life& life);
  bool Waits(const std::string& path);
  bool ClockIsRight(const std::string& node) const;
  void Uncordon(const std::string& name);
  void ConfirmLife(const std::string& path);
  void ReviveTight();
  std::string CheckSupervisor(const std::string& sup, const std::map<std::string, bool>& wanted,
                              size_t* running);

  SimCluster* const cluster_;
  std::unique_ptr<Random> random_, net_;
  std::map<std::string, Slot> shelf_, nodes_;
  std::set<std::string> pool_;       // children that were promised
  std::set<std::string> pool_busy_;  // and are being terminated
  std::set<std::string> booted_;
  bool all_ = false, tight_ = false, tight_busy_ = false, tight_revived_ = false;
  bool waits_ = false;
  std::set<std::pair<uint32_t, uint32_t>> confirmed_;
  double lose_ = 0;
  int open_ = 0;
  uint64_t requests_ = 0;
};

}  // namespace banyan::sim
