// What nodes say about children, and what follows when a node comes back, falls silent or ends.
#include <utility>

#include "fmt/format.h"

#include "common/base/mutant.h"
#include "common/wire/payload.h"
#include "common/wire/status.h"
#include "server/coordinator/core.h"
#include "server/coordinator/reconciler.h"

namespace banyan {
namespace {

using Event = v1::SupervisorEvent;
using internal::v1::Report;

// What a child may leave for its next life; its encoding takes some bytes more.
constexpr size_t kHandOffMax = (1 << 20) + 1024;

// The same start: a nested restart at the node only raises the attempt.
bool SameStart(Fence a, uint64_t b) {
  const Fence other(b);
  if (Mutant("adopt-lower-fence")) return a.value() != 0;
  return a.epoch() == other.epoch() && a.seq() == other.seq() && a.value() != 0;
}

std::vector<std::string> PathOf(const google::protobuf::RepeatedPtrField<std::string>& path) {
  return {path.begin(), path.end()};
}

}  // namespace

void Reconciler::OnReport(Member* member, const Report& report) {
  if (report.has_name_gone()) return core_->names.OnNameGone(member, report.name_gone());
  Child* child = core_->tree.FindChild(PathKey(PathOf(report.path())));
  const bool current = child != nullptr && SameStart(child->fence, report.fence()) &&
                       child->node_id == member->node_id() &&
                       child->incarnation == member->incarnation() &&
                       child->assigned != Assigned::kNone && child->assigned != Assigned::kQueued;
  if (!current) {
    if (child != nullptr && IsSecond(child, member, report.fence()))
      return TakeSecondReport(member, child, report);
    // A start that nobody wants any more, of which this is the first news here.
    if (report.has_started() && (child == nullptr || report.fence() != child->fence.value())) {
      SendOrphanStop(member, PathOf(report.path()), report.fence());
    }
    return;
  }
  TakeReport(member, child, report);
}

void Reconciler::TakeReport(Member* member, Child* child, const Report& report) {
  switch (report.body_case()) {
    case Report::kStarted:
      if (child->assigned == Assigned::kRunning) {
        child->pid = wire::FromProto(report.started().pid(), {});
        return;
      }
      if (report.started().ignored() && child->assigned == Assigned::kStarting) {
        Release(child);
        core_->tree.Touch(child);
        core_->tree.TouchHeader(child->supervisor);  // a start-up must not come back to it
        Later(child->supervisor, [this, key = child->key](SupervisorPlanner& p) {
          return p.OnStartIgnored(key, core_->now());
        });
        return core_->resolver.OnChildDown(child);
      }
      return Started(child, wire::FromProto(report.started().pid(), {}),
                     wire::FromProto(report.started().info()));
    case Report::kStartFailed:
      if (child->assigned == Assigned::kRunning) return;
      if (report.start_failed().refused() && child->assigned == Assigned::kStarting) {
        member->full_until = core_->now() + absl::Seconds(10);
        pace_.Note(true, core_->now());
        return StartAgain(child);
      }
      return StartFailed(child, wire::FromProto(report.start_failed().reason(), {}));
    case Report::kExited:
      return Exited(child, wire::FromProto(report.exited().reason(), {}), Cause::kOwn);
    case Report::kStopped: {
      const ExitReason reason = wire::FromProto(report.stopped().reason(), {});
      if (report.stopped().hand_off().ByteSizeLong() <= kHandOffMax &&
          report.stopped().has_hand_off()) {
        child->hand_off = wire::FromProto(report.stopped().hand_off());
      }
      if (child->assigned == Assigned::kStopping) return Stopped(child, reason);
      // The node stops its children to leave: they go on elsewhere, but for temporary ones.
      if (child->spec->restart == RestartType::kTemporary)
        return Exited(child, reason, Cause::kOther);
      if (child->assigned == Assigned::kStarting) return StartAgain(child);
      if (child->second && !child->second->outgoing) CancelSecond(child);
      child->moving = true;
      return Stopped(child, reason);
    }
    case Report::kNotStarted:
      if (child->assigned == Assigned::kStopping) return Stopped(child, ExitReason::Shutdown());
      if (child->assigned == Assigned::kStarting) return StartAgain(child);
      return Exited(child, ExitReason::NoProc(), Cause::kOther);
    case Report::kStuck:
      return Emit(Event::KIND_CHILD_STUCK, child);
    case Report::kFrozen:
      child->frozen = report.frozen().frozen();
      return Emit(child->frozen ? Event::KIND_CHILD_FROZEN : Event::KIND_CHILD_THAWED, child);
    case Report::kRestarted: {
      const Pid before = child->pid;
      child->pid = wire::FromProto(report.restarted().pid(), {});
      child->fence = Fence(report.fence());
      core_->tree.Touch(child);
      core_->names.OnChildStarted(child);
      const ExitReason reason = wire::FromProto(report.restarted().reason(), {});
      return Emit(Event::KIND_CHILD_RESTARTED, child, &reason, &before);
    }
    default:
      return;
  }
}

void Reconciler::OnCommandResult(ControlSession* session,
                                 const internal::v1::CommandResult& result) {
  auto it = session->sent.find(result.command_seq());
  if (it == session->sent.end()) return;
  ControlSession::SentCommand command = std::move(it->second);
  session->sent.erase(session->sent.begin(), std::next(it));
  if (!result.has_error() || result.error().code() == 0 || !command.start) return;
  Child* child = core_->tree.FindChild(PathKey(command.path));
  if (child == nullptr) return;
  if (IsSecond(child, session->member, command.fence)) {
    session->member->full_until = core_->now() + absl::Seconds(10);
    return DropSecond(child);
  }
  if (child->fence.value() != command.fence) return;
  if (child->assigned == Assigned::kStopping) return Stopped(child, ExitReason::Shutdown());
  if (child->assigned != Assigned::kStarting) return;
  session->member->full_until = core_->now() + absl::Seconds(10);
  StartAgain(child);
}

// -------------------------------------------------------------------- resync

void Reconciler::OnResync(Member* member, const std::vector<internal::v1::ResyncChunk>& chunks,
                          const internal::v1::LastCrash& crash) {
  if (crash.incarnation() != 0) OnLastCrash(member, crash);
  std::set<std::string> seen;
  for (const auto& chunk : chunks) {
    for (const auto& status : chunk.children()) {
      Child* child = core_->tree.FindChild(PathKey(PathOf(status.path())));
      const bool mine = child != nullptr && SameStart(child->fence, status.fence()) &&
                        child->node_id == member->node_id() &&
                        child->incarnation == member->incarnation() &&
                        child->assigned != Assigned::kNone && child->assigned != Assigned::kQueued;
      if (!mine && core_->safe_mode.on()) {
        core_->safe_mode.Keep(member, status);
        continue;
      }
      if (!mine && child != nullptr && IsSecond(child, member, status.fence())) {
        seen.insert(child->path_key);
        CompareSecond(member, child, &status);
        continue;
      }
      if (!mine && child != nullptr && KeepOlder(member, child, status)) {
        seen.insert(child->path_key);
        continue;
      }
      if (!mine) {
        if (Mutant("orphan-not-killed")) continue;
        SendOrphanStop(member, PathOf(status.path()), status.fence());
        continue;
      }
      seen.insert(child->path_key);
      Compare(member, child, &status);
    }
  }
  if (core_->safe_mode.on()) return;  // what is missing may be elsewhere
  const std::set<std::string> assigned = member->children;
  for (const std::string& path : assigned) {
    if (seen.contains(path)) continue;
    Child* child = core_->tree.FindChild(path);
    if (child == nullptr) continue;
    const bool present = child->node_id == member->node_id() &&
                         child->incarnation == member->incarnation() &&
                         child->assigned != Assigned::kNone && child->assigned != Assigned::kQueued;
    present ? Compare(member, child, nullptr) : CompareSecond(member, child, nullptr);
  }
  core_->cluster_requests.OnResynced(member);
}

// One assigned child against what its node has; null: it is not there.
void Reconciler::Compare(Member* member, Child* child, const internal::v1::ChildStatus* status) {
  core_->Cancel(std::exchange(child->lost_timer, 0));
  if (status == nullptr) {
    if (child->assigned == Assigned::kStopping) return Stopped(child, ExitReason::Shutdown());
    // Nothing was sent under this session yet, older ones are refused: it was never started (W3).
    if (child->ahead != Ahead::kNo) return;
    if (child->assigned == Assigned::kStarting && !TurnHasCome(child)) {
      child->ahead = Ahead::kDurable;
      return;
    }
    if (child->assigned == Assigned::kStarting) {
      core_->journal.After([this, path = child->path_key, fence = child->fence] {
        Child* c = core_->tree.FindChild(path);
        if (c != nullptr && c->fence == fence && c->assigned == Assigned::kStarting) SendStart(c);
      });
      return;
    }
    return Exited(child, ExitReason::NoConnection(), Cause::kOther);
  }
  child->frozen = status->state() == v1::ACTOR_STATE_FROZEN;
  if (status->fence() > child->fence.value()) child->fence = Fence(status->fence());
  if (child->assigned == Assigned::kStopping) return SendStopWhenStored(child);
  if (status->state() == v1::ACTOR_STATE_STARTING) return;
  const Pid pid = wire::FromProto(status->pid(), {});
  if (child->assigned == Assigned::kStarting) return Started(child, pid, {});
  // Adopted: nothing happens to it.
  child->pid = pid;
  if (child->running_since == Instant()) {
    child->running_since = core_->now() - wire::FromProto(status->age());
  }
  core_->names.OnChildStarted(child);
  core_->resolver.OnChildStarted(child);
}

// --------------------------------------------------------------------- nodes

void Reconciler::OnNodeGone(Member* member) {
  const std::set<std::string> lost = std::exchange(member->children, {});
  member->weight = 0;
  member->assigned.clear();
  member->starts_in_flight = 0;
  for (const std::string& path : lost) {
    Child* child = core_->tree.FindChild(path);
    if (child != nullptr && child->second && child->second->node_id == member->node_id() &&
        child->second->incarnation == member->incarnation()) {
      DropSecond(child);
    }
    if (child == nullptr || child->node_id != member->node_id() ||
        child->incarnation != member->incarnation()) {
      continue;
    }
    if (NeedsProof(child) && child->ahead == Ahead::kNo) {
      child->frozen = false;
      child->pending_reason = "death_not_proven";
      core_->tree.Touch(child);
      continue;
    }
    core_->operations.OnDeathDecides(child);
    // A start that was not answered may be what took the node down.
    const bool sent = child->assigned == Assigned::kStarting && child->ahead == Ahead::kNo;
    if (sent && MayBlame(*member) && MarkPoison(child, core_->wall())) {
      Exited(child, ExitReason::NoConnection(), Cause::kPoison);
      continue;
    }
    Over(child, ExitReason::NoConnection());
  }
  const auto replaced = replaced_.extract({member->node_id(), member->incarnation()});
  if (!replaced.empty() && MayBlame(*member)) {
    for (const auto& [path, started] : replaced.mapped()) {
      if (Child* child = core_->tree.FindChild(path)) MarkPoison(child, started);
    }
  }
  blamed_.erase({member->node_id(), member->incarnation()});
  OnViewChanged();
}

// The node did not leave, and nobody is known to have crashed it.
bool Reconciler::MayBlame(const Member& member) const {
  return member.record.death_cause() != "left" &&
         !blamed_.contains({member.node_id(), member.incarnation()});
}

// A lease that ran out proves nothing about a `strict` child: only a certificate or an operator
// does.
bool Reconciler::NeedsProof(const Child* child) const {
  if (child->spec->exclusivity != Exclusivity::kStrict) return false;
  const Member* member = core_->members.FindById(child->node_id);
  // A later life of the node alone does not prove the end of the one before.
  if (member == nullptr || member->incarnation() != child->incarnation) return member != nullptr;
  return !member->gone() || member->record.death_cause() == "lease";
}

void Reconciler::OnDeathProven(uint32_t node_id, uint32_t incarnation) {
  std::vector<Child*> over;
  core_->tree.ForEach([&](ClusterSupervisor* sup) {
    for (const auto& [key, child] : sup->children) {
      const bool placed =
          child->assigned != Assigned::kNone && child->assigned != Assigned::kQueued;
      const bool there = child->node_id == node_id && child->incarnation == incarnation;
      if (placed && there && child->nested == nullptr) over.push_back(child.get());
    }
  });
  for (Child* child : over) {
    child->pending_reason.clear();
    core_->operations.OnDeathDecides(child);
    Over(child, ExitReason::NoConnection());
  }
}

const Child* Reconciler::AwaitsProof(uint32_t node_id) const {
  const Child* found = nullptr;
  core_->tree.ForEach([&](const ClusterSupervisor* sup) {
    for (const auto& [key, child] : sup->children) {
      const bool placed =
          child->assigned != Assigned::kNone && child->assigned != Assigned::kQueued;
      if (placed && child->node_id == node_id && child->nested == nullptr) found = child.get();
    }
  });
  return found;
}

// Requests that wait for a child there are answered as pending; `available` children get their
// time.
void Reconciler::OnUnreachable(Member* member) {
  for (const std::string& path : member->children) {
    Child* child = core_->tree.FindChild(path);
    if (child != nullptr && child->assigned == Assigned::kStopping)
      core_->operations.OnUnreachable(child);
  }
}

void Reconciler::OnSuspect(Member* member) {
  OnUnreachable(member);
  for (const std::string& path : member->children) {
    Child* child = core_->tree.FindChild(path);
    if (child == nullptr || child->spec->exclusivity != Exclusivity::kAvailable) continue;
    if (child->node_id != member->node_id() || child->incarnation != member->incarnation())
      continue;
    const absl::Duration lost_after = child->spec->placement.lost_after;
    core_->Cancel(child->lost_timer);
    child->lost_timer = core_->After(lost_after, [this, path] {
      Child* c = core_->tree.FindChild(path);
      if (c == nullptr) return;
      c->lost_timer = 0;
      ReplaceLost(c);
    });
  }
}

// An `available` child rather runs twice than not at all. What then turns up of the older start is
// stopped as an orphan by its fence.
void Reconciler::ReplaceLost(Child* child) {
  Member* member = core_->members.FindLive(child->node_id, child->incarnation);
  if (member == nullptr || !member->suspect || child->assigned == Assigned::kStopping) return;
  if (child->ahead != Ahead::kNo) return;
  // What the node still runs is compared at a resync, so there must be one.
  if (member->control != nullptr && !Mutant("no-resync-after-replacement"))
    member->control->Close(absl::UnavailableError("children were replaced: say what is there"));
  if (child->assigned == Assigned::kRunning) {
    replaced_[{child->node_id, child->incarnation}][child->path_key] = child->start_time;
    return Exited(child, ExitReason::NoConnection(), Cause::kOther);
  }
  Over(child, ExitReason::NoConnection());
}

void Reconciler::OnViewChanged() { RetryPending(); }

// A child that takes its node down would walk through the cluster. Three losses of a node shortly
// after it had started, in half an hour, and it is given up (cluster.md 6.5 b).
bool Reconciler::Poisoned(Child* child) {
  const Member* member = core_->members.FindById(child->node_id);
  const bool known = member != nullptr && member->incarnation() == child->incarnation;
  return (!known || MayBlame(*member)) && MarkPoison(child, child->start_time);
}

bool Reconciler::MarkPoison(Child* child, absl::Time started) {
  const absl::Time now = core_->wall();
  std::erase_if(child->poison_marks,
                [&](absl::Time t) { return now - t > core_->options.poison_memory; });
  if (started == absl::Time() || now - started > core_->options.poison_window) return false;
  if (Mutant("poison-unmarked")) return false;
  child->poison_marks.push_back(now);
  core_->tree.Touch(child);
  return child->poison_marks.size() >= core_->options.poison_marks_max;
}

// The node's crash is known to be this child's: a counted, abnormal exit of it. A fence belongs to
// one start, so it says which child; the path is for people.
void Reconciler::OnLastCrash(Member* member, const internal::v1::LastCrash& crash) {
  if (crash.fence() == 0 || member->incarnation() != crash.incarnation()) return;
  if (Mutant("crash-unattributed")) return;
  const std::set<std::string> here = member->children;
  for (const std::string& path : here) {
    Child* child = core_->tree.FindChild(path);
    if (child == nullptr) continue;
    const bool present = SameStart(child->fence, crash.fence());
    if (!present && !IsSecond(child, member, crash.fence())) continue;
    blamed_.insert({member->node_id(), member->incarnation()});
    const bool runs =
        child->assigned == Assigned::kRunning || child->assigned == Assigned::kStarting;
    if (!present || !runs) return;
    return Exited(child,
                  ExitReason::Error("crashed_its_node", fmt::format("signal {}", crash.signal())),
                  Cause::kOwn);
  }
}

}  // namespace banyan
