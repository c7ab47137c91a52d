// Drains: a node's children are moved, a few of each supervisor at a time, until nothing is left.
// Level-triggered from the node's durable record, so that a drain outlives the coordinator.
#include <algorithm>
#include <utility>
#include <vector>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/base/mutant.h"
#include "server/coordinator/cluster_requests.h"
#include "server/coordinator/core.h"
#include "server/coordinator/snapshot.h"

namespace banyan {
namespace {

constexpr absl::Duration kTick = absl::Seconds(1);
// What a drain waits for comes in bursts; each is looked at once.
constexpr absl::Duration kPokeWait = absl::Milliseconds(10);
// A child whose own rules let it take for ever is killed so long after the deadline: 5 s with the
// usual lease.
absl::Duration KillAfter(const CoordinatorOptions& options) {
  return (options.lease_node - options.lease_freeze) / 2;
}

}  // namespace

void ClusterRequests::Drain(const NodeArgs& args, absl::Duration deadline, uint32_t max_parallel,
                            bool then_leave, Reply<v1::NodeInfo> done) {
  Member* member = nullptr;
  Operation* op =
      Begin(args, "Drain",
            fmt::format("{} {} {}", absl::FormatDuration(deadline), max_parallel, then_leave),
            std::move(done), &member);
  if (op == nullptr) return;
  if (member->gone()) {
    return core_->operations.Fail(
        op, MakeError("NODE_NOT_ACTIVE", fmt::format("node \"{}\" is no member now", args.name),
                      {{"node", args.name}}));
  }
  internal::v1::DrainRecord* drain = member->record.mutable_drain();
  if (!drain->has_start_time()) *drain->mutable_start_time() = core_->wall_proto();
  drain->clear_deadline();
  drain->clear_end_time();
  if (deadline != absl::InfiniteDuration()) SetDeadline(member, deadline);
  drain->set_max_parallel(max_parallel);
  drain->set_then_leave(then_leave);
  drain->set_message(args.message);
  core_->membership.Store(*member);
  core_->membership.Changed(member);
  core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_DRAIN, member->name());
  Step(member);
  core_->operations.Finish(op, EncodeNode(*core_, *member, false), "done");
}

// After a change of the coordinator the node asks again; what is in the store is then only renewed.
void ClusterRequests::OnRetire(Member* member, absl::Duration deadline) {
  retiring_[member->name()] = member->incarnation();
  internal::v1::DrainRecord* drain = member->record.mutable_drain();
  if (!drain->has_start_time()) *drain->mutable_start_time() = core_->wall_proto();
  drain->clear_end_time();
  SetDeadline(member, deadline);
  drain->set_then_leave(true);
  drain->set_message("the node is ending");
  core_->membership.Store(*member);
  core_->membership.Changed(member);
  core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_DRAIN, member->name());
  Step(member);
}

bool ClusterRequests::Retiring(const Member& member) const {
  const auto it = retiring_.find(member.name());
  return it != retiring_.end() && it->second == member.incarnation();
}

void ClusterRequests::Tick() {
  StepDrains();
  StepRebalance();
  // Failed starts are held against a node for some minutes.
  if (++ticks_ % 60 == 0) {
    for (const auto& [name, member] : core_->members.all()) member->recent_start_failures /= 2;
  }
  core_->After(kTick, [this] { Tick(); });
}

void ClusterRequests::PokeDrains() {
  const auto drains = [](const auto& entry) {
    return !entry.second->gone() && entry.second->draining();
  };
  const auto& all = core_->members.all();
  if (poked_ || std::none_of(all.begin(), all.end(), drains)) return;
  poked_ = true;
  core_->After(kPokeWait, [this] {
    poked_ = false;
    StepDrains();
  });
}

void ClusterRequests::StepDrains() {
  std::vector<Member*> draining;
  for (const auto& [name, member] : core_->members.all()) {
    if (!member->gone() && member->draining()) draining.push_back(member.get());
  }
  if (draining.empty()) killed_.clear();
  for (Member* member : draining) Step(member);
}

std::vector<Pid> ClusterRequests::StuckOn(const std::string& node) const {
  const auto it = stuck_.find(node);
  return it == stuck_.end() ? std::vector<Pid>() : it->second;
}

void ClusterRequests::EndDrain(Member* member) {
  stuck_.erase(member->name());
  *member->record.mutable_drain()->mutable_end_time() = core_->wall_proto();
  core_->membership.Store(*member);
  core_->membership.Changed(member);
  core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_DRAIN, member->name());
  if (member->record.drain().then_leave()) LetLeave(member, /*at_once=*/false);
}

// The word that it may leave may have been lost with its session.
void ClusterRequests::OnResynced(Member* member) {
  if (member->record.has_drain() && member->record.drain().has_end_time() &&
      member->record.drain().then_leave()) {
    LetLeave(member, /*at_once=*/false);
  }
}

// The node leaves when it has no children left. `at_once`: it stops those that it has.
void ClusterRequests::LetLeave(Member* member, bool at_once) {
  if (!member->manageable()) return;
  core_->journal.After([this, name = member->name(), at_once] {
    Member* m = core_->members.Find(name);
    if (m == nullptr || !m->manageable()) return;
    internal::v1::Command command;
    command.mutable_set_drain()->set_draining(true);
    command.mutable_set_drain()->set_then_leave(true);
    if (at_once)
      *command.mutable_set_drain()->mutable_deadline() = wire::ToProto(KillAfter(core_->options));
    m->control->SendCommand(std::move(command));
  });
}

uint32_t ClusterRequests::MayBeAway(const ClusterSupervisor& sup,
                                    const internal::v1::DrainRecord& drain) {
  if (drain.max_parallel() > 0) return drain.max_parallel();
  if (sup.spec->max_unavailable) return *sup.spec->max_unavailable;
  return std::max<uint32_t>(1, static_cast<uint32_t>(sup.children.size() / 10));
}

// Moves as many as may be away at a time. What no other node fits stays until the deadline, and is
// then stopped where it is.
void ClusterRequests::Step(Member* member) {
  internal::v1::DrainRecord* drain = member->record.mutable_drain();
  if (core_->safe_mode.holds_starts()) return;
  if (member->children.empty()) return EndDrain(member);
  if (core_->now() >= DeadlineOf(*member)) return Force(member);
  std::map<ClusterSupervisor*, uint32_t> away;  // seam: only found in
  core_->tree.ForEach([&](ClusterSupervisor* sup) {
    for (const auto& [key, child] : sup->children) {
      const ChildRecord* record = sup->planner->Find(key);
      const bool starts = record != nullptr && record->state == ChildState::kStarting &&
                          child->assigned != Assigned::kNone;
      // What waits for room does so without this drain, which moves only what has a place.
      const bool waits = child->assigned == Assigned::kQueued && !child->pending_reason.empty();
      if (child->moving || child->second || (starts && !waits)) ++away[sup];
    }
  });
  const std::vector<NodeView> views = core_->members.Views(core_->now());
  const std::set<std::string> children = member->children;
  bool stuck = !children.empty();
  stuck_.erase(member->name());
  for (const std::string& path : children) {
    Child* child = core_->tree.FindChild(path);
    const bool here = child != nullptr && child->node_id == member->node_id() &&
                      child->incarnation == member->incarnation();
    if (here && child->ahead != Ahead::kNo) core_->reconciler.DropAhead(child);
    if (!here || child->assigned != Assigned::kRunning || child->second) {
      stuck = false;  // it is on its way
      continue;
    }
    if (child->spec->restart == RestartType::kTemporary) continue;
    if (away[child->supervisor] >= MayBeAway(*child->supervisor, *drain)) {
      stuck = false;
      continue;
    }
    if (core_->reconciler.PlaceElsewhere(child, views).node.empty()) {
      stuck_[member->name()].push_back(child->pid);
      continue;
    }
    stuck = false;
    if (!core_->reconciler.Move(child)) continue;
    ++away[child->supervisor];
    drain->set_moved(drain->moved() + 1);
  }
  // A node that is ending need not wait for what can go nowhere.
  if (stuck && Retiring(*member)) LetLeave(member, /*at_once=*/true);
}

void ClusterRequests::SetDeadline(Member* member, absl::Duration deadline) {
  google::protobuf::Timestamp* wall = member->record.mutable_drain()->mutable_deadline();
  *wall = wire::ToProto(core_->wall() + deadline);
  deadlines_[member->name()] = {wire::FromProto(*wall), core_->now() + deadline};
}

// What is on record is wall time, for people and for the next term: within a term a wall clock that
// is set moves no deadline.
Instant ClusterRequests::DeadlineOf(const Member& member) {
  const internal::v1::DrainRecord& drain = member.record.drain();
  if (!drain.has_deadline()) return Instant::Infinite();
  const absl::Time wall = wire::FromProto(drain.deadline());
  auto [it, added] = deadlines_.try_emplace(member.name());
  if (added || it->second.wall != wall || Mutant("drain-by-wall"))
    it->second = {wall, core_->now() + std::max(wall - core_->wall(), absl::ZeroDuration())};
  return it->second.at;
}

void ClusterRequests::Force(Member* member) {
  internal::v1::DrainRecord* drain = member->record.mutable_drain();
  const bool kill = core_->now() >= DeadlineOf(*member) + KillAfter(core_->options);
  const std::set<std::string> children = member->children;
  for (const std::string& path : children) {
    Child* child = core_->tree.FindChild(path);
    const bool here = child != nullptr && child->node_id == member->node_id() &&
                      child->incarnation == member->incarnation();
    if (!here) continue;
    if (child->ahead != Ahead::kNo) core_->reconciler.DropAhead(child);
    if (child->assigned == Assigned::kStopping) {
      const bool for_ever = child->spec->shutdown_or_default().timeout == absl::InfiniteDuration();
      if (kill && for_ever && killed_.insert(path).second) core_->reconciler.Kill(child);
      continue;
    }
    if (child->assigned != Assigned::kRunning) continue;
    if (child->spec->restart == RestartType::kTemporary) {
      core_->reconciler.Perform(child->supervisor, child->supervisor->planner->TerminateChildByKey(
                                                       0, child->key, core_->now()));
      continue;
    }
    drain->set_moved(drain->moved() + 1);
    core_->reconciler.MoveByForce(child);
  }
}

}  // namespace banyan
