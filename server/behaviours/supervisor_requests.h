#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "server/core/child_table.h"
#include "server/core/supervisor_action.h"

// The operations on a local supervisor as messages. Use SupervisorClient rather than these.

namespace banyan {

// Which child: by id, or by pid (simple_one_for_one).
using ChildRef = std::variant<std::string, Pid>;

// One row of which_children.
struct ChildEntry {
  std::string id;  // empty under simple_one_for_one
  ChildState state = ChildState::kUndefined;
  Pid pid;  // running; kRestarting: the process before
  std::shared_ptr<const ChildSpec> spec;
  uint32_t restarts = 0;
};

struct SupervisorInfo {
  std::string name;  // registered; else empty
  // Names of the way from the root: the root's registered name, or the text of its pid (with node
  // 0, as inside the runtime) where it has none, then child ids.
  std::vector<std::string> path;
  SupervisorFlags flags;
  std::shared_ptr<const ChildSpec> child_template;
  ChildCounts counts;
};

struct SupervisorRequest {
  enum class Op : uint8_t {
    kStartChild,      // `spec`, or with simple_one_for_one `args`; answer: OpResult
    kTerminateChild,  // `child`; OpResult
    kRestartChild,    // `child`; OpResult
    kDeleteChild,     // `child`; OpResult
    kWhichChildren,   // std::vector<ChildEntry>, last in start order first
    kWhichChild,      // `child`; std::optional<ChildEntry>, nothing: not found
    kCountChildren,   // ChildCounts
    kGetChildSpec,    // `child`; std::shared_ptr<const ChildSpec>, null: not found
    kGetInfo,         // SupervisorInfo
  };
  Op op = Op::kWhichChildren;
  std::shared_ptr<const ChildSpec> spec;
  std::vector<Payload> args;
  ChildRef child;
};

}  // namespace banyan
