#include "server/coordinator/cluster_requests.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/coordinator/core.h"
#include "server/coordinator/snapshot.h"

namespace banyan {

void ClusterRequests::Start() {
  core_->After(absl::Seconds(1), [this] { Tick(); });
}

Operation* ClusterRequests::Begin(const NodeArgs& args, const std::string& kind,
                                  const std::string& more, Reply<v1::NodeInfo> done,
                                  Member** member) {
  Operation* op = core_->operations.Begin<v1::NodeInfo>(
      args.request_id, kind, fmt::format("{}\n{}\n{}", args.name, args.message, more), {},
      std::move(done));
  if (op == nullptr) return nullptr;
  *member = core_->members.Find(args.name);
  if (*member != nullptr) return op;
  core_->operations.Fail(op, MakeError("NODE_NOT_FOUND", fmt::format("no node \"{}\"", args.name),
                                       {{"node", args.name}}));
  return nullptr;
}

void ClusterRequests::SetCordon(const NodeArgs& args, bool cordoned, Reply<v1::NodeInfo> done) {
  Member* member = nullptr;
  Operation* op = Begin(args, cordoned ? "Cordon" : "Uncordon", "", std::move(done), &member);
  if (op == nullptr) return;
  member->record.set_cordoned(cordoned);
  member->record.set_cordon_message(cordoned ? args.message : "");
  if (!cordoned && member->record.has_drain()) {
    member->record.clear_drain();
    core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_DRAIN, member->name());
  }
  core_->membership.Store(*member);
  core_->membership.Changed(member);
  core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_UPDATED, member->name());
  core_->reconciler.OnViewChanged();
  core_->operations.Finish(op, EncodeNode(*core_, *member, false), "done");
}

void ClusterRequests::ConfirmDead(const NodeArgs& args, uint32_t incarnation, bool force,
                                  Reply<v1::NodeInfo> done) {
  Member* member = nullptr;
  Operation* op = Begin(args, "ConfirmDead", fmt::format("{} {}", incarnation, force),
                        std::move(done), &member);
  if (op == nullptr) return;
  if (incarnation != 0 && incarnation < member->incarnation()) {
    // Of an earlier life: `strict` children may still wait for the word.
    core_->reconciler.OnDeathProven(member->node_id(), incarnation);
    return core_->operations.Finish(op, EncodeNode(*core_, *member, false), "done");
  }
  if (member->incarnation() != incarnation) {
    return core_->operations.Fail(
        op, MakeError("NODE_NOT_FOUND",
                      fmt::format("node \"{}\" is in incarnation {}, not {}", args.name,
                                  member->incarnation(), incarnation),
                      {{"node", args.name}}));
  }
  if (!member->gone()) {
    if (member->reachable() && !force) {
      return core_->operations.Fail(
          op,
          MakeError(
              "NODE_REACHABLE",
              fmt::format("node \"{}\" is heard of: children may run twice if it is declared dead",
                          args.name),
              {{"node", args.name}}));
    }
    core_->membership.Die(member, "operator");
  } else if (member->record.death_cause() == "lease") {
    member->record.set_death_cause("operator");
    core_->membership.Store(*member);
    core_->reconciler.OnDeathProven(member->node_id(), incarnation);
  }
  core_->operations.Finish(op, EncodeNode(*core_, *member, false), "done");
}

void ClusterRequests::RemoveNode(const NodeArgs& args, bool allow_missing, StatusReply done) {
  Operation* op = core_->operations.Begin<v1::RemoveNodeResponse>(
      args.request_id, "RemoveNode", args.name, {},
      [done = std::move(done)](absl::StatusOr<v1::RemoveNodeResponse> r) { done(r.status()); });
  if (op == nullptr) return;
  Member* member = core_->members.Find(args.name);
  if (member == nullptr && !allow_missing) {
    return core_->operations.Fail(
        op, MakeError("NODE_NOT_FOUND", fmt::format("no node \"{}\"", args.name),
                      {{"node", args.name}}));
  }
  if (member != nullptr && !member->gone()) {
    return core_->operations.Fail(
        op,
        MakeError("NODE_STILL_UP", fmt::format("node \"{}\" is neither DEAD nor LEFT", args.name),
                  {{"node", args.name}}));
  }
  if (member != nullptr) {
    core_->journal.Delete(fmt::format("node/{}", args.name));
    core_->members.Remove(args.name);
  }
  core_->operations.Finish(op, v1::RemoveNodeResponse(), "done");
}

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
  if (deadline != absl::InfiniteDuration())
    *drain->mutable_deadline() = wire::ToProto(core_->wall() + deadline);
  drain->set_max_parallel(std::max(max_parallel, 1u));
  drain->set_then_leave(then_leave);
  drain->set_message(args.message);
  core_->membership.Store(*member);
  core_->membership.Changed(member);
  core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_DRAIN, member->name());
  Step(member);
  core_->operations.Finish(op, EncodeNode(*core_, *member, false), "done");
}

void ClusterRequests::Tick() {
  std::vector<Member*> draining;
  for (const auto& [name, member] : core_->members.all()) {
    if (!member->gone() && member->draining()) draining.push_back(member.get());
  }
  for (Member* member : draining) Step(member);
  core_->After(absl::Seconds(1), [this] { Tick(); });
}

// Moves as many as may be away at a time; a drain is finished when nothing is left.
// Level-triggered, so that it goes on after a restart.
void ClusterRequests::Step(Member* member) {
  internal::v1::DrainRecord* drain = member->record.mutable_drain();
  if (member->children.empty()) {
    *drain->mutable_end_time() = core_->wall_proto();
    core_->membership.Store(*member);
    core_->membership.Changed(member);
    core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_DRAIN, member->name());
    if (member->manageable() && drain->then_leave()) {
      core_->journal.After([this, name = member->name()] {
        Member* m = core_->members.Find(name);
        if (m == nullptr || !m->manageable()) return;
        internal::v1::Command command;
        command.mutable_set_drain()->set_draining(true);
        command.mutable_set_drain()->set_then_leave(true);
        m->control->SendCommand(std::move(command));
      });
    }
    return;
  }
  const bool forced = drain->has_deadline() && core_->wall() >= wire::FromProto(drain->deadline());
  std::map<ClusterSupervisor*, uint32_t> away;
  core_->tree.ForEach([&](ClusterSupervisor* sup) {
    for (const auto& [key, child] : sup->children) {
      const ChildRecord* record = sup->planner->Find(key);
      const bool starts = record != nullptr && record->state == ChildState::kStarting;
      if (child->moving || (starts && child->assigned != Assigned::kNone)) ++away[sup];
    }
  });
  const std::set<std::string> children = member->children;
  for (const std::string& path : children) {
    Child* child = core_->tree.FindChild(path);
    if (child == nullptr || child->assigned != Assigned::kRunning) continue;
    if (!forced && child->spec->restart == RestartType::kTemporary) continue;
    if (!forced && away[child->supervisor] >= std::max(drain->max_parallel(), 1u)) continue;
    ++away[child->supervisor];
    drain->set_moved(drain->moved() + 1);
    core_->reconciler.Move(child);
  }
}

}  // namespace banyan
