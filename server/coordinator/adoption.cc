// Children that nodes run and the store does not know: their records are written from what the
// nodes say (cluster.md 7.5).
#include <utility>

#include "common/wire/payload.h"
#include "server/coordinator/core.h"
#include "server/coordinator/reconciler.h"
#include "server/wire/child_spec.h"

namespace banyan {
namespace {

// The spec as the supervisor has it: without its extra arguments, which were put before the
// child's own.
std::shared_ptr<const ChildSpec> SpecOf(const ClusterSupervisor& sup,
                                        const internal::v1::ChildStatus& status) {
  absl::StatusOr<ChildSpec> spec = wire::DecodeChildSpec(status.spec());
  if (!spec.ok()) return nullptr;
  auto own = std::make_shared<ChildSpec>(*std::move(spec));
  std::vector<Payload>& args = own->start.args;
  const size_t extra = std::min(sup.spec->extra_arguments.size(), args.size());
  args.erase(args.begin(), args.begin() + static_cast<ptrdiff_t>(extra));
  own->id = *status.path().rbegin();
  return own;
}

}  // namespace

// Its supervisor is told that the child is to be started; what runs already is that start.
void Reconciler::Adopt(Member* member, const internal::v1::ChildStatus& status) {
  const std::vector<std::string> path(status.path().begin(), status.path().end());
  const std::string path_key = PathKey(path);
  Child* child = core_->tree.FindChild(path_key);
  ClusterSupervisor* sup =
      child != nullptr ? child->supervisor
                       : core_->tree.FindSupervisor(PathKey({path.begin(), path.end() - 1}));
  if (sup == nullptr) return;
  const Instant now = core_->now();
  if (child == nullptr) {
    std::shared_ptr<const ChildSpec> spec = SpecOf(*sup, status);
    if (spec == nullptr) return;
    if (sup->planner->simple()) {
      std::vector<Payload> extra;
      for (const v1::Payload& arg : status.extra_args()) extra.push_back(wire::FromProto(arg));
      Perform(sup, sup->planner->StartDynamicChild(0, std::move(spec), std::move(extra), now));
    } else {
      Perform(sup, sup->planner->StartChild(0, std::move(spec), now));
    }
  } else if (child->assigned == Assigned::kRunning) {
    Release(child);
    Perform(sup, sup->planner->OnMoved(child->key, now));
  } else if (child->assigned == Assigned::kNone) {
    core_->Cancel(std::exchange(child->retry_timer, 0));
    const ChildRecord* record = sup->planner->Find(child->key);
    const bool retries = record != nullptr && record->state == ChildState::kRestarting;
    Perform(sup, retries ? sup->planner->OnRetry(child->key, now)
                         : sup->planner->RestartChild(0, child->spec->id, now));
  }
  child = core_->tree.FindChild(path_key);
  if (child == nullptr) return;
  if (child->assigned == Assigned::kStarting || child->ahead != Ahead::kNo) Release(child);
  if (child->assigned == Assigned::kQueued) Unqueue(child);
  if (child->assigned != Assigned::kNone) return;
  child->fence = Fence(status.fence());
  child->assigned = Assigned::kStarting;  // until the resync tells that it is up
  child->node = member->name();
  child->node_id = member->node_id();
  child->incarnation = member->incarnation();
  child->pid = Pid();
  ++child->starts;
  if (!child->spec->start.name.empty()) child->reg_version = core_->NextRegVersion();
  Reserve(child, member);
  core_->tree.Touch(child);
}

// What the store says of lives that are over has been left alone so far.
void Reconciler::OnSafeModeEnded() {
  std::vector<Child*> lost;
  core_->tree.ForEach([&](ClusterSupervisor* sup) {
    for (const auto& [key, child] : sup->children) {
      const bool placed =
          child->assigned != Assigned::kNone && child->assigned != Assigned::kQueued;
      const bool lives = core_->members.FindLive(child->node_id, child->incarnation) != nullptr;
      if (placed && child->nested == nullptr && !lives && !NeedsProof(child.get()))
        lost.push_back(child.get());
    }
  });
  for (Child* child : lost) Over(child, ExitReason::NoConnection());
}

}  // namespace banyan
