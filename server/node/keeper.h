#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/behaviours/module.h"
#include "server/core/child_spec.h"
#include "server/runtime/runtime.h"

namespace banyan {

// What a keeper tells the node.
struct KeeperEvent {
  enum class Kind : uint8_t { kStarted, kIgnored, kStartFailed, kEnded, kStuck };
  Kind kind = Kind::kEnded;
  Pid pid;
  Payload info;
  ExitReason reason;
};
using KeeperEvents = std::function<void(KeeperEvent)>;  // called on the keeper's turn

// The parent of one child that the coordinator assigned to this node: a small process that starts
// it, watches it, and stops it as told. One for each child, so that a slow init or a slow stop
// holds up nobody else. It ends with its child. `origin`: of it and of all that the child spawns.
absl::StatusOr<Pid> SpawnKeeper(Runtime* runtime, std::shared_ptr<const ChildSpec> spec,
                                StartContext context, std::shared_ptr<ProcessOrigin> origin,
                                absl::Duration stuck_after, KeeperEvents events);

// To a keeper, as local payloads.
struct KeeperStop {
  ShutdownPolicy policy;  // of a child that is still starting: how long its init may go on
  ExitReason reason = ExitReason::Shutdown();
};

}  // namespace banyan
