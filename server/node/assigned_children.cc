#include "server/node/assigned_children.h"

#include <algorithm>

#include "absl/strings/str_join.h"

#include "common/wire/exit_reason.h"
#include "common/wire/payload.h"
#include "common/wire/time.h"
#include "server/behaviours/host.h"
#include "server/node/node_core.h"
#include "server/wire/child_spec.h"

namespace banyan {

namespace pb = internal::v1;

void AssignedChildren::BeginStart(const pb::Command& command,
                                  std::shared_ptr<const ChildSpec> spec) {
  const Path path(command.path().begin(), command.path().end());
  Child& child = children_[path];
  child = Child();
  child.path = path;
  child.fence = wire::FenceFromProto(command.fence());
  child.spec = spec;
  child.extra_args = {command.start().extra_args().begin(), command.start().extra_args().end()};
  child.order = ++last_order_;
  child.since = node_->deps.clock->Now();
  child.name = spec->start.name;
  child.reg_version = command.start().name().reg_version();
  if (!child.name.empty()) names_[child.name] = path;

  StartContext context;
  context.child_id = path.back();
  context.path = path;
  context.fence = child.fence.value();
  context.restarts = command.start().starts();
  context.labels = spec->labels;
  context.exclusive = child.exclusive();
  if (spec->hand_off) context.leaves = child.leaves = std::make_shared<HandOff>();
  child.origin = std::make_shared<ProcessOrigin>(child.fence.value(), absl::StrJoin(path, "/"));
  if (command.start().has_hand_off())
    context.hand_off = wire::FromProto(command.start().hand_off());
  for (const v1::Payload& arg : command.start().extra_args())
    context.extra_args.push_back(wire::FromProto(arg));

  KeeperEvents events = [weak = node_->weak_from_this(), path,
                         order = child.order](KeeperEvent event) {
    auto node = weak.lock();
    if (!node) return;
    node->Post([path, order, event = std::move(event)](Node::Core& core) {
      core.children.OnKeeperEvent(path, order, event);
    });
  };
  absl::StatusOr<Pid> keeper =
      SpawnKeeper(node_->deps.runtime, std::move(spec), std::move(context), child.origin,
                  node_->options.stuck_after, std::move(events));
  if (!keeper.ok()) {
    // The node is full: not the child's fault.
    pb::Report report = ReportOf(child);
    report.mutable_start_failed()->set_refused(true);
    const ExitReason reason =
        ExitReason::Error("node_overloaded", std::string(keeper.status().message()));
    wire::ToProto(reason, node_->identity(), report.mutable_start_failed()->mutable_reason());
    Forget(path);
    return node_->AddReport(std::move(report));
  }
  child.keeper = *keeper;
  ExclusiveChanged();
}

// ------------------------------------------------------------------- events

void AssignedChildren::OnKeeperEvent(const Path& path, uint64_t order, KeeperEvent event) {
  auto it = children_.find(path);
  if (it == children_.end() || it->second.order != order) return;  // of a life that is over
  Child& child = it->second;
  switch (event.kind) {
    case KeeperEvent::Kind::kStarted:
      return OnStarted(&child, std::move(event));
    case KeeperEvent::Kind::kStuck: {
      pb::Report report = ReportOf(child);
      *report.mutable_stuck()->mutable_since() = wire::ToProto(node_->options.stuck_after);
      PublishEvent(child, v1::SupervisorEvent::KIND_CHILD_STUCK);
      return node_->AddReport(std::move(report));
    }
    case KeeperEvent::Kind::kIgnored:
    case KeeperEvent::Kind::kStartFailed:
    case KeeperEvent::Kind::kEnded:
      return OnEnded(&child, std::move(event));
  }
}

void AssignedChildren::OnStarted(Child* child, KeeperEvent event) {
  child->pid = event.pid;
  if (!child->name.empty()) named_.insert(child->pid);
  pb::Report report = ReportOf(*child);
  wire::ToProto(event.pid, node_->identity(), report.mutable_started()->mutable_pid());
  if (!event.info.empty() && !event.info.is_local()) {
    wire::ToProto(event.info, report.mutable_started()->mutable_info()).IgnoreError();
  }
  PublishEvent(*child, v1::SupervisorEvent::KIND_CHILD_STARTED);
  node_->AddReport(std::move(report));
}

void AssignedChildren::OnEnded(Child* child, KeeperEvent event) {
  using Event = v1::SupervisorEvent;
  pb::Report report = ReportOf(*child);
  v1::ExitReason* reason = nullptr;
  if (child->told_to_stop) {
    reason = report.mutable_stopped()->mutable_reason();
    AttachHandOff(*child, report.mutable_stopped());
    PublishEvent(*child, Event::KIND_CHILD_TERMINATED, &event.reason);
  } else if (event.kind == KeeperEvent::Kind::kIgnored) {
    report.mutable_started()->set_ignored(true);
  } else if (event.kind == KeeperEvent::Kind::kStartFailed) {
    reason = report.mutable_start_failed()->mutable_reason();
    PublishEvent(*child, Event::KIND_CHILD_START_FAILED, &event.reason);
  } else {
    reason = report.mutable_exited()->mutable_reason();
    PublishEvent(*child, Event::KIND_CHILD_EXITED, &event.reason);
  }
  if (reason) wire::ToProto(event.reason, node_->identity(), reason);
  std::optional<pb::Command> next = std::move(child->next);
  const Path path = child->path;
  Forget(path);
  node_->AddReport(std::move(report));
  if (next && !node_->stopping) Begin(*next);
  if (stopping_all_) StopNext();
  node_->OnChildrenChanged();
}

void AssignedChildren::AttachHandOff(const Child& child, pb::Report::Stopped* stopped) const {
  if (!child.hand_off_wanted || !child.leaves) return;
  const Payload left = child.leaves->Get();
  if (left.empty()) return;
  v1::Payload encoded;
  const absl::Status status = wire::ToProto(left, &encoded);
  if (status.ok() && encoded.ByteSizeLong() <= node_->options.hand_off_max) {
    *stopped->mutable_hand_off() = std::move(encoded);
    return;
  }
  ReportHandOffLost(child, status.ok() ? "is larger than 1 MiB" : "cannot be serialized");
}

void AssignedChildren::ReportHandOffLost(const Child& child, const std::string& why) const {
  const Host& host = HostOf(*node_->deps.runtime);
  if (host.reports == nullptr) return;
  host.reports->OnWarning(child.pid, child.spec->start.module,
                          "what it left for its next life " + why + ", and is dropped");
}

void AssignedChildren::Forget(const Path& path) {
  auto it = children_.find(path);
  if (it == children_.end()) return;
  named_.erase(it->second.pid);
  auto name = names_.find(it->second.name);
  if (name != names_.end() && name->second == path) names_.erase(name);
  children_.erase(it);
  ExclusiveChanged();
}

// ----------------------------------------------------------------- stopping

void AssignedChildren::StopChild(Child* child, KeeperStop how) {
  const bool again = std::exchange(child->told_to_stop, true);
  if (again && !how.policy.brutal_kill) return;
  node_->deps.runtime->Send(child->keeper, Payload::Local(how));
  if (child->pid.valid()) return;
  // Its keeper waits for init and hears nothing till that is over.
  const absl::Duration patience =
      how.policy.brutal_kill ? absl::ZeroDuration() : how.policy.timeout;
  node_->After(patience, [path = child->path, order = child->order](Node::Core& core) {
    core.children.KillStarting(path, order);
  });
}

void AssignedChildren::KillStarting(const Path& path, uint64_t order) {
  auto it = children_.find(path);
  if (it == children_.end() || it->second.order != order || it->second.pid.valid()) return;
  for (const ProcessSnapshot& s : node_->deps.runtime->List()) {
    if (s.parent == it->second.keeper) node_->deps.runtime->Exit(s.pid, ExitReason::Kill());
  }
}

void AssignedChildren::StopAll(Instant deadline, std::function<void()> done) {
  stopping_all_ = true;
  stopped_all_ = std::move(done);
  if (!deadline.infinite()) {
    node_->After(deadline - node_->deps.clock->Now(), [](Node::Core& core) {
      for (auto& [path, child] : core.children.children_) {
        core.children.StopChild(&child, {ShutdownPolicy::BrutalKill(), ExitReason::Killed()});
      }
    });
  }
  StopNext();
}

// One at a time, as a supervisor stops its children.
void AssignedChildren::StopNext() {
  Child* youngest = nullptr;
  for (auto& [path, child] : children_) {
    child.next.reset();
    if (!youngest || child.order > youngest->order) youngest = &child;
  }
  if (youngest)
    return StopChild(youngest, {youngest->spec->shutdown_or_default(), ExitReason::Shutdown()});
  stopping_all_ = false;
  if (auto done = std::exchange(stopped_all_, nullptr)) done();
}

void AssignedChildren::Abandon() {
  children_.clear();
  names_.clear();
  named_.clear();
  fences_.clear();
  ExclusiveChanged();
  if (stopping_all_) StopNext();
}

// -------------------------------------------------------------------- looks

const AssignedChildren::Child* AssignedChildren::FindByName(const std::string& name) const {
  auto it = names_.find(name);
  return it == names_.end() ? nullptr : &children_.at(it->second);
}

const AssignedChildren::Child* AssignedChildren::FindByPid(Pid pid) const {
  for (const auto& [path, child] : children_) {
    if (child.pid == pid || child.keeper == pid) return &child;
  }
  return nullptr;
}

void AssignedChildren::AppendStatus(const Child& child, pb::ChildStatus* out) const {
  for (const std::string& id : child.path) out->add_path(id);
  out->set_fence(child.fence.value());
  if (child.pid.valid()) wire::ToProto(child.pid, node_->identity(), out->mutable_pid());
  const bool frozen = child.exclusive() && node_->lease.frozen();
  out->set_state(child.told_to_stop   ? v1::ACTOR_STATE_TERMINATING
                 : !child.pid.valid() ? v1::ACTOR_STATE_STARTING
                 : frozen             ? v1::ACTOR_STATE_FROZEN
                                      : v1::ACTOR_STATE_RUNNING);
  *out->mutable_age() = wire::ToProto(node_->deps.clock->Now() - child.since);
  if (!node_->keep_all) return;
  wire::EncodeChildSpec(*child.spec, out->mutable_spec());
  for (const v1::Payload& arg : child.extra_args) *out->add_extra_args() = arg;
}

pb::Report AssignedChildren::ReportOf(const Child& child) const {
  pb::Report report;
  for (const std::string& id : child.path) report.add_path(id);
  report.set_fence(child.fence.value());
  return report;
}

void AssignedChildren::PublishEvent(const Child& child, v1::SupervisorEvent::Kind kind,
                                    const ExitReason* reason) const {
  v1::SupervisorEvent event;
  event.set_kind(kind);
  for (const std::string& id : child.path) event.add_path(id);
  v1::ChildInfo* info = event.mutable_child();
  info->set_id(child.path.back());
  if (child.pid.valid()) wire::ToProto(child.pid, node_->identity(), info->mutable_pid());
  info->set_type(static_cast<v1::ChildType>(child.spec->type));
  info->set_module(child.spec->start.module);
  info->set_fence(child.fence.value());
  info->set_node(node_->options.name);
  if (reason) wire::ToProto(*reason, node_->identity(), event.mutable_reason());
  node_->events->Publish(std::move(event));
}

void AssignedChildren::ExclusiveChanged() {
  if (!node_->deps.watch_page) return;
  const bool has = node_->names.any_exclusive() ||
                   std::any_of(children_.begin(), children_.end(),
                               [](const auto& c) { return c.second.exclusive(); });
  node_->deps.watch_page->SetHasExclusive(has);
}

}  // namespace banyan
