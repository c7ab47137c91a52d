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
  // A node that is ending cannot be talked out of it.
  if (!cordoned && member->record.has_drain() && !Retiring(*member)) {
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
  // Without its record nobody could say any more that it has ended.
  const Child* child =
      member == nullptr ? nullptr : core_->reconciler.AwaitsProof(member->node_id());
  if (child != nullptr) {
    return core_->operations.Fail(
        op,
        MakeError("NODE_STILL_UP",
                  fmt::format("nothing proves that child {} has ended on node \"{}\"; see to it, "
                              "and confirm that the node is dead first",
                              child->path_key, args.name),
                  {{"node", args.name}}));
  }
  if (member != nullptr) {
    // A later life of that name must not have an incarnation that was there before.
    if (member->incarnation() > core_->meta.incarnation_floor()) {
      core_->meta.set_incarnation_floor(member->incarnation());
      core_->journal.Put("meta", core_->meta);
    }
    core_->journal.Delete(fmt::format("node/{}", args.name));
    core_->members.Remove(args.name);
  }
  core_->operations.Finish(op, v1::RemoveNodeResponse(), "done");
}

}  // namespace banyan
