#include "tests/sim/workload_actors.h"

#include <algorithm>

namespace banyan::sim {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(50);
// INV-10: the silence that ends a session, and a second for the rest. What a partition has held up
// breaks the silence when it arrives; longer than the silence it cannot have been held up.
constexpr absl::Duration kLossSeen = absl::Seconds(9);
constexpr absl::Duration kHeldUp = absl::Seconds(8);

}  // namespace

// In the process's frame: destroyed with it, however it ends.
class ActorWorkload::EndGuard {
 public:
  EndGuard(std::weak_ptr<bool> live, ActorWorkload* workload, Actor* actor)
      : live_(std::move(live)), workload_(workload), actor_(actor) {}
  ~EndGuard() {
    if (live_.lock()) workload_->Ended(actor_);
  }
  EndGuard(const EndGuard&) = delete;

 private:
  const std::weak_ptr<bool> live_;
  ActorWorkload* const workload_;
  Actor* const actor_;
};

ActorWorkload::~ActorWorkload() { live_.reset(); }

void ActorWorkload::Start(SimCluster& cluster) {
  cluster_ = &cluster;
  random_ = cluster.Fork(name());
  nodes_.resize(static_cast<size_t>(cluster.size()));
  Tick();
}

void ActorWorkload::Tick() {
  for (int i = 0; i < size(); ++i) LookAt(i);
  OnTick();
  cluster_->time().ScheduleAt(Now() + kTick, WhileLive([this] { Tick(); }));
}

void ActorWorkload::LookAt(int i) {
  NodeState& n = nodes_[i];
  const bool up = cluster_->node_up(i);
  if (!up || cluster_->node_paused(i)) {
    n.running_since = Now();
  } else {
    n.ran += Now() - std::max(n.looked_at, n.running_since);
  }
  n.looked_at = Now();
  const std::string life = up ? Life(i) : "";
  const wire::NodeIdentity identity = up ? Identity(i) : wire::NodeIdentity{};
  if (life != n.life) {
    n.closed += std::exchange(n.closed_now, 0);
    n.opened += std::exchange(n.opened_now, 0);
    n.running_since = Now();
  }
  if (n.identity != identity && n.identity.node_id != 0) {
    lives_over_.try_emplace({n.identity.node_id, n.identity.incarnation}, Now());
  }
  n.identity = identity;
  if (up) {
    n.closed_now = Losses(i);
    n.opened_now = cluster_->node(i).peers().stats().sessions_opened;
  }
  if (life == n.life) return;
  if (up && identity.node_id == 0) return;  // not joined yet
  n.life = life;
  if (up && !quiet_) OnLife(i);
}

ProcessMain ActorWorkload::Main(Actor* actor, Body body) {
  return [this, live = std::weak_ptr<bool>(live_), actor,
          body = std::move(body)](Self& self) -> Task<ExitReason> {
    EndGuard guard(live, this, actor);
    ExitReason reason = co_await body(self);
    if (!actor->reason) actor->reason = reason;
    co_return reason;
  };
}

bool ActorWorkload::Spawn(int node, std::unique_ptr<Actor> actor, Body body, SpawnOptions options) {
  actor->node = node;
  actor->life = Life(node);
  absl::StatusOr<Pid> pid =
      cluster_->runtime(node).Spawn(Main(actor.get(), std::move(body)), std::move(options));
  if (!pid.ok()) return false;
  actor->pid = *pid;
  actors_.push_back(std::move(actor));
  Count("actors");
  return true;
}

bool ActorWorkload::SpawnFrom(Self& parent, int node, std::unique_ptr<Actor> actor, Body body,
                              SpawnOptions options) {
  actor->node = node;
  actor->life = Life(node);
  absl::StatusOr<SpawnResult> spawned =
      parent.Spawn(Main(actor.get(), std::move(body)), std::move(options));
  if (!spawned.ok()) return false;
  actor->pid = spawned->pid;
  actors_.push_back(std::move(actor));
  Count("actors");
  return true;
}

void ActorWorkload::Expect(int node, std::unique_ptr<Actor> actor) {
  actor->node = node;
  actor->life = Life(node);
  actor->alive = false;
  actors_.push_back(std::move(actor));
}

void ActorWorkload::Started(Actor* actor, Pid pid) {
  actor->pid = pid;
  actor->alive = actor->ended == Instant();
  Count("actors");
}

std::shared_ptr<void> ActorWorkload::Guard(Actor* actor) {
  return std::make_shared<EndGuard>(live_, this, actor);
}

void ActorWorkload::Ended(Actor* actor) {
  actor->alive = false;
  actor->ended = Now();
  actor->crashed = !cluster_->node_up(actor->node);
  OnEnded(actor);
}

ActorWorkload::Actor* ActorWorkload::RandomActor(const std::function<bool(const Actor&)>& want) {
  std::vector<Actor*> those;
  for (const auto& a : actors_) {
    if (a->alive && Member(a->node) && want(*a)) those.push_back(a.get());
  }
  return those.empty() ? nullptr : those[Below(those.size())];
}

bool ActorWorkload::Member(int node) const {
  if (!cluster_->node_up(node)) return false;
  const wire::NodeIdentity id = Identity(node);
  return id.node_id != 0 && (!members_ || members_->contains({id.node_id, id.incarnation}));
}

void ActorWorkload::AtQuiescence() {
  absl::StatusOr<v1::ListNodesResponse> nodes;
  if (!cluster_->Ask<v1::ListNodesResponse>(absl::Seconds(5), &nodes,
                                            [this](Reply<v1::ListNodesResponse> done) {
                                              cluster_->coordinator().ListNodes({}, false, nullptr,
                                                                                std::move(done));
                                            }) ||
      !nodes.ok()) {
    return Violation("INV-17: the coordinator does not say who its members are");
  }
  members_.emplace();
  for (const v1::NodeInfo& node : nodes->nodes()) {
    if (node.state() == v1::NODE_STATE_ACTIVE || node.state() == v1::NODE_STATE_DRAINING)
      members_->insert({node.node_id(), node.incarnation()});
  }
  CheckAtRest();
}

Pid ActorWorkload::Export(Actor& actor) {
  if (!Member(actor.node) || Life(actor.node) != actor.life) return {};
  actor.exported = wire::Export(actor.pid, Identity(actor.node));
  exported_[actor.exported] = &actor;
  return actor.exported;
}

bool ActorWorkload::SessionUp(int a, int b) const {
  const auto sees = [&](int from, int to) {
    for (const PeerRouter::PeerState& peer : cluster_->node(from).peers().Peers()) {
      if (peer.id == Identity(to)) return peer.up;
    }
    return false;
  };
  return Member(a) && Member(b) && sees(a, b) && sees(b, a);
}

ActorWorkload::Actor* ActorWorkload::FindActor(const Pid& exported) const {
  auto it = exported_.find(exported);
  return it == exported_.end() ? nullptr : it->second;
}

ActorWorkload::Actor* ActorWorkload::FindActor(int node, const Pid& seen) const {
  if (!seen.local()) return FindActor(seen);
  for (const auto& a : actors_) {
    if (a->node == node && a->pid == seen && a->life == nodes_[node].life) return a.get();
  }
  return nullptr;
}

std::optional<Instant> ActorWorkload::LifeOver(const Pid& exported) const {
  auto it = lives_over_.find({exported.node_id, exported.incarnation});
  if (it != lives_over_.end()) return it->second;
  // Since the last look.
  const wire::NodeIdentity life{exported.node_id, exported.incarnation};
  for (int i = 0; i < size(); ++i) {
    if (nodes_[i].identity != life) continue;
    if (!cluster_->node_up(i) || Life(i) != nodes_[i].life || Identity(i) != life) return Now();
  }
  return std::nullopt;
}

bool ActorWorkload::MayBeOver(const Pid& exported) const {
  if (LifeOver(exported)) return true;
  if (cluster_->store_checks().Gone(exported.node_id, exported.incarnation)) return true;
  for (int i = 0; i < size(); ++i) {
    if (!cluster_->node_up(i)) continue;
    const std::shared_ptr<const ClusterView> view = cluster_->node(i).view();
    const ClusterView::Member* m = view->Find(exported.node_id);
    if (m == nullptr || m->id.incarnation < exported.incarnation) continue;
    if (m->id.incarnation > exported.incarnation || m->gone()) return true;
  }
  return false;
}

std::optional<Instant> ActorWorkload::GoneSince(const Pid& exported) const {
  std::optional<Instant> life = LifeOver(exported);
  const Actor* actor = FindActor(exported);
  if (!actor || actor->alive) return life;
  return life ? std::min(*life, actor->ended) : actor->ended;
}

uint64_t ActorWorkload::Losses(int node) const {
  const PeerRouter::Stats stats = cluster_->node(node).peers().stats();
  return stats.sessions_closed + stats.dropped;
}

uint64_t ActorWorkload::SessionsClosed(int node) {
  const NodeState& n = nodes_[node];
  if (!cluster_->node_up(node) || Life(node) != n.life) return n.closed + n.closed_now;
  return n.closed + Losses(node);
}

uint64_t ActorWorkload::SessionsOpened(int node) {
  const NodeState& n = nodes_[node];
  if (!cluster_->node_up(node) || Life(node) != n.life) return n.opened + n.opened_now;
  return n.opened + cluster_->node(node).peers().stats().sessions_opened;
}

Instant ActorWorkload::DueBy(int node, Instant at) const {
  const Instant from = std::max(at, nodes_[node].running_since);
  return from + kLossSeen + (calm_ ? absl::ZeroDuration() : kHeldUp);
}

}  // namespace banyan::sim
