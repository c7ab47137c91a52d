// From a target to the process or node that it means now (cluster.md 4.1).
#include <algorithm>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/node/node_core.h"

namespace banyan {
namespace {

// A child that is between two lives is asked for again after this.
constexpr absl::Duration kStartingPause = absl::Milliseconds(50);

absl::Status NoProc(Pid pid, std::string why) {
  return MakeError("NOPROC", fmt::format("{} {}", FormatPid(pid), why),
                   {{"target", FormatPid(pid)}});
}

absl::Status NoNode(const std::string& node) {
  return MakeError("NODE_NOT_FOUND", fmt::format("no node \"{}\" is known here", node),
                   {{"node", node}});
}

absl::Status NoName(const std::string& name) {
  return MakeError("NAME_NOT_REGISTERED", fmt::format("nobody has the name \"{}\"", name),
                   {{"name", name}});
}

absl::Status Unavailable() {
  return MakeError("COORDINATOR_UNAVAILABLE",
                   "only the coordinator knows, and it cannot be reached now");
}

}  // namespace

Resolved Node::Core::Here(Pid pid, uint64_t reg_version) const {
  Resolved r;
  r.pid = pid;
  r.node = options.name;
  r.reg_version = reg_version;
  return r;
}

absl::StatusOr<Resolved> Node::Core::There(Pid pid, uint64_t reg_version) const {
  const std::shared_ptr<const ClusterView> members = view();
  const ClusterView::Member* m = members->Find(pid.node_id);
  if (!m) return NoNode(fmt::format("{}", pid.node_id));
  if (pid.incarnation < m->id.incarnation)
    return NoProc(pid, "belongs to a former life of its node");
  Resolved r;
  r.pid = pid;
  r.node = m->name;
  r.address = m->address;
  r.reg_version = reg_version;
  return r;
}

void Node::Core::Resolve(Target target, Instant deadline, ResolveDone done) {
  if (const auto* by = std::get_if<Target::ByPid>(&target.kind))
    return ResolvePid(*by, std::move(done));
  if (auto* name = std::get_if<Target::Name>(&target.kind)) {
    return ResolveName(std::move(name->name), deadline, std::move(done));
  }
  if (const auto* local = std::get_if<Target::LocalName>(&target.kind)) {
    return ResolveLocalName(*local, std::move(done));
  }
  if (const auto* child = std::get_if<Target::ChildPath>(&target.kind)) {
    return ResolvePath(*child, deadline, std::move(done));
  }
  absl::StatusOr<Pid> member = groups.Pick(std::get<Target::Group>(target.kind));
  if (!member.ok()) return done(member.status());
  done(member->local() ? Here(*member) : There(*member, 0));
}

void Node::Core::ResolvePid(const Target::ByPid& by, ResolveDone done) {
  Pid pid = by.pid;
  if (!by.node.empty()) {
    if (by.node == options.name) {
      pid.node_id = identity().node_id;
    } else {
      const ClusterView::Member* m = view()->Find(by.node);
      if (!m) return done(NoNode(by.node));
      pid.node_id = m->id.node_id;
    }
  }
  const wire::NodeIdentity self = identity();
  if (pid.node_id == 0) return done(Here(Pid{0, 0, pid.id}));
  if (pid.node_id != self.node_id) return done(There(pid, 0));
  if (pid.incarnation != self.incarnation)
    return done(NoProc(pid, "belongs to a former life of this node"));
  done(Here(Pid{0, 0, pid.id}));
}

void Node::Core::ResolveLocalName(const Target::LocalName& local, ResolveDone done) {
  const ClusterView::Member* m = local.node.empty() ? nullptr : view()->Find(local.node);
  const bool here = local.node.empty() || local.node == options.name || (m && m->id == identity());
  if (here) {
    std::optional<Pid> pid = deps.runtime->Whereis(local.name);
    if (!pid) return done(NoName(local.name));
    return done(Here(*pid));
  }
  if (!m || m->gone()) return done(NoNode(local.node));
  Resolved r;
  r.local_name = local.name;
  r.node = m->name;
  r.address = m->address;
  done(std::move(r));
}

// What this node's own processes have comes first; then what is remembered; then the coordinator.
void Node::Core::ResolveName(std::string name, Instant deadline, ResolveDone done) {
  if (const HeldNames::Held* held = names.Find(name))
    return done(Here(held->pid, held->entry.reg_version()));
  if (std::optional<Pid> pid = deps.runtime->Whereis(name)) {
    const AssignedChildren::Child* child = children.FindByName(name);
    return done(Here(*pid, child ? child->reg_version : 0));
  }
  if (std::optional<RouteCache::Route> route = routes.Find(name)) {
    if (!route->pid.local()) {
      absl::StatusOr<Resolved> there = There(route->pid, route->reg_version);
      if (there.ok()) return done(std::move(there));
    }
    routes.Erase(name);
  }
  if (!hooks.resolve || identity().node_id == 0) {
    // Alone, a node knows all names that there are.
    return done(options.coordinators.empty() ? NoName(name) : Unavailable());
  }
  struct Asked {
    bool open = true;
    Timers::Id timer = 0;
  };
  auto asked = std::make_shared<Asked>();
  const auto answer = [weak = weak_from_this(), asked, name, deadline, round = routes.round(),
                       done = std::move(done)](
                          absl::StatusOr<internal::v1::ResolveResponse> response) {
    std::shared_ptr<Core> self = weak.lock();
    if (!self) return;
    self->Post([asked, name, deadline, round, done, response = std::move(response)](Core& core) {
      if (!std::exchange(asked->open, false)) return;
      core.deps.timers->Cancel(asked->timer);
      core.OnResolved(name, deadline, round, done, response);
    });
  };
  // A coordinator that does not answer holds nobody up for longer than he waits.
  if (deadline > deps.clock->Now())
    asked->timer = deps.timers->ScheduleAt(deadline, [answer] { answer(Unavailable()); });
  hooks.resolve(name, answer);
}

void Node::Core::OnResolved(std::string name, Instant deadline, uint64_t round, ResolveDone done,
                            absl::StatusOr<internal::v1::ResolveResponse> response) {
  if (!response.ok()) return done(response.status());
  if (response->has_entry() && response->entry().pid().id() != 0 && !response->starting()) {
    const Pid pid = wire::FromProto(response->entry().pid(), identity());
    const uint64_t version = response->entry().reg_version();
    // The coordinator may not have heard yet that the name was given up.
    if (pid.local() && version != 0 && !HasName(pid, version))
      return done(NoProc(pid, fmt::format("has the name \"{}\" no more", name)));
    if (pid.local()) return done(Here(pid, version));
    absl::StatusOr<Resolved> there = There(pid, version);
    if (there.ok() && round == routes.round()) routes.Put(name, {pid, version});
    return done(std::move(there));
  }
  if (!response->starting()) return done(NoName(name));
  const auto restarting = [name, done] {
    done(MakeError("CHILD_RESTARTING",
                   fmt::format("the child that has the name \"{}\" is being started", name),
                   {{"name", name}}));
  };
  const Instant now = deps.clock->Now();
  if (now >= deadline) return restarting();
  After(std::min(kStartingPause, deadline - now), [name, deadline, done, restarting](Core& core) {
    if (core.deps.clock->Now() >= deadline) return restarting();
    core.ResolveName(name, deadline, done);
  });
}

}  // namespace banyan
