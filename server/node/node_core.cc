#include "server/node/node_core.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/mutant.h"
#include "common/wire/time.h"
#include "server/behaviours/host.h"
#include "server/behaviours/module.h"
#include "server/node/fence_off.h"

namespace banyan {

namespace pb = internal::v1;

namespace {

// Of the time that a node has to end: what is kept for stopping children that were not moved.
constexpr absl::Duration kStopRest = absl::Seconds(5);

}  // namespace

Node::Core::Core(Deps d, NodeOptions o, Hooks h)
    : deps(d),
      options(std::move(o)),
      hooks(std::move(h)),
      start_time(d.clock->WallNow()),
      cluster_id(options.cluster_id),
      store_id(options.store_id),
      store_revision(options.store_revision),
      router({d.runtime, d.clock, d.timers, d.executor, d.random, d.transport}, options.peer,
             {.stale_route = [this](Pid pid, uint64_t) { OnStaleRoute(pid); },
              .session = {},
              .holds = [this](Pid pid, uint64_t reg_version) { return HasName(pid, reg_version); },
              .find_node = [this](const std::string& name) { return FindNode(name); }}),
      control(this),
      lease(this),
      children(this),
      reports(options.reports_max),
      names(this),
      groups(this),
      routes(options.routes_max),
      calls({d.runtime, d.clock, d.timers, d.random}),
      events(std::make_shared<EventRing>(options.events_max, d.clock, d.timers, d.executor)),
      coordinators_(options.coordinators) {
  BANYAN_CHECK(d.runtime && d.clock && d.timers && d.executor && d.random && d.transport);
  events->SetIdentity({}, options.name);
}

void Node::Core::Post(std::function<void(Core&)> fn) {
  deps.executor->Post([weak = weak_from_this(), fn = std::move(fn)] {
    if (std::shared_ptr<Core> self = weak.lock()) fn(*self);
  });
}

void Node::Core::After(absl::Duration d, std::function<void(Core&)> fn) {
  if (d == absl::InfiniteDuration()) return;
  deps.timers->ScheduleAt(deps.clock->Now() + d, [weak = weak_from_this(), fn = std::move(fn)] {
    if (std::shared_ptr<Core> self = weak.lock()) self->Post(fn);
  });
}

// --------------------------------------------------------------------- life

void Node::Core::Start() {
  deps.runtime->SetRouter(&router);
  router.Listen();
  groups.Start();
  control.Start();
}

void Node::Core::OnWelcome(const pb::HelloAck& ack) {
  const wire::NodeIdentity self{ack.node_id(), ack.incarnation()};
  // News of them was lost with the session before, or is not sent by a coordinator that has begun
  // anew.
  routes.Clear();
  if (identity() != self) {
    // Reports of a former life say nothing about this one.
    if (identity().node_id == 0) reports.Clear();
    SetIdentity(self);
    router.SetIdentity(ack.cluster_id(), self);
    if (deps.watch_page) deps.watch_page->SetIdentity(self);
  }
  cluster_id = ack.cluster_id();
  if (store_id != ack.store_id()) store_revision = 0;
  store_id = ack.store_id();
  keep_all = ack.keep_all();
  const bool relays = (control.features() & feature::kRelay) != 0;
  router.SetRelay(relays ? control.address() : "");
  if (hooks.joined) hooks.joined(cluster_id, store_id, ack.epoch(), self);
  revision_told_ = Instant();
  OnStoreRevision(ack.store_revision());
}

// Rises with nearly every acknowledgement; what is remembered may lag a little, for a store that
// went back in time has lost more than that.
void Node::Core::OnStoreRevision(uint64_t revision) {
  constexpr absl::Duration kTellEvery = absl::Seconds(5);
  store_revision = std::max(store_revision, revision);
  const Instant now = deps.clock->Now();
  if (revision_told_ != Instant() && now - revision_told_ < kTellEvery) return;
  revision_told_ = now;
  if (hooks.store_seen) hooks.store_seen(store_revision, lease.epoch());
}

void Node::Core::SetIdentity(wire::NodeIdentity self) {
  events->SetIdentity(self, options.name);
  MutexLock lock(&mu_);
  identity_ = self;
}

void Node::Core::EndMembership() {
  control.Stop();
  lease.Stop();
  router.ClearIdentity();
  names.Abandon();
  groups.OnMembershipEnded();
  SetIdentity({});
  if (deps.watch_page) deps.watch_page->SetIdentity({});
}

// Another life of this node's children may run elsewhere from now on, so everything of theirs ends
// here before this process may be a member again.
void Node::Core::OnDead() {
  if (fencing_) return;
  fencing_ = true;
  deps.runtime->SetLeaseUntil(Instant());
  const absl::Duration patience = lease.times().node - lease.times().freeze;
  EndMembership();
  children.Abandon();
  // Whoever was to leave once it is empty has nothing to come back for.
  if (retire_until_ != Instant() || leave_when_empty_) StopRest();
  if (leave_again_) Leave();
  reports.Clear();
  routes.Clear();
  {
    MutexLock lock(&mu_);
    view_ = std::make_shared<ClusterView>();
    draining_ = frozen_ = false;
  }
  if (hooks.dead) hooks.dead();
  auto stuck = [weak = weak_from_this()] {
    std::shared_ptr<Core> self = weak.lock();
    if (!self) return;
    std::vector<Pid> running = self->deps.runtime->RunningExclusive();
    if (!running.empty() && self->hooks.overrun) self->hooks.overrun(std::move(running));
  };
  auto done = [weak = weak_from_this()] {
    std::shared_ptr<Core> self = weak.lock();
    if (!self) return;
    self->fencing_ = false;
    if (self->options.rejoin_when_dead && !self->stopping) self->control.Start();
  };
  if (Mutant("thaw-after-dead")) return done();
  FenceOff(deps.runtime, deps.timers, deps.executor, patience, std::move(stuck), std::move(done));
}

void Node::Core::Stop(absl::Duration deadline, std::function<void()> done) {
  if (has_left_) return done();
  left_ = std::move(done);
  // A drain that ends in leaving is at its end.
  if (stopping) {
    if (leave_again_) Leave();
    return;
  }
  {
    MutexLock lock(&mu_);
    draining_ = true;
  }
  stop_at_ = deps.clock->Now() + deadline;
  const absl::Duration rest = std::min(kStopRest, deadline / 4);
  if (!control.up() || children.children().empty() || deadline == absl::InfiniteDuration())
    return StopRest();
  // Its children are moved first, so that nobody misses them.
  retire_until_ = stop_at_ - rest;
  leave_when_empty_ = true;
  SendRetire();
  After(retire_until_ - deps.clock->Now(), [](Core& core) { core.StopRest(); });
}

void Node::Core::SendRetire() {
  if (leave_again_) return Leave();
  if (retire_until_ == Instant() || stopping) return;
  pb::ControlRequest request;
  *request.mutable_retire()->mutable_deadline() =
      wire::ToProto(std::max(absl::ZeroDuration(), retire_until_ - deps.clock->Now()));
  control.Send(request);
}

// Without a coordinator nobody moves anything: a whole cluster that ends need not wait.
void Node::Core::OnSessionLost() {
  router.SetRelay("");
  names.OnSessionLost();
  if (retire_until_ == Instant()) return;
  After(options.hello_timeout, [](Core& core) {
    if (!core.control.up()) core.StopRest();
  });
}

// What has not been moved is stopped here.
void Node::Core::StopRest() {
  if (has_left_ || std::exchange(stopping, true)) return;
  children.StopAll(stop_at_, [this] { Leave(); });
}

void Node::Core::Leave() {
  stopping = true;
  leave_again_ = false;
  const bool was_member = control.up();
  // A life that is over otherwise needs no leave any more.
  control.Leave([this, was_member, over = fencing_](bool recorded) {
    recorded = recorded || over;
    if (!recorded && !left_) {
      // The process goes on, so nobody else tells of its end.
      leave_again_ = true;
      return control.Start();
    }
    const wire::NodeIdentity self = identity();
    EndMembership();
    has_left_ = true;
    // Then the watcher tells of this process's end.
    if (was_member && !recorded && deps.watch_page) deps.watch_page->SetIdentity(self);
    if (recorded && hooks.left) hooks.left();
    if (auto left = std::exchange(left_, nullptr)) left();
  });
}

void Node::Core::OnDrain(const pb::Command::SetDrain& drain) {
  {
    MutexLock lock(&mu_);
    draining_ = drain.draining();
  }
  leave_when_empty_ = drain.draining() && drain.then_leave();
  if (leave_when_empty_ && drain.has_deadline() && !stopping) {
    // Nothing of what is left can go anywhere.
    if (stop_at_ == Instant()) stop_at_ = deps.clock->Now() + wire::FromProto(drain.deadline());
    return StopRest();
  }
  OnChildrenChanged();
}

void Node::Core::OnChildrenChanged() {
  if (leave_when_empty_ && children.children().empty() && !stopping) {
    // One turn later: the report of the last child goes first.
    stopping = true;
    Post([](Core& core) { core.Leave(); });
  }
}

// --------------------------------------------------------------------- view

void Node::Core::OnView(const pb::ViewUpdate& update) {
  if (!lease.AcceptEpoch(update.epoch())) return;
  std::shared_ptr<const ClusterView> before = view();
  auto after = std::make_shared<ClusterView>(*before);
  if (!after->Apply(update)) return;
  {
    MutexLock lock(&mu_);
    view_ = after;
  }
  PublishView(*before, *after);
}

void Node::Core::PublishView(const ClusterView& before, const ClusterView& after) {
  const wire::NodeIdentity self = identity();
  for (const auto& [id, member] : before.members()) {
    const ClusterView::Member* now = after.Find(id);
    if (id != self.node_id && !member.gone() && !now) router.SetPeerGone(member.id);
  }
  bool dead = false;
  for (const auto& [id, member] : after.members()) {
    if (id == self.node_id) {
      dead |= member.id == self && member.state == v1::NODE_STATE_DEAD;
    } else if (member.gone()) {
      router.SetPeerGone(member.id);
    } else {
      router.SetPeer(member.id, member.address);
    }
  }
  routes.EraseIf([&](const RouteCache::Route& route) {
    if (route.pid.local()) return false;
    const ClusterView::Member* m = after.Find(route.pid.node_id);
    return !m || m->gone() || m->id.incarnation != route.pid.incarnation;
  });
  groups.OnView(after);
  if (dead) OnDead();
}

void Node::Core::OnRoutes(const pb::RouteUpdate& update) {
  for (const v1::NameEntry& e : update.released()) {
    routes.Release(e.name(), e.reg_version());
    names.OnUnregistered(e);
  }
  for (const v1::NameEntry& e : update.registered()) {
    // Only names that were asked for here come; one that is not cached any more is not wanted.
    if (routes.Find(e.name())) {
      routes.Put(e.name(), {wire::FromProto(e.pid(), identity()), e.reg_version()});
    } else {
      routes.OnUnknown();
    }
  }
}

bool Node::Core::HasName(Pid pid, uint64_t reg_version) const {
  return names.Holds(pid, reg_version) || children.HasName(pid);
}

void Node::Core::OnStaleRoute(Pid pid) {
  routes.EraseIf([&](const RouteCache::Route& route) { return route.pid == pid; });
}

// --------------------------------------------------------------- any thread

std::optional<wire::NodeIdentity> Node::Core::FindNode(const std::string& name) const {
  if (name == options.name) return wire::NodeIdentity();
  const std::shared_ptr<const ClusterView> members = view();
  const ClusterView::Member* member = members->Find(name);
  if (member == nullptr || member->gone()) return std::nullopt;
  return member->id;
}

wire::NodeIdentity Node::Core::identity() const {
  MutexLock lock(&mu_);
  return identity_;
}
std::shared_ptr<const ClusterView> Node::Core::view() const {
  MutexLock lock(&mu_);
  return view_;
}
bool Node::Core::draining() const {
  MutexLock lock(&mu_);
  return draining_;
}
std::vector<std::string> Node::Core::coordinators() const {
  MutexLock lock(&mu_);
  return coordinators_;
}
void Node::Core::SetFrozen(bool frozen) {
  {
    MutexLock lock(&mu_);
    frozen_ = frozen;
  }
  if (frozen) names.OnLeaseLost();
  if (hooks.frozen) hooks.frozen(frozen);
}
void Node::Core::SetCoordinators(std::vector<std::string> coordinators) {
  // The one in use first.
  const std::string current = control.address();
  auto used = std::find(coordinators.begin(), coordinators.end(), current);
  if (used != coordinators.end()) std::rotate(coordinators.begin(), used, used + 1);
  MutexLock lock(&mu_);
  coordinators_ = std::move(coordinators);
}

std::vector<v1::ModuleInfo> Node::Core::Modules() const {
  std::vector<v1::ModuleInfo> out;
  const banyan::Modules* modules = HostOf(*deps.runtime).modules;
  if (!modules) return out;
  for (const ModuleInfo& m : modules->List()) {
    v1::ModuleInfo& info = out.emplace_back();
    info.set_name(m.name);
    info.set_version(m.version);
    info.set_language("c++");
    info.set_state_accessible(true);
  }
  return out;
}

v1::NodeLoad Node::Core::Load() const {
  v1::NodeLoad load;
  load.set_actors(deps.runtime->process_count());
  load.set_queued_messages(deps.runtime->queued_messages());
  load.set_late_replies(deps.runtime->counters().late_replies.load(std::memory_order_relaxed));
  load.set_schedulers(options.schedulers);
  if (hooks.fill_load) hooks.fill_load(&load);
  return load;
}

v1::NodeInfo Node::Core::Info() const {
  v1::NodeInfo info;
  const wire::NodeIdentity self = identity();
  info.set_name(options.name);
  info.set_node_id(self.node_id);
  info.set_incarnation(self.incarnation);
  const std::shared_ptr<const ClusterView> members = view();
  const ClusterView::Member* me = self.node_id ? members->Find(self.node_id) : nullptr;
  info.set_state(me ? me->state : self.node_id ? v1::NODE_STATE_ACTIVE : v1::NODE_STATE_JOINING);
  info.mutable_labels()->insert(options.labels.begin(), options.labels.end());
  info.mutable_capacity()->insert(options.capacity.begin(), options.capacity.end());
  info.set_address(options.address);
  info.set_version(options.version);
  *info.mutable_start_time() = wire::ToProto(start_time);
  for (v1::ModuleInfo& m : Modules()) *info.add_modules() = std::move(m);
  *info.mutable_load() = Load();
  info.set_has_watcher(options.has_watcher);
  info.set_schedulable(self.node_id != 0 && !draining());
  MutexLock lock(&mu_);
  info.set_frozen(frozen_);
  return info;
}

}  // namespace banyan
