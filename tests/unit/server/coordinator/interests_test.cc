#include "server/coordinator/interests.h"

#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

TEST(Interests, WhatWasAskedForLongestAgoGivesWay) {
  Interests interests(2);
  EXPECT_EQ(interests.Add("a", 1), std::nullopt);
  EXPECT_EQ(interests.Add("b", 1), std::nullopt);
  EXPECT_EQ(interests.Add("a", 1), std::nullopt);
  EXPECT_EQ(interests.Add("b", 2), std::nullopt) << "each node has its own";
  EXPECT_EQ(interests.Add("c", 1), "b");
  ASSERT_NE(interests.Of("b"), nullptr);
  EXPECT_FALSE(interests.Of("b")->contains(1));
  EXPECT_TRUE(interests.Of("b")->contains(2));
  ASSERT_NE(interests.Of("a"), nullptr);
  EXPECT_TRUE(interests.Of("a")->contains(1));
}

TEST(Interests, NothingIsLeftOfANodeThatIsForgotten) {
  Interests interests(2);
  interests.Add("a", 1);
  interests.Add("b", 1);
  interests.Add("b", 2);
  interests.Forget(1);
  EXPECT_EQ(interests.Of("a"), nullptr);
  ASSERT_NE(interests.Of("b"), nullptr);
  EXPECT_EQ(interests.Of("b")->size(), 1u);
  EXPECT_EQ(interests.Add("a", 1), std::nullopt);
}

class NodesInterests : public ClusterTest {
 protected:
  void Resolve(const std::string& name, uint32_t node_id) {
    internal::v1::ResolveRequest request;
    request.set_name(name);
    request.set_subscribe(true);
    ASSERT_TRUE(Ask<internal::v1::ResolveResponse>([&](auto done) {
                  coordinator_->Resolve(request, node_id, done);
                }).ok());
    Settle();
  }
  std::vector<std::string> Released(const std::string& node_name) {
    std::vector<std::string> out;
    for (const v1::NameEntry& entry : node(node_name).released()) out.push_back(entry.name());
    return out;
  }
};

TEST_F(NodesInterests, ANodeIsToldWhatItHearsNoMoreOf) {
  CrashCoordinator();
  options_.interests_per_node = 2;
  StartCoordinator();
  FakeNode& asks = AddNode("n1");
  FakeNode& holds = AddNode("n2");
  for (uint64_t slot : {1, 2, 3}) {
    holds.AskName("x" + std::to_string(slot), Pid{holds.node_id(), holds.incarnation(), slot});
  }
  Settle();
  for (const char* name : {"x1", "x2", "x1", "x3"}) Resolve(name, asks.node_id());
  ASSERT_THAT(Released("n1"), ::testing::ElementsAre("x2"));
  EXPECT_EQ(asks.released().back().reg_version(), std::numeric_limits<uint64_t>::max());
  for (const char* name : {"x1", "x2", "x3"}) holds.NameGone(name);
  Settle();
  EXPECT_THAT(Released("n1"), ::testing::ElementsAre("x2", "x1", "x3"));
}

TEST_F(NodesInterests, ASessionBeginsWithNone) {
  FakeNode& asks = AddNode("n1");
  FakeNode& holds = AddNode("n2");
  holds.AskName("x", Pid{holds.node_id(), holds.incarnation(), 1});
  Settle();
  Resolve("x", asks.node_id());
  network_.Break("n1-p1", "coord", StreamKind::kControl);
  time_.RunFor(absl::Seconds(4));
  ASSERT_TRUE(asks.joined());
  holds.NameGone("x");
  Settle();
  EXPECT_THAT(Released("n1"), ::testing::IsEmpty()) << "it has forgotten the holder itself";
}

}  // namespace
}  // namespace banyan::testing
