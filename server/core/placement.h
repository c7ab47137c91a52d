#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/time/clock.h"
#include "server/core/child_spec.h"

namespace banyan {

// A node as placement sees it. Reservations for starts under way are included in the assigned
// figures.
struct NodeView {
  std::string name;
  uint32_t node_id = 0;
  std::map<std::string, std::string> labels;  // built-in ones too, save banyan/node: that is `name`
  bool schedulable = true;  // ACTIVE and neither draining, quarantined nor marked full
  bool suspect = false;
  bool exclusive_ok = true;       // its clock is near enough to the coordinator's for leases
  std::set<std::string> modules;  // modules that it can start
  bool any_module = false;        // starts every module (supervisors run everywhere)
  int64_t assigned_weight = 0;
  int64_t capacity_weight = 0;              // 0: no limit
  std::map<std::string, int64_t> assigned;  // named resources
  std::map<std::string, int64_t> capacity;  // a resource not named here is not offered
  uint32_t recent_start_failures = 0;
};

// A child to be placed.
struct PlacementRequest {
  std::string child;                     // its path; breaks ties
  std::string module;                    // empty: a cluster-wide supervisor or nothing to check
  const Placement* placement = nullptr;  // null: no wishes
  const std::map<std::string, int64_t>* resources = nullptr;  // null or empty: weight 1
  std::string previous_node;                                  // preferred a little; empty: none
  bool exclusive = false;                                     // relies on the node's lease
  // Children of the same supervisor by node name.
  std::map<std::string, uint32_t> siblings;
  // Children on each node that count against max_per_node, by node name; same as siblings unless
  // the placement has a max_per_node_key.
  std::map<std::string, uint32_t> same_key;
};

struct PlacementResult {
  std::string node;  // empty: no node will do
  struct Refusal {
    std::string node;
    std::string reason;     // for people: "label zone: not in [a b]"
    bool capacity = false;  // only capacity is lacking
  };
  std::vector<Refusal> refusals;  // only filled when no node will do; by node name
  bool no_capacity() const;       // some node lacked nothing but capacity
};

inline constexpr std::string_view kZoneLabel = "zone";
inline constexpr std::string_view kNodeSpreadKey = "banyan/node";

// Chooses a node: filter, then the lowest score, ties by rendezvous hash of (child, node), so the
// same input gives the same node whatever the order of `nodes`. Above 64 candidates a sample of 8
// is scored, drawn with `random` (null: every candidate is scored). Pure.
PlacementResult Place(const PlacementRequest& request, const std::vector<NodeView>& nodes,
                      Random* random = nullptr);

// Weight units that one child takes: resources["weight"], else 1.
int64_t WeightOf(const std::map<std::string, int64_t>* resources);
bool LabelMatches(const Constraint& constraint, const NodeView& node);
uint64_t RendezvousHash(std::string_view child, std::string_view node);

}  // namespace banyan
