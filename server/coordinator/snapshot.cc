#include "server/coordinator/snapshot.h"

#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/coordinator/core.h"
#include "server/wire/child_spec.h"

namespace banyan {
namespace {

v1::ChildState ShownState(const Coordinator::Core& core, const Child& child) {
  const ChildRecord* record = child.supervisor->planner->Find(child.key);
  if (record == nullptr) return v1::CHILD_STATE_STOPPED;
  if (child.nested != nullptr) {
    return child.assigned == Assigned::kStopping ? v1::CHILD_STATE_STOPPING
           : child.nested->started               ? v1::CHILD_STATE_RUNNING
                                                 : v1::CHILD_STATE_STARTING;
  }
  switch (child.ahead == Ahead::kNo ? child.assigned : Assigned::kNone) {
    case Assigned::kQueued:
      return v1::CHILD_STATE_PENDING;
    case Assigned::kStarting:
      return v1::CHILD_STATE_STARTING;
    case Assigned::kStopping:
      return v1::CHILD_STATE_STOPPING;
    case Assigned::kRunning: {
      const auto it = core.members.all().find(child.node);
      const bool doubtful = it == core.members.all().end() || it->second->suspect ||
                            it->second->gone() || it->second->incarnation() != child.incarnation;
      return doubtful ? v1::CHILD_STATE_UNREACHABLE : v1::CHILD_STATE_RUNNING;
    }
    case Assigned::kNone:
      break;
  }
  if (record->state == ChildState::kRestarting) return v1::CHILD_STATE_BACKOFF;
  if (record->state == ChildState::kRunning) return v1::CHILD_STATE_FAILED;  // given up as poison
  if (record->state == ChildState::kStarting) return v1::CHILD_STATE_PENDING;
  return v1::CHILD_STATE_STOPPED;
}

}  // namespace

std::string EtagOf(const Member& member) {
  // Of what UpdateNode and Cordon change. Maps in order, so that it does not depend on the process.
  std::string text = fmt::format("{} {}", member.incarnation(), member.record.cordoned());
  for (const auto& [key, value] : member.labels()) text += fmt::format("\n{}={}", key, value);
  for (const auto& [key, value] : member.capacity()) text += fmt::format("\n{}:{}", key, value);
  uint64_t hash = 14695981039346656037u;
  for (unsigned char c : text) hash = (hash ^ c) * 1099511628211u;
  return fmt::format("{:016x}", hash);
}

v1::NodeInfo EncodeNode(const Coordinator::Core& core, const Member& member, bool for_view) {
  v1::NodeInfo info;
  const internal::v1::NodeRecord& record = member.record;
  info.set_name(record.name());
  info.set_node_id(record.node_id());
  info.set_incarnation(record.incarnation());
  info.set_state(member.shown_state());
  info.set_address(record.address());
  const std::map<std::string, std::string> labels = member.labels();
  info.mutable_labels()->insert(labels.begin(), labels.end());
  info.set_version(record.version());
  info.set_death_cause(record.death_cause());
  info.set_schedulable(!member.gone() && !record.cordoned() && !record.has_drain());
  info.set_quarantined(core.now() < member.quarantined_until);
  info.set_frozen(member.frozen);
  info.set_has_watcher(member.has_watcher || member.watcher != nullptr);
  if (for_view) return info;
  const std::map<std::string, int64_t> capacity = member.capacity();
  info.mutable_capacity()->insert(capacity.begin(), capacity.end());
  info.set_level(record.level());
  for (const std::string& name : FeatureNames(FeaturesOfLevel(record.level())))
    info.add_features(name);
  if (member.drift.drift()) info.set_clock_drift(*member.drift.drift());
  *info.mutable_join_time() = record.join_time();
  if (member.last_seen != absl::InfinitePast())
    *info.mutable_last_seen_time() = wire::ToProto(member.last_seen);
  for (const v1::ModuleInfo& module : member.modules) *info.add_modules() = module;
  *info.mutable_load() = member.load;
  for (const auto& [resource, amount] : member.assigned)
    (*info.mutable_assigned())[resource] = amount;
  (*info.mutable_assigned())["weight"] = member.weight;
  info.set_etag(EtagOf(member));
  if (record.has_drain()) {
    v1::DrainStatus* drain = info.mutable_drain();
    *drain->mutable_start_time() = record.drain().start_time();
    if (record.drain().has_deadline()) *drain->mutable_deadline() = record.drain().deadline();
    if (record.drain().has_end_time()) *drain->mutable_end_time() = record.drain().end_time();
    drain->set_remaining_children(member.children.size());
    drain->set_moved_children(record.drain().moved());
    drain->set_message(record.drain().message());
    for (const Pid& pid : core.cluster_requests.StuckOn(member.name()))
      *drain->add_stuck() = wire::ToProto(pid, {});
  }
  return info;
}

v1::ChildInfo EncodeChild(const Coordinator::Core& core, const Child& child, bool with_spec) {
  v1::ChildInfo info;
  info.set_id(child.spec->id);
  info.set_type(static_cast<v1::ChildType>(child.spec->type));
  info.set_state(ShownState(core, child));
  info.set_module(child.spec->start.module);
  if (const ChildRecord* record = child.supervisor->planner->Find(child.key)) {
    info.set_restarts(record->restarts);
  }
  const bool placed = child.nested == nullptr && child.assigned != Assigned::kNone &&
                      child.assigned != Assigned::kQueued && child.ahead == Ahead::kNo;
  if (placed) {
    if (child.pid) *info.mutable_pid() = wire::ToProto(child.pid, {});
    info.set_fence(child.fence.value());
    info.set_node(child.node);
  }
  if (child.start_time != absl::Time())
    *info.mutable_start_time() = wire::ToProto(child.start_time);
  if (child.last_exit) {
    *info.mutable_last_exit_reason() = wire::ToProto(*child.last_exit, {});
    *info.mutable_last_exit_time() = wire::ToProto(child.last_exit_time);
  }
  if (info.state() == v1::CHILD_STATE_BACKOFF && child.retry_at != Instant()) {
    *info.mutable_next_start_time() = wire::ToProto(core.wall() + (child.retry_at - core.now()));
  }
  info.set_state_reason(child.frozen ? "frozen" : child.pending_reason);
  info.mutable_labels()->insert(child.spec->labels.begin(), child.spec->labels.end());
  if (with_spec) wire::EncodeChildSpec(*child.spec, info.mutable_spec());
  return info;
}

v1::ChildCounts EncodeCounts(const ClusterSupervisor& sup) {
  const ChildCounts counts = sup.planner->Count();
  v1::ChildCounts out;
  out.set_specs(counts.specs);
  out.set_active(counts.active);
  out.set_supervisors(counts.supervisors);
  out.set_workers(counts.workers);
  return out;
}

v1::SupervisorInfo EncodeSupervisor(const Coordinator::Core& core, const ClusterSupervisor& sup) {
  v1::SupervisorInfo info;
  if (sup.parent == nullptr) info.set_name(sup.path[0]);
  wire::EncodeSupervisorSpec(*sup.spec, info.mutable_spec());
  *info.mutable_counts() = EncodeCounts(sup);
  info.set_recent_restarts(
      static_cast<uint32_t>(sup.planner->SnapshotHead(core.now()).restart_ages.size()));
  *info.mutable_start_time() = wire::ToProto(sup.start_time);
  info.set_cluster_wide(true);
  for (const std::string& name : sup.path) info.add_path(name);
  return info;
}

absl::Status StartError(const std::string& child, const ExitReason& reason) {
  const ExitReason* root = &reason;
  // A supervisor's start fails with its child's reason inside.
  while (root->cause() != nullptr) root = root->cause();
  if (root->type() == "no_node_fits") {
    return MakeError("NO_NODE_FITS", fmt::format("no node fits {}: {}", child, root->message()),
                     {{"childId", child}}, reason);
  }
  return MakeError("CHILD_START_FAILED",
                   fmt::format("{} could not be started: {}", child, reason.ToString()),
                   {{"childId", child}}, reason);
}

}  // namespace banyan
