#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"

#include "banyan/internal/v1/membership.pb.h"
#include "common/base/pid.h"
#include "server/core/child_spec.h"
#include "server/node/keeper.h"
#include "server/node/node.h"

namespace banyan {

// The children of cluster-wide supervisors that the coordinator has assigned to this node. Carries
// out its commands and reports what becomes of them (cluster.md 6.2). On the executor.
//
//   starting -> running -> (ends by itself: Exited) gone
//            -> stopping -> (Stopped) gone
//
// Of one child at most one start is here at any time; a newer one waits for the end of the older.
class AssignedChildren {
 public:
  using Path = std::vector<std::string>;
  struct Child {
    Path path;
    Fence fence;
    std::shared_ptr<const ChildSpec> spec;
    std::vector<v1::Payload> extra_args;  // appended to the spec's
    uint64_t order = 0;  // of its start, in this node; names this start in closures
    Pid keeper;
    Pid pid;  // running
    bool told_to_stop = false;
    bool hand_off_wanted = false;  // what it leaves goes with the report of its end
    std::shared_ptr<HandOff> leaves;
    std::shared_ptr<ProcessOrigin> origin;
    Instant since;
    std::string name;
    uint64_t reg_version = 0;
    std::optional<internal::v1::Command> next;  // a start that waits for this one's end
    bool exclusive() const { return spec->exclusivity != Exclusivity::kAvailable; }
  };

  explicit AssignedChildren(Node::Core* node) : node_(node) {}

  // The answer is a CommandResult's error; what follows from the command comes as reports.
  absl::Status OnCommand(const internal::v1::Command& command);
  // Stops all, the youngest first, one after the other; kills the rest at `deadline`. `done` when
  // all are gone.
  void StopAll(Instant deadline, std::function<void()> done);
  // This life is over: forgets all children, whose processes are being killed. Nothing is reported.
  void Abandon();

  const std::map<Path, Child>& children() const { return children_; }
  const Child* FindByName(const std::string& name) const;
  // The child that has this process, or the keeper of which has.
  const Child* FindByPid(Pid pid) const;
  // Whether the process is a child with a name. The name is its own for all of this life.
  bool HasName(Pid pid) const { return named_.contains(pid); }
  // Tells the watcher whether anything exclusive is here: children, or holders of exclusive names.
  void ExclusiveChanged();
  void AppendStatus(const Child& child, internal::v1::ChildStatus* out) const;

 private:
  absl::Status Start(const internal::v1::Command& command);
  void Begin(const internal::v1::Command& command);
  void BeginStart(const internal::v1::Command& command, std::shared_ptr<const ChildSpec> spec);
  void AnswerFromMemory(const internal::v1::Command& command, const Child* child);
  void Stop(const internal::v1::Command& command, KeeperStop how, bool by_policy);
  void StopChild(Child* child, KeeperStop how);
  void KillStarting(const Path& path, uint64_t order);
  void Forget(const Path& path);
  void Update(const internal::v1::Command& command);
  void OnKeeperEvent(const Path& path, uint64_t order, KeeperEvent event);
  void OnStarted(Child* child, KeeperEvent event);
  void OnEnded(Child* child, KeeperEvent event);
  void RememberFence(const Path& path, Fence fence);
  internal::v1::Report ReportOf(const Child& child) const;
  void PublishEvent(const Child& child, v1::SupervisorEvent::Kind kind,
                    const ExitReason* reason = nullptr) const;
  void AttachHandOff(const Child& child, internal::v1::Report::Stopped* stopped) const;
  void ReportHandOffLost(const Child& child, const std::string& why) const;
  void StopNext();

  Node::Core* const node_;
  std::map<Path, Child> children_;
  std::map<Path, Fence> fences_;  // the highest seen
  absl::flat_hash_map<std::string, Path> names_;
  absl::flat_hash_set<Pid> named_;  // running children that have one
  uint64_t last_order_ = 0;
  bool stopping_all_ = false;
  Instant stop_deadline_;
  std::function<void()> stopped_all_;
};

}  // namespace banyan
