// The coordinator's commands, and the fence rules that make repeating them harmless
// (cluster.md 6.2).
#include "fmt/format.h"

#include "common/base/error.h"
#include "common/base/mutant.h"
#include "common/wire/exit_reason.h"
#include "common/wire/payload.h"
#include "server/node/assigned_children.h"
#include "server/node/node_core.h"
#include "server/wire/child_spec.h"

namespace banyan {
namespace {

namespace pb = internal::v1;

AssignedChildren::Path PathOf(const pb::Command& command) {
  return {command.path().begin(), command.path().end()};
}

pb::Report ReportFor(const pb::Command& command) {
  pb::Report report;
  *report.mutable_path() = command.path();
  report.set_fence(command.fence());
  return report;
}

// One start of a child: its nested restarts only raise the attempt.
bool SameStart(Fence a, Fence b) { return a.epoch() == b.epoch() && a.seq() == b.seq(); }

ExitReason SpecProblem(const absl::Status& status) {
  std::string message(status.message());
  if (std::optional<ErrorInfo> info = GetErrorInfo(status)) {
    for (const ErrorInfo::FieldViolation& f : info->fields) {
      message += fmt::format("; {}: {}", f.field, f.description);
    }
  }
  return ExitReason::Error("spec_invalid", std::move(message));
}

}  // namespace

absl::Status AssignedChildren::OnCommand(const pb::Command& command) {
  if (command.path().empty()) return MakeError("CHILD_NOT_FOUND", "the command names no child");
  switch (command.body_case()) {
    case pb::Command::kStart:
      return Start(command);
    case pb::Command::kStop: {
      KeeperStop how;
      how.reason = wire::FromProto(command.stop().reason(), node_->identity());
      // A stop by hand does not end what traps exits; shutdown does.
      if (how.reason.is_normal()) how.reason = ExitReason::Shutdown();
      Stop(command, how, /*by_policy=*/true);
      return absl::OkStatus();
    }
    case pb::Command::kKill:
      Stop(command, {ShutdownPolicy::BrutalKill(), ExitReason::Killed()}, /*by_policy=*/false);
      return absl::OkStatus();
    case pb::Command::kUpdate:
      Update(command);
      return absl::OkStatus();
    case pb::Command::kSetDrain:
    case pb::Command::BODY_NOT_SET:
      break;
  }
  return MakeError("CALL_NOT_HANDLED", "this node does not know the command");
}

absl::Status AssignedChildren::Start(const pb::Command& command) {
  if (node_->stopping) return MakeError("NODE_STOPPING", "the node is stopping");
  const Path path = PathOf(command);
  const Fence fence = wire::FenceFromProto(command.fence());
  auto it = children_.find(path);
  Child* child = it == children_.end() ? nullptr : &it->second;
  auto seen = fences_.find(path);
  if (seen != fences_.end() && fence <= seen->second && !Mutant("rerun-old-start")) {
    AnswerFromMemory(command, child);
    return absl::OkStatus();
  }
  RememberFence(path, fence);
  if (child) {
    // A newer start means that the older is unwanted; they must not overlap.
    if (child->next) {
      pb::Report report = ReportFor(*child->next);
      report.mutable_not_started();
      node_->AddReport(std::move(report));
    }
    child->next = command;
    StopChild(child, {child->spec->shutdown_or_default(), ExitReason::Shutdown()});
    return absl::OkStatus();
  }
  Begin(command);
  return absl::OkStatus();
}

void AssignedChildren::Begin(const pb::Command& command) {
  absl::StatusOr<ChildSpec> spec = wire::DecodeChildSpec(command.start().spec());
  if (spec.ok()) return BeginStart(command, std::make_shared<const ChildSpec>(*std::move(spec)));
  pb::Report report = ReportFor(command);
  wire::ToProto(SpecProblem(spec.status()), node_->identity(),
                report.mutable_start_failed()->mutable_reason());
  node_->AddReport(std::move(report));
}

// A fence that is not above the highest seen: nothing is carried out, what is known is said.
void AssignedChildren::AnswerFromMemory(const pb::Command& command, const Child* child) {
  const Fence fence = wire::FenceFromProto(command.fence());
  pb::Report report = ReportFor(command);
  if (child && child->fence == fence) {
    if (!child->pid.valid()) return;  // it is starting: a report will come
    wire::ToProto(child->pid, node_->identity(), report.mutable_started()->mutable_pid());
    return node_->AddReport(std::move(report));
  }
  if (child && child->next && child->next->fence() == command.fence()) return;
  for (const pb::Report& kept : node_->reports.unacked()) {
    const bool same = kept.fence() == command.fence() &&
                      PathOf(command) == Path(kept.path().begin(), kept.path().end());
    if (same && !kept.has_started()) return;  // its end is on its way
  }
  report.mutable_not_started();
  node_->AddReport(std::move(report));
}

void AssignedChildren::Stop(const pb::Command& command, KeeperStop how, bool by_policy) {
  const Path path = PathOf(command);
  const Fence fence = wire::FenceFromProto(command.fence());
  auto it = children_.find(path);
  if (it != children_.end() && SameStart(it->second.fence, fence)) {
    Child& child = it->second;
    if (by_policy) how.policy = child.spec->shutdown_or_default();
    child.hand_off_wanted = child.hand_off_wanted || command.stop().hand_off();
    return StopChild(&child, how);
  }
  if (it != children_.end() && it->second.next && it->second.next->fence() == command.fence())
    it->second.next.reset();
  // It is not here, and with this fence it never will be.
  RememberFence(path, fence);
  for (const pb::Report& kept : node_->reports.unacked()) {
    if (kept.fence() == command.fence() && path == Path(kept.path().begin(), kept.path().end()) &&
        (kept.has_exited() || kept.has_stopped() || kept.has_start_failed() ||
         kept.has_not_started())) {
      return;  // how it ended is on its way
    }
  }
  pb::Report report = ReportFor(command);
  report.mutable_not_started();
  node_->AddReport(std::move(report));
}

void AssignedChildren::Update(const pb::Command& command) {
  const Path path = PathOf(command);
  const Fence newer = wire::FenceFromProto(command.update().fence());
  auto it = children_.find(path);
  if (it == children_.end() ||
      !SameStart(it->second.fence, wire::FenceFromProto(command.fence()))) {
    if (newer.value() == 0) return;
    // It was to go on under a newer fence, and is over by now.
    const bool had_it = it != children_.end() && SameStart(it->second.fence, newer);
    if (had_it) return;
    RememberFence(path, newer);
    pb::Report report = ReportFor(command);
    report.set_fence(newer.value());
    report.mutable_not_started();
    return node_->AddReport(std::move(report));
  }
  absl::StatusOr<ChildSpec> spec = wire::DecodeChildSpec(command.update().spec());
  // What cannot be read changes nothing: the child runs by the spec that it was started with.
  if (spec.ok()) it->second.spec = std::make_shared<const ChildSpec>(*std::move(spec));
  if (newer <= it->second.fence) return;
  it->second.fence = newer;
  it->second.origin->fence.store(newer.value());
  RememberFence(path, newer);
}

void AssignedChildren::RememberFence(const Path& path, Fence fence) {
  Fence& highest = fences_[path];
  highest = std::max(highest, fence);
  if (fences_.size() <= node_->options.fences_max) return;
  // Commands of former sessions are refused anyway, so forgetting children that are gone is safe.
  std::erase_if(fences_, [&](const auto& entry) {
    return entry.first != path && !children_.contains(entry.first);
  });
}

}  // namespace banyan
