#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace banyan::app {

// What a node remembers between its lives, in its state folder.
struct NodeState {
  std::string cluster_id;  // bytes
  std::string store_id;    // bytes
  uint32_t epoch = 0;
  uint64_t revision = 0;  // of that store, the highest seen
  uint64_t starts = 0;    // of processes that held the folder's lock
  friend bool operator==(const NodeState&, const NodeState&) = default;
};

// A missing file reads as a node that was never in a cluster. DATA_LOSS for one that cannot be
// read: remove it to join anew.
absl::StatusOr<NodeState> LoadNodeState(const std::string& path);
absl::Status SaveNodeState(const std::string& path, const NodeState& state);

}  // namespace banyan::app
