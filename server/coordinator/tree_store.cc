// The tree's records: what is written at the end of a turn, and how it is read back.
#include <algorithm>
#include <utility>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/mutant.h"
#include "common/wire/payload.h"
#include "server/coordinator/core.h"
#include "server/coordinator/tree.h"
#include "server/wire/child_spec.h"

namespace banyan {

constexpr uint64_t kSequenceAhead = 1023;

// ------------------------------------------------------------------- writing

void Tree::TouchHeaderIfChanged(ClusterSupervisor* sup) {
  const SupervisorPlanner& planner = *sup->planner;
  const uint64_t now = planner.head_version() + (planner.children().sequence() | kSequenceAhead);
  if (!planner.scripted() && now == sup->head_seen) return;
  sup->head_seen = now;
  TouchHeader(sup);
}

void Tree::Flush() {
  if (!must_flush_) return;
  must_flush_ = false;
  for (ClusterSupervisor* sup : dirty_) {
    for (ChildKey key : sup->dirty) {
      auto it = sup->children.find(key);
      if (it != sup->children.end()) WriteChild(it->second.get());
    }
    sup->dirty.clear();
    if (sup->header_dirty) WriteHeader(sup);
    sup->header_dirty = false;
  }
  dirty_.clear();
}

void Tree::WriteChild(Child* child) {
  const ChildRecord* record = child->supervisor->planner->Find(child->key);
  if (record == nullptr) return;
  if (child->is_new) {
    internal::v1::ChildRecord spec;
    for (const std::string& name : child->path) spec.add_path(name);
    spec.set_key(child->key);
    spec.set_order(child->order);
    wire::EncodeChildSpec(*child->spec, spec.mutable_spec());
    if (record->extra_args) {
      for (const Payload& arg : *record->extra_args) {
        // A local value cannot have come from outside.
        wire::ToProto(arg, spec.add_extra_args()).IgnoreError();
      }
    }
    core_->journal.Put(fmt::format("child/{}/spec", child->path_key), spec);
    child->is_new = false;
  }
  internal::v1::AssignmentRecord asg;
  // Whether the start of one that was assigned ahead has been sent is not written again: the next
  // term has to take it for one that is being started.
  const bool ahead = child->ahead == Ahead::kWritten || child->ahead == Ahead::kDurable;
  asg.set_state(static_cast<uint32_t>(ahead ? ChildState::kStarting : record->state));
  asg.set_restarting(record->restarting);
  asg.set_retrying(record->retrying);
  asg.set_op_start(record->op_start);
  asg.set_op_new(record->op_new);
  asg.set_retry_counted(record->retry_counted);
  asg.set_restarts(record->restarts);
  const bool placed = child->assigned == Assigned::kStarting ||
                      child->assigned == Assigned::kRunning ||
                      child->assigned == Assigned::kStopping;
  if (placed) {
    asg.set_node_id(child->node_id);
    asg.set_incarnation(child->incarnation);
    asg.set_fence(child->fence.value());
    asg.set_kill(child->kill);
    asg.set_moving(child->moving);
  }
  if (record->pid) *asg.mutable_pid() = wire::ToProto(record->pid, {});
  asg.set_starts(child->starts);
  if (child->last_exit) {
    *asg.mutable_last_exit() = wire::ToProto(*child->last_exit, {});
    *asg.mutable_last_exit_time() = wire::ToProto(child->last_exit_time);
  }
  if (child->start_time != absl::Time())
    *asg.mutable_start_time() = wire::ToProto(child->start_time);
  for (absl::Time mark : child->poison_marks) *asg.add_poison_marks() = wire::ToProto(mark);
  asg.set_reg_version(child->reg_version);
  asg.set_previous_node(child->previous_node);
  asg.set_pending_reason(child->pending_reason);
  if (!child->hand_off.empty())
    wire::ToProto(child->hand_off, asg.mutable_hand_off()).IgnoreError();
  if (child->second) {
    auto* second = asg.mutable_second();
    second->set_node_id(child->second->node_id);
    second->set_incarnation(child->second->incarnation);
    second->set_fence(child->second->fence.value());
    second->set_reg_version(child->second->reg_version);
    second->set_outgoing(child->second->outgoing);
  }
  asg.set_backoff_restarts(child->supervisor->planner->BackoffRestarts(child->key));
  core_->journal.Put(fmt::format("child/{}/asg", child->path_key), asg);
}

void Tree::WriteHeader(ClusterSupervisor* sup) {
  internal::v1::SupervisorRecord record;
  for (const std::string& name : sup->path) record.add_path(name);
  wire::EncodeSupervisorSpec(*sup->spec, record.mutable_spec());
  *record.mutable_start_time() = wire::ToProto(sup->start_time);
  record.set_failed(sup->failed);
  record.set_stopping(sup->stopping);
  record.set_stop_request(sup->stop_request);
  record.set_user_waits(sup->user_waits);
  record.set_started(sup->started);
  if (sup->exit_reason) *record.mutable_exit_reason() = wire::ToProto(*sup->exit_reason, {});
  const SupervisorSnapshot snapshot = sup->planner->SnapshotHead(core_->now());
  // A window of ages is kept as wall times: an age after a failover is clamped, so that a clock set
  // back makes it strict, never lax (cluster.md 6.5).
  for (absl::Duration age : snapshot.restart_ages) {
    *record.add_restarts() = wire::ToProto(core_->wall() - age);
  }
  // A few keys ahead, so that not every new child changes the header; keys are not used twice.
  record.set_sequence(snapshot.sequence | kSequenceAhead);
  if (snapshot.script.kind != SupervisorSnapshot::Script::Kind::kNone) {
    auto* script = record.mutable_script();
    script->set_kind(static_cast<uint32_t>(snapshot.script.kind));
    script->set_starting(snapshot.script.starting);
    script->set_cause(snapshot.script.cause);
    script->set_position(snapshot.script.position);
    *script->mutable_exit_reason() = wire::ToProto(snapshot.script.exit_reason, {});
  }
  WriteScriptMembers(sup, snapshot.script.members);
  std::string bytes = StableBytes(record);
  if (bytes == sup->header_written) return;
  core_->journal.Put(fmt::format("sup/{}", sup->path_key), bytes);
  sup->header_written = std::move(bytes);
}

void Tree::WriteScriptMembers(ClusterSupervisor* sup, const std::vector<ChildKey>& members) {
  if (members == sup->script_written) return;
  sup->script_written = members;
  const std::string key = fmt::format("script/{}", sup->path_key);
  if (members.empty()) return core_->journal.Delete(key);
  internal::v1::SupervisorRecord::Script record;
  for (ChildKey member : members) record.add_members(member);
  core_->journal.Put(key, record);
}

// ------------------------------------------------------------------- reading

absl::Status Tree::Load() {
  auto records = core_->deps.store->Load("sup/");
  if (!records.ok()) return records.status();
  std::vector<internal::v1::SupervisorRecord> sups;
  for (const KeyValue& kv : *records) {
    if (!sups.emplace_back().ParseFromString(kv.value)) {
      return absl::DataLossError(fmt::format("store: {} cannot be read", kv.key));
    }
  }
  auto scripts = core_->deps.store->Load("script/");
  if (!scripts.ok()) return scripts.status();
  std::map<std::string, internal::v1::SupervisorRecord::Script> script_of;
  for (const KeyValue& kv : *scripts) {
    if (!script_of[kv.key.substr(7)].ParseFromString(kv.value)) {
      return absl::DataLossError(fmt::format("store: {} cannot be read", kv.key));
    }
  }
  auto children = core_->deps.store->Load("child/");
  if (!children.ok()) return children.status();
  std::map<std::string, std::pair<internal::v1::ChildRecord, internal::v1::AssignmentRecord>>
      by_path;
  for (const KeyValue& kv : *children) {
    const size_t slash = kv.key.rfind('/');
    const std::string path = kv.key.substr(6, slash - 6);
    const bool is_spec = kv.key.substr(slash) == "/spec";
    auto& entry = by_path[path];
    const bool ok =
        is_spec ? entry.first.ParseFromString(kv.value) : entry.second.ParseFromString(kv.value);
    if (!ok) return absl::DataLossError(fmt::format("store: {} cannot be read", kv.key));
  }
  // Parents come first: nested supervisors hang below a child of theirs.
  std::sort(sups.begin(), sups.end(),
            [](const auto& a, const auto& b) { return a.path_size() < b.path_size(); });
  std::map<std::string,
           std::vector<const std::pair<internal::v1::ChildRecord, internal::v1::AssignmentRecord>*>>
      by_supervisor;
  for (const auto& [path, entry] : by_path) {
    std::vector<std::string> names(entry.first.path().begin(), entry.first.path().end());
    if (names.empty()) continue;  // an assignment whose spec is gone
    names.pop_back();
    by_supervisor[PathKey(names)].push_back(&entry);
  }
  for (const auto& record : sups) {
    BANYAN_RETURN_IF_ERROR(LoadSupervisor(record));
    ClusterSupervisor* sup = FindSupervisor(PathKey({record.path().begin(), record.path().end()}));
    if (sup == nullptr) continue;
    SupervisorSnapshot snapshot;
    snapshot.flags = sup->spec->flags;
    snapshot.child_template = sup->planner->child_template();
    for (const auto& time : record.restarts()) {
      if (Mutant("intensity-reset")) break;
      snapshot.restart_ages.push_back(
          std::max(absl::ZeroDuration(), core_->wall() - wire::FromProto(time)));
    }
    snapshot.sequence = record.sequence();
    if (record.has_script()) {
      snapshot.script.kind = static_cast<SupervisorSnapshot::Script::Kind>(record.script().kind());
      snapshot.script.starting = record.script().starting();
      snapshot.script.cause = record.script().cause();
      // Older releases kept them in the supervisor's record.
      const auto own = script_of.find(sup->path_key);
      const auto& members =
          own != script_of.end() ? own->second.members() : record.script().members();
      snapshot.script.members.assign(members.begin(), members.end());
      if (own != script_of.end()) sup->script_written = snapshot.script.members;
      snapshot.script.position = record.script().position();
      snapshot.script.exit_reason = wire::FromProto(record.script().exit_reason(), {});
    }
    auto& mine = by_supervisor[sup->path_key];
    std::sort(mine.begin(), mine.end(),
              [](const auto* a, const auto* b) { return a->first.order() < b->first.order(); });
    for (const auto* entry : mine) LoadChild(sup, entry->first, entry->second, &snapshot);
    for (const auto& child : snapshot.children) {
      // ChildKey is sequence:38 . slot:26.
      snapshot.sequence = std::max<uint64_t>(snapshot.sequence, child.key >> 26);
    }
    sup->planner->Restore(snapshot, core_->now());
  }
  return absl::OkStatus();
}

absl::Status Tree::LoadSupervisor(const internal::v1::SupervisorRecord& record) {
  auto spec = wire::DecodeSupervisorSpec(record.spec());
  std::vector<std::string> path(record.path().begin(), record.path().end());
  if (!spec.ok() || path.empty()) {
    return absl::DataLossError(fmt::format("store: the record of supervisor {} cannot be read: {}",
                                           PathKey(path), std::string(spec.status().message())));
  }
  ClusterSupervisor* sup = nullptr;
  if (path.size() == 1) {
    auto& slot = roots_[path[0]];
    slot = std::make_unique<ClusterSupervisor>();
    sup = slot.get();
  } else {
    Child* parent = FindChild(PathKey(path));
    if (parent == nullptr) return absl::OkStatus();  // its child record is gone: so is it
    parent->nested = std::make_unique<ClusterSupervisor>();
    sup = parent->nested.get();
    sup->parent = parent;
  }
  sup->path = path;
  sup->spec = std::make_shared<const SupervisorSpec>(*std::move(spec));
  sup->start_time = wire::FromProto(record.start_time());
  sup->failed = record.failed();
  sup->stopping = record.stopping();
  sup->stop_request = record.stop_request();
  sup->user_waits = record.user_waits();
  sup->started = record.started();
  if (record.has_exit_reason()) sup->exit_reason = wire::FromProto(record.exit_reason(), {});
  MakePlanner(sup);
  Index(sup);
  return absl::OkStatus();
}

void Tree::LoadChild(ClusterSupervisor* sup, const internal::v1::ChildRecord& record,
                     const internal::v1::AssignmentRecord& asg, SupervisorSnapshot* snapshot) {
  auto spec = wire::DecodeChildSpec(record.spec());
  // What was written had been checked; a later release may be stricter, then the child is left out.
  if (!spec.ok()) return;
  SupervisorSnapshot::Child state;
  state.key = record.key();
  state.spec = std::make_shared<const ChildSpec>(*std::move(spec));
  for (const auto& arg : record.extra_args()) state.extra_args.push_back(wire::FromProto(arg));
  state.state = asg.state() == 0 ? ChildState::kUndefined : static_cast<ChildState>(asg.state());
  state.pid = wire::FromProto(asg.pid(), {});
  state.restarts = asg.restarts();
  state.retry_counted = asg.retry_counted();
  state.restarting = asg.restarting();
  state.retrying = asg.retrying();
  state.op_start = asg.op_start();
  state.op_new = asg.op_new();
  state.backoff_restarts = asg.backoff_restarts();
  if (asg.has_start_time()) {
    state.running_for =
        std::max(absl::ZeroDuration(), core_->wall() - wire::FromProto(asg.start_time()));
  }

  auto child = std::make_unique<Child>();
  child->supervisor = sup;
  child->key = record.key();
  child->order = record.order();
  child->path.assign(record.path().begin(), record.path().end());
  child->path_key = PathKey(child->path);
  child->spec = state.spec;
  child->is_new = false;
  child->node_id = asg.node_id();
  child->incarnation = asg.incarnation();
  child->fence = Fence(asg.fence());
  child->kill = asg.kill();
  child->moving = asg.moving();
  child->pid = state.pid;
  child->starts = asg.starts();
  if (asg.has_last_exit()) child->last_exit = wire::FromProto(asg.last_exit(), {});
  child->last_exit_time = wire::FromProto(asg.last_exit_time());
  if (asg.has_start_time()) child->start_time = wire::FromProto(asg.start_time());
  for (const auto& mark : asg.poison_marks()) child->poison_marks.push_back(wire::FromProto(mark));
  child->reg_version = asg.reg_version();
  child->previous_node = asg.previous_node();
  child->pending_reason = asg.pending_reason();
  if (asg.has_hand_off()) child->hand_off = wire::FromProto(asg.hand_off());
  if (asg.has_second()) {
    SecondLife& second = child->second.emplace();
    second.node_id = asg.second().node_id();
    second.incarnation = asg.second().incarnation();
    second.fence = Fence(asg.second().fence());
    second.reg_version = asg.second().reg_version();
    second.outgoing = asg.second().outgoing();
  }
  if (child->fence.value() != 0) {
    child->assigned = state.state == ChildState::kStopping || child->moving ? Assigned::kStopping
                      : state.state == ChildState::kRunning                 ? Assigned::kRunning
                                                                            : Assigned::kStarting;
  }
  sup->last_order = std::max(sup->last_order, record.order());
  if (sup->spec->flags.dynamic()) sup->dynamic_ids[child->spec->id] = child->key;
  by_path_[child->path_key] = child.get();
  sup->children[child->key] = std::move(child);
  snapshot->children.push_back(std::move(state));
}

}  // namespace banyan
