#include "server/core/placement.h"

#include <gtest/gtest.h>

namespace banyan {
namespace {

NodeView Node(std::string name, std::string zone = "", int64_t assigned = 0, int64_t capacity = 0) {
  NodeView n;
  n.name = std::move(name);
  if (!zone.empty()) n.labels["zone"] = zone;
  n.modules = {"kv"};
  n.assigned_weight = assigned;
  n.capacity_weight = capacity;
  return n;
}

PlacementRequest Request(const Placement* placement = nullptr) {
  PlacementRequest r;
  r.child = "root/a";
  r.module = "kv";
  r.placement = placement;
  return r;
}

TEST(Placement, TakesTheLeastLoadedNode) {
  EXPECT_EQ(Place(Request(), {Node("n1", "", 50, 100), Node("n2", "", 10, 100)}).node, "n2");
}

TEST(Placement, TiesAreBrokenAlikeInAnyOrderOfTheNodes) {
  const std::string ab = Place(Request(), {Node("n1"), Node("n2"), Node("n3")}).node;
  EXPECT_EQ(Place(Request(), {Node("n3"), Node("n2"), Node("n1")}).node, ab);
  std::set<std::string> used;
  for (int i = 0; i < 50; ++i) {
    PlacementRequest r = Request();
    r.child = "root/" + std::to_string(i);
    used.insert(Place(r, {Node("n1"), Node("n2"), Node("n3")}).node);
  }
  EXPECT_EQ(used.size(), 3u);
}

TEST(Placement, EveryRefusalHasItsReason) {
  Placement p;
  p.constraints.push_back({"disk", Constraint::Op::kIn, {"ssd"}});
  p.max_per_node = 1;
  std::vector<NodeView> nodes;
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g"}) {
    nodes.push_back(Node(name));
    nodes.back().labels["disk"] = "ssd";
  }
  nodes[0].schedulable = false;
  nodes[1].suspect = true;
  nodes[2].modules.clear();
  nodes[3].labels["disk"] = "hdd";
  nodes[4].capacity_weight = nodes[4].assigned_weight = 5;
  nodes[6].capacity["gpu"] = 1;
  nodes[6].assigned["gpu"] = 1;
  const std::map<std::string, int64_t> resources = {{"gpu", 1}};
  PlacementRequest r = Request(&p);
  r.resources = &resources;
  r.same_key["f"] = 1;
  const PlacementResult result = Place(r, nodes);
  EXPECT_EQ(result.node, "");
  ASSERT_EQ(result.refusals.size(), 7u);
  const char* const expected[] = {"takes no new children",
                                  "suspect",
                                  "has no module kv",
                                  "label does not match: disk in [ssd]",
                                  "weight: 5 of 5 taken, 1 needed",
                                  "has max_per_node 1 already",
                                  "gpu: 1 of 1 taken, 1 needed"};
  for (size_t i = 0; i < 7; ++i) EXPECT_EQ(result.refusals[i].reason, expected[i]);
  EXPECT_TRUE(result.no_capacity());
}

TEST(Placement, PinnedChildrenWaitForTheirNode) {
  Placement p;
  p.node = "n2";
  EXPECT_EQ(Place(Request(&p), {Node("n1"), Node("n2", "", 99)}).node, "n2");
  const PlacementResult none = Place(Request(&p), {Node("n1")});
  EXPECT_EQ(none.node, "");
  EXPECT_FALSE(none.no_capacity());
}

TEST(Placement, BuiltInNodeLabelIsTheName) {
  Placement p;
  p.constraints.push_back({"banyan/node", Constraint::Op::kNotIn, {"n1"}});
  EXPECT_EQ(Place(Request(&p), {Node("n1"), Node("n2")}).node, "n2");
  p.constraints = {{"rack", Constraint::Op::kNotExists, {}}};
  EXPECT_NE(Place(Request(&p), {Node("n1"), Node("n2")}).node, "");
  p.constraints = {{"rack", Constraint::Op::kExists, {}}};
  EXPECT_EQ(Place(Request(&p), {Node("n1"), Node("n2")}).node, "");
}

TEST(Placement, SiblingsSpreadOverZonesAndNodes) {
  const std::vector<NodeView> nodes = {Node("a1", "a"), Node("a2", "a"), Node("b1", "b")};
  PlacementRequest r = Request();
  r.siblings = {{"a1", 1}};
  EXPECT_EQ(Place(r, nodes).node, "b1");
  r.siblings = {{"a1", 1}, {"b1", 1}};
  EXPECT_EQ(Place(r, nodes).node, "a2");
}

TEST(Placement, PreviousNodeAndPreferencesAndFailuresWeigh) {
  PlacementRequest r = Request();
  for (const char* previous : {"n1", "n2"}) {
    r.previous_node = previous;
    EXPECT_EQ(Place(r, {Node("n1"), Node("n2")}).node, previous);
  }
  NodeView failing = Node("n1");
  failing.recent_start_failures = 3;
  r.previous_node = "n1";
  EXPECT_EQ(Place(r, {failing, Node("n2")}).node, "n2");
  Placement p;
  p.preferences.push_back({{"zone", Constraint::Op::kIn, {"b"}}, 50});
  EXPECT_EQ(Place(Request(&p), {Node("n1", "a"), Node("n2", "b", 900, 1000)}).node, "n2");
}

TEST(Placement, RequiredSkewIsKept) {
  Placement p;
  p.spread.push_back({"zone", 1, true});
  const std::vector<NodeView> nodes = {Node("a1", "a"), Node("b1", "b", 90, 100)};
  PlacementRequest r = Request(&p);
  r.siblings = {{"a1", 1}};
  EXPECT_EQ(Place(r, nodes).node, "b1");
  r.siblings = {{"a1", 2}, {"b1", 1}};
  EXPECT_EQ(Place(r, nodes).node, "b1");
  p.node = "a1";
  EXPECT_EQ(Place(r, {Node("a1", "a")}).node, "a1") << "the only domain left cannot be skewed";
}

TEST(Placement, HashModeFollowsTheHashAlone) {
  Placement p;
  p.mode = Placement::Mode::kHash;
  const std::string before = Place(Request(&p), {Node("n1"), Node("n2"), Node("n3")}).node;
  std::vector<NodeView> loaded = {Node("n1"), Node("n2"), Node("n3")};
  for (NodeView& n : loaded) {
    if (n.name == before) n.assigned_weight = 500;
  }
  EXPECT_EQ(Place(Request(&p), loaded).node, before);
}

TEST(Placement, HashIsFixedForAllBuilds) {
  EXPECT_EQ(RendezvousHash("a", "b"), RendezvousHash("a", "b"));
  EXPECT_NE(RendezvousHash("a", "b"), RendezvousHash("b", "a"));
  EXPECT_NE(RendezvousHash("ab", "c"), RendezvousHash("a", "bc"));
}

TEST(Placement, NoNodesIsNoCrash) {
  const PlacementResult r = Place(Request(), {});
  EXPECT_EQ(r.node, "");
  EXPECT_TRUE(r.refusals.empty());
}

}  // namespace
}  // namespace banyan
