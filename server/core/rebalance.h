#pragma once

#include <string>
#include <vector>

#include "server/core/placement.h"

namespace banyan {

// A running child that may be moved.
struct RebalanceChild {
  std::string node;  // where it is
  PlacementRequest request;
};

struct PlannedMove {
  std::string child;
  std::string from;
  std::string to;
  friend bool operator==(const PlannedMove&, const PlannedMove&) = default;
};

// Loads that are closer together than this share are left alone.
inline constexpr double kRebalanceHysteresis = 0.2;

// Moves that even the load out, each from the most loaded node that has a child to give to the
// node that placement chooses for it, if that node is less loaded afterwards than the first was
// before by more than the hysteresis. In the order in which they should be done; `max_moves` 0: no
// limit. Pure, and the same for the same input.
std::vector<PlannedMove> PlanRebalance(std::vector<NodeView> nodes,
                                       std::vector<RebalanceChild> children, size_t max_moves);

// Share of the node's capacity that is taken; of a large one where there is no limit.
double LoadOf(const NodeView& node);

}  // namespace banyan
