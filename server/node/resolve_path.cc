// From a place in a supervision tree of this node to the process that is there now: the supervisors
// on the way are asked one after the other.
#include <algorithm>

#include "fmt/format.h"
#include "fmt/ranges.h"

#include "common/base/error.h"
#include "server/behaviours/supervisor_client.h"
#include "server/node/node_core.h"

namespace banyan {
namespace {

// A child that is between two lives is asked for again after this.
constexpr absl::Duration kRestartingPause = absl::Milliseconds(20);

}  // namespace

struct Node::Core::PathWalk {
  std::vector<std::string> path;  // the name of the top, then child ids
  size_t next = 1;                // of `path`: the child that `at` is asked for
  Pid at;
  Instant deadline;
  ResolveDone done;

  std::string Text(size_t n) const {
    return fmt::format("{}", fmt::join(path.begin(), path.begin() + n, "/"));
  }
  absl::Status Restarting() const {
    return MakeError(
        "CHILD_RESTARTING",
        fmt::format("child {} was not running before the deadline", Text(next + 1)),
        {{"supervisor", Text(next)}, {"childId", path[next]}, {"target", Text(next + 1)}});
  }
};

// A registered supervisor, or what the coordinator has placed here of a cluster-wide tree.
void Node::Core::ResolvePath(const Target::ChildPath& target, Instant deadline, ResolveDone done) {
  auto walk = std::make_shared<PathWalk>();
  walk->path = target.child_ids;
  walk->path.insert(walk->path.begin(), target.supervisor);
  walk->deadline = deadline;
  walk->done = std::move(done);
  if (const HeldNames::Held* held = names.Find(target.supervisor)) {
    walk->at = held->pid;
  } else if (std::optional<Pid> pid = deps.runtime->Whereis(target.supervisor)) {
    walk->at = *pid;
  }
  for (size_t n = 2; !walk->at.valid() && n <= walk->path.size(); ++n) {
    const AssignedChildren::Path prefix(walk->path.begin(), walk->path.begin() + n);
    auto it = children.children().find(prefix);
    if (it == children.children().end() || it->second.told_to_stop) continue;
    walk->at = it->second.pid;
    walk->next = n;
  }
  if (!walk->at.valid()) {
    return walk->done(MakeError("COORDINATOR_UNAVAILABLE",
                                "only the coordinator knows, and it cannot be reached now"));
  }
  WalkOn(walk);
}

void Node::Core::WalkOn(const std::shared_ptr<PathWalk>& walk) {
  if (walk->next == walk->path.size()) {
    return walk->done(walk->at.local() ? Here(walk->at) : There(walk->at, 0));
  }
  const absl::Duration left =
      walk->deadline.infinite() ? absl::InfiniteDuration() : walk->deadline - deps.clock->Now();
  SupervisorClient(walk->at, left)
      .WhichChild(*deps.runtime, walk->path[walk->next],
                  [weak = weak_from_this(), walk](absl::StatusOr<std::optional<ChildEntry>> child) {
                    std::shared_ptr<Core> self = weak.lock();
                    if (!self) return;
                    self->Post([walk, child = std::move(child)](Core& core) {
                      core.OnWalked(walk, child);
                    });
                  });
}

void Node::Core::OnWalked(const std::shared_ptr<PathWalk>& walk,
                          const absl::StatusOr<std::optional<ChildEntry>>& child) {
  const std::string supervisor = walk->Text(walk->next);
  const std::string& id = walk->path[walk->next];
  if (!child.ok()) {
    const std::string reason = ErrorReason(child.status());
    if (reason == "CALL_NOT_HANDLED" || reason == "NOT_A_SUPERVISOR") {
      return walk->done(MakeError("NOT_A_SUPERVISOR",
                                  fmt::format("{} is a process, but not a supervisor", supervisor),
                                  {{"target", supervisor}}));
    }
    // It was busy all the time with the starts or the ends of its children.
    if (reason == "CALL_TIMEOUT") return walk->done(walk->Restarting());
    return walk->done(MakeError("NOPROC", fmt::format("the supervisor {} has ended", supervisor),
                                {{"target", supervisor}}));
  }
  if (!child->has_value()) {
    return walk->done(MakeError(
        "CHILD_NOT_FOUND", fmt::format("supervisor \"{}\" has no child \"{}\"", supervisor, id),
        {{"supervisor", supervisor}, {"childId", id}}));
  }
  const ChildEntry& entry = **child;
  if (entry.state == ChildState::kUndefined) {
    const std::string place = walk->Text(walk->next + 1);
    return walk->done(
        MakeError("NOPROC", fmt::format("child {} is not running", place), {{"target", place}}));
  }
  if (entry.state != ChildState::kRunning) {
    const absl::Duration left = walk->deadline - deps.clock->Now();
    if (left <= absl::ZeroDuration()) return walk->done(walk->Restarting());
    return After(std::min(kRestartingPause, left), [walk](Core& core) { core.WalkOn(walk); });
  }
  walk->at = entry.pid;
  ++walk->next;
  WalkOn(walk);
}

}  // namespace banyan
