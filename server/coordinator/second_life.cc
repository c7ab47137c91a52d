// Two lives of one `available` child for a while: its next one is up before its present one is
// stopped (drains and rebalances), and which one stays when it turns out to run twice.
#include <utility>

#include "fmt/format.h"

#include "common/wire/payload.h"
#include "server/coordinator/core.h"
#include "server/coordinator/reconciler.h"
#include "server/wire/child_spec.h"

namespace banyan {

using Event = v1::SupervisorEvent;
using internal::v1::Report;

namespace {

// How long nodes may take to hear where a name leads from now on.
constexpr absl::Duration kRoutesTurn = absl::Milliseconds(100);
// A next life that does not come up is tried again after this.
constexpr absl::Duration kMoveRetry = absl::Seconds(1);

}  // namespace

bool Reconciler::StartSecond(Child* child) {
  if (core_->now() < child->move_after) return false;
  const PlacementResult place = PlaceElsewhere(child, core_->members.Views(core_->now()));
  Member* member = place.node.empty() ? nullptr : core_->members.Find(place.node);
  if (member == nullptr) return false;
  SecondLife& second = child->second.emplace();
  second.node = member->name();
  second.node_id = member->node_id();
  second.incarnation = member->incarnation();
  second.fence = core_->NextFence();
  if (!child->spec->start.name.empty()) second.reg_version = core_->NextRegVersion();
  second.waits_init = true;
  ++child->starts;
  Reserve(child, member);
  ++member->starts_in_flight;
  core_->tree.Touch(child);
  core_->journal.After([this, path = child->path_key, fence = second.fence] {
    Child* c = core_->tree.FindChild(path);
    if (c != nullptr && c->second && c->second->fence == fence && !c->second->outgoing)
      SendStart(c, *c->second);
  });
  return true;
}

bool Reconciler::IsSecond(const Child* child, const Member* member, uint64_t fence) const {
  const Fence other(fence);
  return child->second && child->second->node_id == member->node_id() &&
         child->second->incarnation == member->incarnation() &&
         child->second->fence.epoch() == other.epoch() && child->second->fence.seq() == other.seq();
}

void Reconciler::TakeSecondReport(Member* member, Child* child, const Report& report) {
  switch (report.body_case()) {
    case Report::kStarted:
      if (child->second->outgoing) return StopSecond(child);
      if (report.started().ignored()) {
        child->move_after = core_->now() + kMoveRetry;
        return DropSecond(child);
      }
      return TakeOver(child, wire::FromProto(report.started().pid(), {}));
    case Report::kStartFailed: {
      if (report.start_failed().refused()) {
        member->full_until = core_->now() + absl::Seconds(10);
      } else if (!child->second->outgoing) {
        ++member->recent_start_failures;
        child->move_after = core_->now() + kMoveRetry;
        const ExitReason reason = wire::FromProto(report.start_failed().reason(), {});
        Emit(Event::KIND_CHILD_START_FAILED, child, &reason);
      }
      pace_.Note(true, core_->now());
      return DropSecond(child);
    }
    case Report::kExited:
      if (!child->second->outgoing) child->move_after = core_->now() + kMoveRetry;
      return DropSecond(child);
    case Report::kStopped:
    case Report::kNotStarted:
      return DropSecond(child);
    case Report::kStuck:
      return Emit(Event::KIND_CHILD_STUCK, child);
    default:
      return;
  }
}

void Reconciler::CompareSecond(Member* member, Child* child,
                               const internal::v1::ChildStatus* status) {
  const bool there = child->second && child->second->node_id == member->node_id() &&
                     child->second->incarnation == member->incarnation();
  if (!there) return;
  if (child->second->outgoing) return status == nullptr ? DropSecond(child) : StopSecond(child);
  if (status == nullptr) {
    core_->journal.After([this, path = child->path_key, fence = child->second->fence] {
      Child* c = core_->tree.FindChild(path);
      if (c != nullptr && c->second && c->second->fence == fence && !c->second->outgoing)
        SendStart(c, *c->second);
    });
    return;
  }
  if (status->state() == v1::ACTOR_STATE_STARTING) return;
  TakeOver(child, wire::FromProto(status->pid(), {}));
}

// The next life is up: names lead there from now on, and the one before is stopped.
void Reconciler::TakeOver(Child* child, const Pid& pid) {
  pace_.Note(false, core_->now());
  SecondLife next = *std::exchange(child->second, std::nullopt);
  if (Member* member = core_->members.FindLive(next.node_id, next.incarnation);
      member != nullptr && next.waits_init && member->starts_in_flight > 0) {
    --member->starts_in_flight;
  }
  const Pid before = child->pid;
  SecondLife& old = child->second.emplace();
  old.node = std::exchange(child->node, next.node);
  old.node_id = std::exchange(child->node_id, next.node_id);
  old.incarnation = std::exchange(child->incarnation, next.incarnation);
  old.fence = std::exchange(child->fence, next.fence);
  old.reg_version = std::exchange(child->reg_version, next.reg_version);
  old.outgoing = true;
  child->pid = pid;
  child->frozen = false;
  child->start_time = core_->wall();
  child->running_since = core_->now();
  core_->Cancel(std::exchange(child->lost_timer, 0));
  previous_pids_[child->path_key] = pid;
  child->supervisor->planner->OnReplaced(child->key, pid);
  core_->tree.Touch(child);
  Emit(Event::KIND_CHILD_MOVED, child, nullptr, &before);
  core_->names.OnChildStarted(child);
  core_->resolver.OnChildStarted(child);
  // What is on its way to the one before still arrives.
  core_->After(kRoutesTurn, [this, path = child->path_key, fence = old.fence] {
    Child* c = core_->tree.FindChild(path);
    if (c != nullptr && c->second && c->second->outgoing && c->second->fence == fence)
      StopSecond(c);
  });
}

void Reconciler::StopSecond(Child* child) {
  child->second->outgoing = true;
  core_->tree.Touch(child);
  Member* member = core_->members.FindLive(child->second->node_id, child->second->incarnation);
  if (member == nullptr) return DropSecond(child);
  SendOrphanStop(member, child->path, child->second->fence.value());
}

// Nobody waits for its end.
void Reconciler::CancelSecond(Child* child) {
  StopSecond(child);
  DropSecond(child);
}

void Reconciler::DropSecond(Child* child) {
  if (!child->second) return;
  const SecondLife second = *std::exchange(child->second, std::nullopt);
  Unreserve(child, second.node, second.node_id, second.incarnation, second.waits_init);
  core_->tree.Touch(child);
}

// The present life of a child that is being stopped is over, its other one is not.
void Reconciler::BecomeSecond(Child* child) {
  const SecondLife second = *std::exchange(child->second, std::nullopt);
  const std::string node = std::exchange(child->node, second.node);
  const uint32_t node_id = std::exchange(child->node_id, second.node_id);
  const uint32_t incarnation = std::exchange(child->incarnation, second.incarnation);
  const bool waits_init = std::exchange(child->waits_init, second.waits_init);
  child->fence = second.fence;
  child->pid = Pid();
  Unreserve(child, node, node_id, incarnation, waits_init);
  core_->tree.Touch(child);
}

// An older life of an `available` child is back from beyond a split, and a newer one has taken its
// place. With `longest_running` the older goes on, under a new fence, and the newer is stopped.
bool Reconciler::KeepOlder(Member* member, Child* child, const internal::v1::ChildStatus& status) {
  if (child->spec->exclusivity != Exclusivity::kAvailable ||
      child->spec->reconcile != Reconcile::kLongestRunning) {
    return false;
  }
  const bool ends = status.state() == v1::ACTOR_STATE_TERMINATING;
  const bool runs = status.has_pid() && status.state() != v1::ACTOR_STATE_STARTING && !ends;
  const bool replaced = child->ahead == Ahead::kNo && (child->assigned == Assigned::kRunning ||
                                                       child->assigned == Assigned::kStarting);
  if (!runs || !replaced || status.fence() >= child->fence.value()) return false;
  const uint64_t older = status.fence();
  const bool here =
      child->node_id == member->node_id() && child->incarnation == member->incarnation();
  const Pid pid = wire::FromProto(status.pid(), {});
  if (!here) {
    if (child->second) return false;
    const bool was_starting = child->assigned == Assigned::kStarting;
    SecondLife& newer = child->second.emplace();
    newer.node = std::exchange(child->node, member->name());
    newer.node_id = std::exchange(child->node_id, member->node_id());
    newer.incarnation = std::exchange(child->incarnation, member->incarnation());
    newer.fence = std::exchange(child->fence, core_->NextFence());
    newer.reg_version = child->reg_version;
    newer.waits_init = std::exchange(child->waits_init, false);
    newer.outgoing = true;
    if (!child->spec->start.name.empty()) child->reg_version = core_->NextRegVersion();
    Reserve(child, member);
    if (was_starting) {
      Started(child, pid, {});
    } else {
      const Pid before = std::exchange(child->pid, pid);
      child->supervisor->planner->OnReplaced(child->key, pid);
      core_->names.OnChildStarted(child);
      core_->resolver.OnChildStarted(child);
      Emit(Event::KIND_CHILD_MOVED, child, nullptr, &before);
    }
    child->start_time = core_->wall() - wire::FromProto(status.age());
    child->running_since = core_->now() - wire::FromProto(status.age());
    core_->tree.Touch(child);
    StopSecond(child);
  } else if (child->assigned != Assigned::kRunning) {
    return false;
  }
  core_->journal.After([this, path = child->path_key, older, fence = child->fence] {
    Child* c = core_->tree.FindChild(path);
    if (c == nullptr || c->fence != fence) return;
    Member* m = core_->members.FindLive(c->node_id, c->incarnation);
    if (m == nullptr || !m->manageable()) return;  // its next resync shows the older fence again
    internal::v1::Command command;
    for (const std::string& id : c->path) command.add_path(id);
    command.set_fence(older);
    wire::EncodeChildSpec(*c->spec, command.mutable_update()->mutable_spec());
    command.mutable_update()->set_fence(fence.value());
    m->control->SendCommand(std::move(command));
  });
  return true;
}

}  // namespace banyan
