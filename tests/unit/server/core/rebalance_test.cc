#include "server/core/rebalance.h"

#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace banyan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

NodeView Node(const std::string& name, int64_t assigned, int64_t capacity = 100) {
  NodeView node;
  node.name = name;
  node.any_module = true;
  node.assigned_weight = assigned;
  node.capacity_weight = capacity;
  return node;
}

// Children that want nothing in particular, each of another supervisor.
std::vector<RebalanceChild> ChildrenOn(const std::string& node, int count) {
  std::vector<RebalanceChild> children;
  for (int i = 0; i < count; ++i) {
    RebalanceChild child;
    child.node = node;
    child.request.child = fmt::format("{}-{:03}/c", node, i);
    child.request.siblings[node] = 1;
    child.request.same_key = child.request.siblings;
    children.push_back(child);
  }
  return children;
}

std::map<std::string, int> Received(const std::vector<PlannedMove>& moves) {
  std::map<std::string, int> received;
  for (const PlannedMove& move : moves) ++received[move.to];
  return received;
}

struct Case {
  const char* what;
  std::vector<int64_t> before;  // children on n0, n1 ..., weight 1 each
  std::vector<int64_t> after;
};

TEST(RebalanceTest, LoadsEndWithinTheHysteresis) {
  const Case cases[] = {
      {"even", {10, 10, 10}, {10, 10, 10}},       {"within a fifth", {11, 10, 9}, {11, 10, 9}},
      {"an empty node", {10, 10, 0}, {8, 8, 4}},  {"all on one", {9, 0, 0}, {3, 3, 3}},
      {"one child goes nowhere", {1, 0}, {1, 0}}, {"two children", {2, 0}, {1, 1}},
  };
  for (const Case& c : cases) {
    std::vector<NodeView> nodes;
    std::vector<RebalanceChild> children;
    for (size_t i = 0; i < c.before.size(); ++i) {
      const std::string name = fmt::format("n{}", i);
      nodes.push_back(Node(name, c.before[i]));
      for (auto& child : ChildrenOn(name, static_cast<int>(c.before[i]))) children.push_back(child);
    }
    std::vector<int64_t> after = c.before;
    for (const PlannedMove& move : PlanRebalance(nodes, children, 0)) {
      --after[std::stoul(move.from.substr(1))];
      ++after[std::stoul(move.to.substr(1))];
    }
    const auto [least, most] = std::minmax_element(after.begin(), after.end());
    const auto [wanted_least, wanted_most] = std::minmax_element(c.after.begin(), c.after.end());
    EXPECT_LE(*most, *wanted_most + 1) << c.what;
    EXPECT_GE(*least, *wanted_least) << c.what;
  }
}

TEST(RebalanceTest, NoMoreMovesThanAllowedAndTheSameForTheSameInput) {
  std::vector<NodeView> nodes = {Node("n0", 20), Node("n1", 0)};
  const auto some = PlanRebalance(nodes, ChildrenOn("n0", 20), 3);
  EXPECT_EQ(some.size(), 3u);
  EXPECT_EQ(PlanRebalance(nodes, ChildrenOn("n0", 20), 3), some);
  std::vector<RebalanceChild> shuffled = ChildrenOn("n0", 20);
  std::reverse(shuffled.begin(), shuffled.end());
  EXPECT_EQ(PlanRebalance({nodes[1], nodes[0]}, shuffled, 3), some);
}

TEST(RebalanceTest, OnlyWherePlacementWouldPutThem) {
  std::vector<NodeView> nodes = {Node("n0", 20),       Node("cordoned", 0),   Node("suspect", 0),
                                 Node("full", 10, 10), Node("unlabelled", 0), Node("good", 0)};
  nodes[1].schedulable = false;
  nodes[2].suspect = true;
  nodes[5].labels["disk"] = "ssd";
  Placement ssd;
  ssd.constraints.push_back({.key = "disk", .op = Constraint::Op::kIn, .values = {"ssd"}});
  std::vector<RebalanceChild> children = ChildrenOn("n0", 20);
  for (RebalanceChild& child : children) child.request.placement = &ssd;
  const auto received = Received(PlanRebalance(nodes, children, 0));
  EXPECT_EQ(received.size(), 1u);
  EXPECT_EQ(received.count("good"), 1u);
}

TEST(RebalanceTest, CapacityIsNeverExceeded) {
  std::map<std::string, int64_t> heavy = {{"weight", 1}, {"gpu", 1}};
  std::vector<NodeView> nodes = {Node("n0", 8), Node("n1", 0)};
  nodes[0].capacity["gpu"] = nodes[0].assigned["gpu"] = 8;
  nodes[1].capacity["gpu"] = 2;
  std::vector<RebalanceChild> children = ChildrenOn("n0", 8);
  for (RebalanceChild& child : children) child.request.resources = &heavy;
  EXPECT_EQ(PlanRebalance(nodes, children, 0).size(), 2u);
}

TEST(RebalanceTest, PinnedChildrenStay) {
  Placement pinned;
  pinned.node = "n0";
  std::vector<RebalanceChild> children = ChildrenOn("n0", 10);
  for (RebalanceChild& child : children) child.request.placement = &pinned;
  EXPECT_THAT(PlanRebalance({Node("n0", 10), Node("n1", 0)}, children, 0), IsEmpty());
}

}  // namespace
}  // namespace banyan
