// Starts: the queue, the pace, the place, the assignment and its Start command.
#include <utility>

#include "fmt/format.h"

#include "common/base/mutant.h"
#include "common/wire/payload.h"
#include "server/coordinator/core.h"
#include "server/coordinator/reconciler.h"
#include "server/wire/child_spec.h"
#include "server/wire/placement.h"

namespace banyan {
namespace {

const Placement* PlacementOf(const Child* child) {
  if (child->spec->has_placement) return &child->spec->placement;
  const SupervisorSpec& sup = *child->supervisor->spec;
  return sup.has_default_placement ? &sup.default_placement : nullptr;
}

// Whose children of the supervisor count together against max_per_node; empty: all.
const std::string& KeyOf(const Child* child) {
  static const std::string kNone;
  const Placement* placement = PlacementOf(child);
  return placement == nullptr ? kNone : placement->max_per_node_key;
}

// Children whose lanes are the same wait for the same: the pace of their supervisor (in a mass loss
// only if they ran before), and nodes that do for all of them.
std::string LaneOf(const Child& child) {
  const bool available = child.spec->exclusivity == Exclusivity::kAvailable;
  std::string lane = fmt::format("{}\n{}\n{}{}", child.supervisor->path_key,
                                 child.spec->start.module, available, child.starts > 0);
  if (child.spec->has_placement) {
    v1::Placement placement;
    wire::EncodePlacement(child.spec->placement, &placement);
    lane += StableBytes(placement);
  }
  for (const auto& [resource, amount] : child.spec->resources)
    lane += fmt::format("\n{}={}", resource, amount);
  return lane;
}

void CountDown(ClusterSupervisor::NodeCounts* counts, const std::string& node) {
  auto count = counts->find(node);
  if (count != counts->end() && --count->second == 0) counts->erase(count);
}

}  // namespace

// What was placed counts for those that are placed next.
void Reconciler::CountIn(const Child& child, std::vector<NodeView>* views) {
  for (NodeView& view : *views) {
    if (view.node_id != child.node_id) continue;
    view.assigned_weight += WeightOf(&child.spec->resources);
    for (const auto& [resource, amount] : child.spec->resources) view.assigned[resource] += amount;
  }
}

void Reconciler::CountOn(Child* child, const std::string& node, bool there) {
  ClusterSupervisor* sup = child->supervisor;
  const std::string& key = KeyOf(child);
  if (there) {
    ++sup->per_node[node];
    if (!key.empty()) ++sup->per_key[key][node];
    return;
  }
  CountDown(&sup->per_node, node);
  if (key.empty()) return;
  CountDown(&sup->per_key[key], node);
  if (sup->per_key[key].empty()) sup->per_key.erase(key);
}

void Reconciler::Enqueue(Child* child) {
  child->assigned = Assigned::kQueued;
  const Placement* placement = PlacementOf(child);
  queue_.Add(child, child->supervisor->path_key, placement == nullptr ? 0 : placement->priority,
             LaneOf(*child));
}

void Reconciler::Unqueue(Child* child) {
  core_->Cancel(std::exchange(child->retry_timer, 0));
  if (child->assigned != Assigned::kQueued) return;
  child->assigned = Assigned::kNone;
  child->pending_reason.clear();
  pending_.erase(child->path_key);
  queue_.Remove(child);
}

// Whether some node may get one more start; without nodes there is nothing to wait for.
bool Reconciler::AnyRoom() const {
  bool any_node = false;
  for (const auto& [name, member] : core_->members.all()) {
    if (member->gone()) continue;
    any_node = true;
    if (member->starts_in_flight < core_->options.starts_in_flight_per_node) return true;
  }
  return !any_node;
}

// Starts as many as the pace allows, in order; those of a supervisor or node that has to wait are
// left behind without holding up the rest.
void Reconciler::Pump() {
  if (queue_.empty() || !core_->started || core_->safe_mode.holds_starts()) return;
  const Instant now = core_->now();
  const CoordinatorOptions& options = core_->options;
  const double pace = pace_.Factor(now);
  const double sup_rate = options.starts_per_second_per_supervisor * pace;
  bool waits = false;
  std::vector<NodeView>* views = nullptr;
  StartQueue<Child>::Pass pass(&queue_);
  while (Child* child = pass.child()) {
    if (!AnyRoom()) break;
    if (!bucket_.HasOne(options.starts_per_second * pace, now)) {
      waits = true;
      break;
    }
    // Replacements in a mass loss; what is asked for goes on.
    const bool braked = core_->lease_keeper.braked() && child->starts > 0;
    const bool brake_waits = braked && !brake_.HasOne(options.braked_starts_per_second, now);
    if (brake_waits || !child->supervisor->bucket.HasOne(sup_rate, now)) {
      waits = true;
      pass.Skip();
      continue;
    }
    pass.Take();
    if (views == nullptr) views = &core_->members.Views(now);
    if (!TryPlace(child, *views)) {
      // Its node has enough in flight.
      const bool for_room = child->assigned == Assigned::kQueued;
      if (for_room && !pending_.contains(child->path_key)) pass.PutBack();
      continue;
    }
    pass.Served();
    bucket_.Take(options.starts_per_second * pace, now);
    child->supervisor->bucket.Take(sup_rate, now);
    if (braked) brake_.Take(options.braked_starts_per_second, now);
    CountIn(*child, views);
    if (child->supervisor->planner->initializing()) AssignAhead(child->supervisor);
  }
  if (waits && pump_timer_ == 0) {
    pump_timer_ = core_->After(absl::Milliseconds(20), [this] { pump_timer_ = 0; });
  }
}

PlacementRequest Reconciler::RequestFor(const Child* child) const {
  PlacementRequest request;
  request.child = child->path_key;
  request.module = child->spec->start.module;
  request.placement = PlacementOf(child);
  request.resources = &child->spec->resources;
  request.previous_node = child->previous_node;
  request.exclusive = child->spec->exclusivity != Exclusivity::kAvailable;
  for (const auto& [node, count] : child->supervisor->per_node) request.siblings[node] = count;
  request.same_key = request.siblings;
  if (const std::string& key = KeyOf(child); !key.empty()) {
    const auto counts = child->supervisor->per_key.find(key);
    request.same_key.clear();
    if (counts != child->supervisor->per_key.end()) request.same_key = counts->second;
  }
  return request;
}

PlacementResult Reconciler::PlaceElsewhere(const Child* child,
                                           const std::vector<NodeView>& views) const {
  std::vector<NodeView> others = views;
  std::erase_if(others, [&](const NodeView& view) { return view.name == child->node; });
  PlacementRequest request = RequestFor(child);
  request.previous_node.clear();
  return Place(request, others, core_->deps.random);
}

bool Reconciler::TryPlace(Child* child, const std::vector<NodeView>& views) {
  const PlacementResult result = Place(RequestFor(child), views, core_->deps.random);
  Member* member = result.node.empty() ? nullptr : core_->members.Find(result.node);
  if (member == nullptr) {
    NoNode(child, result);
    return false;
  }
  if (member->starts_in_flight >= core_->options.starts_in_flight_per_node) return false;
  Assign(child, member);
  return true;
}

void Reconciler::NoNode(Child* child, const PlacementResult& result) {
  // Who waits for the first start hears of it; everything else stays until a node fits. While
  // members have not said what they run, nothing is certain.
  const MemberTable& members = core_->members;
  const bool certain = !members.AwaitsResync() && !members.AwaitsTrust() && !members.AwaitsJoin();
  if (UserWaits(child) && certain) {
    std::string why;
    for (const auto& refusal : result.refusals) {
      why += fmt::format("{}{}: {}", why.empty() ? "" : "; ", refusal.node, refusal.reason);
    }
    child->assigned = Assigned::kNone;
    child->pending_reason.clear();
    core_->tree.Touch(child);  // it may have been written as one that is being started
    const ExitReason reason = ExitReason::Error(
        "no_node_fits", why.empty() ? "the cluster has no node that takes children" : why);
    last_failures[child->path_key] = reason;  // for who asked an earlier term
    return Later(child->supervisor, [this, key = child->key, reason](SupervisorPlanner& p) {
      return p.OnStartFailed(key, reason, core_->now());
    });
  }
  const std::string reason = result.no_capacity() ? "no_capacity" : "no_node_fits";
  pending_.insert(child->path_key);
  StartWaits(child, true);
  if (child->pending_reason != reason) {
    child->pending_reason = reason;
    Emit(v1::SupervisorEvent::KIND_CHILD_PENDING, child);
  }
  if (pending_timer_ == 0) {
    pending_timer_ = core_->After(core_->options.pending_retry, [this] {
      pending_timer_ = 0;
      RetryPending();
    });
  }
}

// A group restart must not hold up operations for as long as no node fits; without groups nothing
// is held up.
void Reconciler::StartWaits(Child* child, bool waits) {
  const Strategy strategy = child->supervisor->planner->flags().strategy;
  if (strategy != Strategy::kOneForAll && strategy != Strategy::kRestForOne) return;
  const ChildRecord* record = child->supervisor->planner->Find(child->key);
  if (record == nullptr || record->waits == waits) return;
  Later(child->supervisor, [this, key = child->key, waits](SupervisorPlanner& p) {
    return p.OnStartWaits(key, waits, core_->now());
  });
}

void Reconciler::RetryPending() {
  std::set<std::string> again = std::exchange(pending_, {});
  for (const std::string& path : again) {
    Child* child = core_->tree.FindChild(path);
    if (child != nullptr && child->assigned == Assigned::kQueued) Enqueue(child);
  }
}

bool Reconciler::UserWaits(const Child* child) const {
  const ClusterSupervisor* sup = child->supervisor;
  const ChildRecord* record = sup->planner->Find(child->key);
  if (record == nullptr) return false;
  return record->op_start || (sup->planner->initializing() && sup->user_waits);
}

void Reconciler::Assign(Child* child, Member* member, Ahead ahead) {
  child->fence = core_->NextFence();
  child->assigned = Assigned::kStarting;
  child->ahead = ahead;
  child->waits_init = ahead == Ahead::kNo;
  child->node = member->name();
  child->node_id = member->node_id();
  child->incarnation = member->incarnation();
  child->pid = Pid();
  StartWaits(child, false);
  child->pending_reason.clear();
  child->frozen = false;
  ++child->starts;
  if (!child->spec->start.name.empty()) child->reg_version = core_->NextRegVersion();
  Reserve(child, member);
  if (child->waits_init) ++member->starts_in_flight;
  core_->tree.Touch(child);
  if (Mutant("start-before-commit")) SendStart(child);
  core_->journal.After([this, path = child->path_key, fence = child->fence] {
    Child* c = core_->tree.FindChild(path);
    if (c == nullptr || c->fence != fence) return;
    if (c->assigned == Assigned::kNone || c->assigned == Assigned::kQueued) return;
    c->ahead == Ahead::kNo ? SendStart(c) : void(c->ahead = Ahead::kDurable);
  });
}

void Reconciler::Reserve(Child* child, Member* member) {
  CountOn(child, member->name(), true);
  if (!member->children.insert(child->path_key).second) return;
  member->weight += WeightOf(&child->spec->resources);
  for (const auto& [resource, amount] : child->spec->resources)
    member->assigned[resource] += amount;
}

void Reconciler::Unreserve(Child* child, const std::string& node, uint32_t node_id,
                           uint32_t incarnation, bool waits_init) {
  CountOn(child, node, false);
  Member* member = core_->members.FindLive(node_id, incarnation);
  if (member == nullptr || !member->children.contains(child->path_key)) return;
  if (waits_init && member->starts_in_flight > 0) --member->starts_in_flight;
  // Its other life may have come there too.
  const bool placed = child->assigned != Assigned::kNone && child->assigned != Assigned::kQueued;
  const bool present = placed && child->node_id == node_id && child->incarnation == incarnation;
  const bool second = child->second && child->second->node_id == node_id &&
                      child->second->incarnation == incarnation;
  if (present || second) return;
  member->children.erase(child->path_key);
  member->weight -= WeightOf(&child->spec->resources);
  for (const auto& [resource, amount] : child->spec->resources)
    member->assigned[resource] -= amount;
  core_->cluster_requests.PokeDrains();
}

// Gives back what the assignment took. The fence stays known until the next one.
void Reconciler::Release(Child* child) {
  const Ahead ahead = std::exchange(child->ahead, Ahead::kNo);
  if (ahead == Ahead::kWritten || ahead == Ahead::kDurable) --child->starts;
  const bool placed = child->assigned != Assigned::kNone && child->assigned != Assigned::kQueued;
  if (!placed || child->nested != nullptr || child->node_id == 0) {
    if (placed) child->assigned = Assigned::kNone;
    return;
  }
  child->assigned = Assigned::kNone;
  core_->Cancel(std::exchange(child->lost_timer, 0));
  Unreserve(child, child->node, child->node_id, child->incarnation, child->waits_init);
  child->waits_init = false;
  child->kill = false;
  child->frozen = false;
  child->pid = Pid();
}

namespace {
// The child's spec with its supervisor's extra arguments before its own.
void EncodeSpec(const Child& child, v1::ChildSpec* out) {
  const std::vector<Payload>& extra = child.supervisor->spec->extra_arguments;
  if (extra.empty()) return wire::EncodeChildSpec(*child.spec, out);
  ChildSpec spec = *child.spec;
  spec.start.args.insert(spec.start.args.begin(), extra.begin(), extra.end());
  wire::EncodeChildSpec(spec, out);
}
}  // namespace

void Reconciler::SendStart(Child* child) {
  SecondLife present;
  present.node_id = child->node_id;
  present.incarnation = child->incarnation;
  present.fence = child->fence;
  present.reg_version = child->reg_version;
  SendStart(child, present);
}

void Reconciler::SendStart(Child* child, const SecondLife& life) {
  Member* member = core_->members.FindLive(life.node_id, life.incarnation);
  // Without a session the resync that comes finds it absent, and then it is sent (W3).
  if (member == nullptr || !member->manageable()) return;
  internal::v1::Command command;
  for (const std::string& name : child->path) command.add_path(name);
  command.set_fence(life.fence.value());
  auto* start = command.mutable_start();
  EncodeSpec(*child, start->mutable_spec());
  const ChildRecord* record = child->supervisor->planner->Find(child->key);
  if (record != nullptr && record->extra_args) {
    for (const Payload& arg : *record->extra_args)
      wire::ToProto(arg, start->add_extra_args()).IgnoreError();
  }
  if (!child->spec->start.name.empty()) {
    auto* name = start->mutable_name();
    name->set_name(child->spec->start.name);
    name->set_reg_version(life.reg_version);
    name->set_child_name(true);
    name->set_exclusive(child->spec->exclusivity != Exclusivity::kAvailable);
  }
  if (!child->hand_off.empty())
    wire::ToProto(child->hand_off, start->mutable_hand_off()).IgnoreError();
  start->set_starts(child->starts - 1);
  member->control->SendCommand(std::move(command));
}

void Reconciler::SendStop(Child* child) {
  Member* member = core_->members.FindLive(child->node_id, child->incarnation);
  if (member == nullptr || !member->manageable()) return;
  internal::v1::Command command;
  for (const std::string& name : child->path) command.add_path(name);
  command.set_fence(child->fence.value());
  if (child->kill) {
    *command.mutable_kill()->mutable_reason() = wire::ToProto(ExitReason::Killed(), {});
  } else {
    *command.mutable_stop()->mutable_reason() = wire::ToProto(ExitReason::Shutdown(), {});
    command.mutable_stop()->set_hand_off(child->moving && child->spec->hand_off);
  }
  member->control->SendCommand(std::move(command));
}

// What it is stopped for may be waiting for the store, of this turn or an earlier one.
void Reconciler::SendStopWhenStored(Child* child) {
  core_->journal.After([this, path = child->path_key, fence = child->fence] {
    Child* c = core_->tree.FindChild(path);
    if (c != nullptr && c->fence == fence && c->assigned == Assigned::kStopping) SendStop(c);
  });
}

void Reconciler::SendOrphanStop(Member* member, const std::vector<std::string>& path,
                                uint64_t fence) {
  core_->journal.After([this, name = member->name(), path, fence] {
    Member* m = core_->members.Find(name);
    if (m == nullptr || m->control == nullptr) return;
    internal::v1::Command command;
    for (const std::string& id : path) command.add_path(id);
    command.set_fence(fence);
    *command.mutable_stop()->mutable_reason() = wire::ToProto(ExitReason::Shutdown(), {});
    command.mutable_stop()->set_orphan(true);
    m->control->SendCommand(std::move(command));
  });
}

bool Reconciler::Move(Child* child) {
  if (child->assigned != Assigned::kRunning || child->nested != nullptr || child->second)
    return false;
  if (child->spec->exclusivity == Exclusivity::kAvailable) return StartSecond(child);
  MoveByForce(child);
  return true;
}

void Reconciler::Kill(Child* child) {
  child->kill = true;
  core_->tree.Touch(child);
  SendStopWhenStored(child);
}

void Reconciler::MoveByForce(Child* child) {
  if (child->second && !child->second->outgoing) CancelSecond(child);
  child->assigned = Assigned::kStopping;
  child->moving = true;
  child->kill = false;
  core_->tree.Touch(child);
  core_->journal.After([this, path = child->path_key, fence = child->fence] {
    Child* c = core_->tree.FindChild(path);
    if (c != nullptr && c->fence == fence && c->moving) SendStop(c);
  });
}

}  // namespace banyan
