#pragma once

#include <string>
#include <vector>

#include "server/coordinator/coordinator.h"

namespace banyan {

struct Member;

// What operators say about nodes beside draining them: labels and capacity, and which features the
// cluster uses (cluster.md 2.8).
class NodeRequests {
 public:
  explicit NodeRequests(Coordinator::Core* core) : core_(core) {}

  // `node` holds the name and the new values of what `mask` names: "labels", "labels.KEY",
  // "capacity", "capacity.KEY". A given etag must be the present one.
  void Update(const v1::NodeInfo& node, const std::vector<std::string>& mask,
              const std::string& request_id, Reply<v1::NodeInfo> done);
  void Finalize(uint32_t level, const std::string& request_id,
                Reply<v1::FinalizeUpgradeResponse> done);
  // The lowest level of all members and of this release.
  uint32_t PossibleLevel() const;

 private:
  Coordinator::Core* const core_;
};

}  // namespace banyan
