#include "server/core/rebalance.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace banyan {
namespace {

void Take(NodeView* node, const PlacementRequest& request, int64_t sign) {
  node->assigned_weight += sign * WeightOf(request.resources);
  if (request.resources == nullptr) return;
  for (const auto& [resource, amount] : *request.resources)
    node->assigned[resource] += sign * amount;
}

void Count(std::map<std::string, uint32_t>* counts, const std::string& node, int change) {
  uint32_t& count = (*counts)[node];
  count = change < 0 && count == 0 ? 0 : count + static_cast<uint32_t>(change);
}

class Plan {
 public:
  Plan(std::vector<NodeView> nodes, std::vector<RebalanceChild> children)
      : nodes_(std::move(nodes)), children_(std::move(children)) {
    // A child is named by its path, so this order is the same everywhere.
    std::sort(children_.begin(), children_.end(),
              [](const auto& a, const auto& b) { return a.request.child < b.request.child; });
  }

  std::vector<PlannedMove> Run(size_t max_moves) {
    std::vector<PlannedMove> moves;
    while ((max_moves == 0 || moves.size() < max_moves) && Step(&moves)) {
    }
    return moves;
  }

 private:
  bool Step(std::vector<PlannedMove>* moves) {
    std::vector<NodeView*> by_load;
    for (NodeView& node : nodes_) by_load.push_back(&node);
    std::sort(by_load.begin(), by_load.end(), [](const NodeView* a, const NodeView* b) {
      const double x = LoadOf(*a), y = LoadOf(*b);
      return x != y ? x > y : a->name < b->name;
    });
    for (NodeView* from : by_load) {
      for (RebalanceChild& child : children_) {
        if (child.node == from->name && !moved_.contains(child.request.child) &&
            TryMove(from, &child, moves)) {
          return true;
        }
      }
    }
    return false;
  }

  bool TryMove(NodeView* from, RebalanceChild* child, std::vector<PlannedMove>* moves) {
    const double before = LoadOf(*from);
    PlacementRequest& request = child->request;
    request.previous_node.clear();
    Take(from, request, -1);
    Count(&request.siblings, from->name, -1);
    Count(&request.same_key, from->name, -1);
    const std::string to = Place(request, nodes_).node;
    auto target = std::find_if(nodes_.begin(), nodes_.end(),
                               [&](const NodeView& node) { return node.name == to; });
    bool better = target != nodes_.end() && &*target != from;
    if (better) {
      Take(&*target, request, 1);
      better = LoadOf(*target) < before * (1 - kRebalanceHysteresis);
      if (!better) Take(&*target, request, -1);
    }
    if (!better) {
      Take(from, request, 1);
      Count(&request.siblings, from->name, 1);
      Count(&request.same_key, from->name, 1);
      return false;
    }
    moved_.insert(request.child);
    moves->push_back({request.child, from->name, to});
    // Its siblings see it in its new place.
    const std::string family = request.child.substr(0, request.child.rfind('/'));
    for (RebalanceChild& other : children_) {
      if (other.request.child.substr(0, other.request.child.rfind('/')) != family) continue;
      if (&other != child) {
        Count(&other.request.siblings, from->name, -1);
        Count(&other.request.same_key, from->name, -1);
      }
      Count(&other.request.siblings, to, 1);
      Count(&other.request.same_key, to, 1);
    }
    child->node = to;
    return true;
  }

  std::vector<NodeView> nodes_;
  std::vector<RebalanceChild> children_;
  std::set<std::string> moved_;
};

}  // namespace

double LoadOf(const NodeView& node) {
  constexpr int64_t kUnlimited = 10'000;  // as in placement
  const int64_t capacity = node.capacity_weight > 0 ? node.capacity_weight : kUnlimited;
  return static_cast<double>(node.assigned_weight) / static_cast<double>(capacity);
}

std::vector<PlannedMove> PlanRebalance(std::vector<NodeView> nodes,
                                       std::vector<RebalanceChild> children, size_t max_moves) {
  return Plan(std::move(nodes), std::move(children)).Run(max_moves);
}

}  // namespace banyan
