#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/sim_cluster.h"
#include "tests/sim/workload.h"

namespace banyan::sim {

// A link or monitor that waits for its session may wait for a dial, and for the one that crossed
// it.
inline constexpr absl::Duration kDialMax = absl::Seconds(10);

// Processes that act at random on all nodes of a cluster while faults go on, and what is known of
// them: who lives where, and since when somebody does not. The rules are those of the classes that
// derive from it (cluster.md 8); a breach goes into the cluster's history.
//
// Everything runs in the one thread of the simulation, so actors write into the model directly.
// What an actor does to another one is judged by who saw what, never by what the product's tables
// say, but at rest.
class ActorWorkload : public Workload {
 public:
  ActorWorkload() = default;
  ~ActorWorkload() override;
  ActorWorkload(const ActorWorkload&) = delete;

  // From here on actors are spawned on every node that joins, and act.
  void Start(SimCluster& cluster) override;
  // They act no more; what they have set up stays.
  void StopLoad() override { quiet_ = true; }
  void AtQuiescence() override;
  // No faults have been or will be injected: what only they excuse is a breach.
  void set_calm(bool calm) { calm_ = calm; }
  // For people, and for tests that a run was worth its time: things done, by name.
  const std::map<std::string, uint64_t>& counts() const { return counts_; }

 protected:
  // One process. Outlives it.
  struct Actor {
    virtual ~Actor() = default;
    int node = 0;      // index
    std::string life;  // of the node's OS process
    Pid pid;           // local
    Pid exported;      // as it was last told to others
    bool alive = true;
    bool crashed = false;  // with its node
    Instant ended;
    std::optional<ExitReason> reason;  // of its end, where the model knows it
  };
  using Body = std::function<Task<ExitReason>(Self&)>;

  // A node's process has joined for the first time: the place to spawn actors.
  virtual void OnLife(int node) = 0;
  virtual void OnTick() {}
  // What must hold at rest. May run the cluster.
  virtual void CheckAtRest() {}
  // `actor` has just ended, or its node has.
  virtual void OnEnded(Actor* actor) {}

  // False: the node takes no more. Fills in what the base keeps.
  bool Spawn(int node, std::unique_ptr<Actor> actor, Body body, SpawnOptions options = {});
  // By one of them, with the options `link` and so on.
  bool SpawnFrom(Self& parent, int node, std::unique_ptr<Actor> actor, Body body,
                 SpawnOptions options);
  // The same for a process that is started otherwise: it lives from Started() on, and ends when the
  // guard does.
  void Expect(int node, std::unique_ptr<Actor> actor);
  void Started(Actor* actor, Pid pid);
  std::shared_ptr<void> Guard(Actor* actor);
  // Of those that live on nodes that are members now; null: none.
  Actor* RandomActor(const std::function<bool(const Actor&)>& want);

  SimCluster& cluster() { return *cluster_; }
  // Does nothing once the workload is gone, which the cluster outlives: what its nodes answer while
  // they are taken down must not come here.
  template <typename Fn>
  auto WhileLive(Fn fn) const {
    return [live = std::weak_ptr<bool>(live_), fn = std::move(fn)](auto&&... args) {
      if (!live.expired()) fn(std::forward<decltype(args)>(args)...);
    };
  }
  Instant Now() const { return cluster_->time().Now(); }
  bool quiet() const { return quiet_; }
  bool calm() const { return calm_; }
  uint64_t Below(uint64_t n) { return random_->Below(n); }
  bool OneIn(uint64_t n) { return random_->Below(n) == 0; }
  absl::Duration Between(absl::Duration least, absl::Duration most) {
    return least + (most - least) * random_->Unit();
  }
  void Count(const std::string& what, uint64_t n = 1) { counts_[what] += n; }
  void Violation(std::string text) { cluster_->history().Violation(std::move(text)); }

  // --- identities
  // The node is up and a member; at rest also for the coordinator: what it has given up does not
  // count any more.
  bool Member(int node) const;
  wire::NodeIdentity Identity(int node) const { return cluster_->node(node).identity(); }
  std::string Life(int node) const { return cluster_->node(node).options().process_id; }
  // Under the node's present identity; remembered, so that FindActor knows it. Invalid if the
  // node is no member now.
  Pid Export(Actor& actor);
  // The last of those; invalid: none.
  Pid LastExported(const Actor& actor) const { return actor.exported; }
  // Both sides have the session of the two nodes' present lives open.
  bool SessionUp(int a, int b) const;
  // Whom a pid of the cluster means; null: none of ours.
  Actor* FindActor(const Pid& exported) const;
  // The same for a pid as an actor of `node` sees it.
  Actor* FindActor(int node, const Pid& seen) const;
  // The life as a member in which this pid was exported is over: since when. Nullopt: it is not.
  std::optional<Instant> LifeOver(const Pid& exported) const;
  // The same, or the coordinator has decided so, or some node has been told.
  bool MayBeOver(const Pid& exported) const;
  // Since when this pid cannot be reached any more, by its end or that of its node's life.
  std::optional<Instant> GoneSince(const Pid& exported) const;

  // Sessions that the node has seen end, in all its processes, and messages for which none came
  // about: two equal values around a stretch of time mean that nothing of the kind happened in it.
  uint64_t SessionsClosed(int node);
  uint64_t SessionsOpened(int node);
  // Since when the node's process has run without a pause.
  Instant RunningSince(int node) const { return nodes_[node].running_since; }
  // For how long its processes have run, pauses left out: what is held up for a node waits in this
  // time, since the node's sessions end by it.
  absl::Duration RanFor(int node) const { return nodes_[node].ran; }
  // Of a process of the node that is up: the latest moment at which it must have acted on what
  // happened at `at`, by the 8 s of silence.
  Instant DueBy(int node, Instant at) const;

  const std::vector<std::unique_ptr<Actor>>& actors() const { return actors_; }
  int size() const { return static_cast<int>(nodes_.size()); }

 private:
  struct NodeState {
    std::string life;
    wire::NodeIdentity identity;
    Instant running_since;
    Instant looked_at;
    absl::Duration ran;
    uint64_t closed = 0, opened = 0;          // of the processes before
    uint64_t closed_now = 0, opened_now = 0;  // of this one, when last seen
  };
  class EndGuard;
  using LifeId = std::pair<uint32_t, uint32_t>;

  void Tick();
  void LookAt(int node);
  uint64_t Losses(int node) const;
  void Ended(Actor* actor);
  ProcessMain Main(Actor* actor, Body body);

  SimCluster* cluster_ = nullptr;
  std::unique_ptr<Random> random_;
  bool quiet_ = false;
  bool calm_ = false;
  std::shared_ptr<bool> live_ = std::make_shared<bool>(true);
  std::vector<NodeState> nodes_;
  std::vector<std::unique_ptr<Actor>> actors_;
  std::map<Pid, Actor*> exported_;
  std::map<LifeId, Instant> lives_over_;
  std::optional<std::set<LifeId>> members_;  // at rest: the coordinator's
  std::map<std::string, uint64_t> counts_;
};

}  // namespace banyan::sim
