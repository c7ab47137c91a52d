#pragma once

#include <functional>
#include <string>

#include "server/coordinator/coordinator.h"

namespace banyan {

// Reads. Nothing here changes anything.
class Queries {
 public:
  explicit Queries(Coordinator::Core* core) : core_(core) {}
  absl::StatusOr<v1::ChildSpec> GetChildSpec(const Target& target, const std::string& id);
  absl::StatusOr<v1::ListChildrenResponse> ListChildren(
      const Target& target, const PageArgs& page, bool include_spec,
      const std::function<bool(const v1::ChildInfo&)>& filter);
  absl::StatusOr<v1::ChildCounts> CountChildren(const Target& target);
  absl::StatusOr<v1::ListSupervisorsResponse> ListSupervisors(
      const PageArgs& page, bool all_levels,
      const std::function<bool(const v1::SupervisorInfo&)>& filter);
  absl::StatusOr<v1::GetTreeResponse> GetTree(const Target& target, uint32_t depth);
  v1::ListNodesResponse ListNodes(const PageArgs& page, bool show_gone,
                                  const std::function<bool(const v1::NodeInfo&)>& filter);
  absl::StatusOr<v1::NodeInfo> GetNode(const std::string& name);
  v1::GetClusterResponse GetCluster();
  v1::ListModulesResponse ListModules(const PageArgs& page);
  absl::StatusOr<Coordinator::WatchId> WatchEvents(const WatchArgs& args);
  absl::StatusOr<Coordinator::WatchId> WatchCluster(const WatchArgs& args);

 private:
  Coordinator::Core* const core_;
};

}  // namespace banyan
