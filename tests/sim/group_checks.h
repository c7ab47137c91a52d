#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/sim_cluster.h"

namespace banyan::sim {

// INV-20: members of a group start in order, each when the one before is up and none behind it is
// left of an earlier round; and they are stopped from the last one on, one after the other.
class GroupChecks {
 public:
  // Paths of the members in the order of their starts.
  GroupChecks(SimCluster* cluster, std::vector<std::string> members, bool all)
      : cluster_(cluster), members_(std::move(members)), all_(all) {}
  // All members are up.
  void SeedAtEnd() { last_ = members_.size() - 1; }
  void OnStart(const Life& life);
  void OnEnd(const Life& life, std::string_view why);

 private:
  size_t IndexOf(const std::string& child) const;
  // Lives of members behind the k-th: path, fence, node.
  template <typename Fn>
  void ForEachBehind(size_t k, Fn fn) const;

  SimCluster* cluster_;
  std::vector<std::string> members_;
  bool all_;  // one_for_all, else rest_for_one
  size_t last_ = 0;
};

}  // namespace banyan::sim
