// Where children are started, as far as it takes more than one decision of server/core.
#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

class Placing : public ClusterTest {
 protected:
  FakeNode& AddNodeWith(const std::string& name, std::map<std::string, int64_t> capacity) {
    auto& node = nodes_[name];
    node = std::make_unique<FakeNode>(&network_, &time_, name, trace_);
    node->capacity = std::move(capacity);
    node->Connect();
    Settle();
    return *node;
  }
  size_t In(v1::ChildState state) {
    size_t count = 0;
    for (const auto& [id, child] : Children("s")) count += child.state() == state;
    return count;
  }
  static std::vector<ChildSpec> Workers(int count) {
    std::vector<ChildSpec> children;
    for (int i = 0; i < count; ++i) children.push_back(Worker("w" + std::to_string(i)));
    return children;
  }
};

TEST_F(Placing, INV023CapacityIsNeverExceededAndTheRestWaits) {
  AddNodeWith("n1", {{"weight", 3}, {"gpu", 2}});
  AddNodeWith("n2", {{"weight", 3}});
  ASSERT_TRUE(StartSupervisor("s", Workers(4)).ok());
  ChildSpec gpu = Worker("gpu");
  gpu.resources = {{"gpu", 1}, {"weight", 1}};
  ASSERT_TRUE(StartChild("s", gpu).ok());
  EXPECT_TRUE(node("n1").Has("s/gpu"));
  for (const char* name : {"n1", "n2"}) EXPECT_LE(node(name).size(), 3u) << name;
  // n2 is lost: one of its children fits elsewhere, the others wait for room.
  node("n2").OpenWatcher();
  Settle();
  node("n2").Mute();
  node("n2").WatcherReportsExit();
  Settle();
  EXPECT_EQ(node("n1").size(), 3u);
  ASSERT_EQ(In(v1::CHILD_STATE_PENDING), 2u);
  for (const auto& [id, child] : Children("s")) {
    if (child.state() == v1::CHILD_STATE_PENDING) EXPECT_EQ(child.state_reason(), "no_capacity");
  }
  TakeTrace();
  time_.RunFor(absl::Seconds(60));
  EXPECT_THAT(TakeTrace(), ::testing::IsEmpty()) << "no hot loop";
  AddNodeWith("n3", {{"weight", 3}});
  EXPECT_EQ(node("n3").size(), 2u);
  EXPECT_EQ(In(v1::CHILD_STATE_PENDING), 0u);
}

TEST_F(Placing, ARefusalIsNotTheChildsFaultAndTheNodeCountsAsFullForAWhile) {
  AddNode("n1").on_start = [](auto&, auto* report) {
    report->mutable_start_failed()->set_refused(true);
    return true;
  };
  AddNode("n2");
  ASSERT_TRUE(StartSupervisor("s", Workers(2)).ok());
  EXPECT_EQ(node("n2").size(), 2u);
  for (const auto& [id, child] : Children("s")) EXPECT_EQ(child.restarts(), 0u);
  size_t tried = 0;
  for (const std::string& what : TakeTrace()) tried += what.starts_with("n1 start");
  EXPECT_EQ(tried, 1u) << "full for 10 s";
  node("n1").on_start = nullptr;
  time_.RunFor(absl::Seconds(11));
  ASSERT_TRUE(StartChild("s", Worker("w9")).ok());
  EXPECT_TRUE(node("n1").Has("s/w9"));
}

TEST_F(Placing, EveryStartHasAHigherFenceThanTheOneThatWasRefused) {
  bool refused = false;
  for (const char* name : {"n1", "n2"}) {
    AddNode(name).on_start = [&](auto&, auto* report) {
      if (!std::exchange(refused, true)) report->mutable_start_failed()->set_refused(true);
      return true;
    };
  }
  ASSERT_TRUE(StartSupervisor("s", Workers(1)).ok());
  const uint64_t one = node("n1").last_start().fence(), other = node("n2").last_start().fence();
  EXPECT_NE(std::min(one, other), 0u) << "both were asked";
  EXPECT_EQ(Children("s")["w0"].fence(), std::max(one, other));
}

TEST_F(Placing, ChildrenOfOneKeyCountTogether) {
  AddNode("n1");
  AddNode("n2");
  std::vector<ChildSpec> children;
  for (int i = 0; i < 6; ++i) {
    ChildSpec child = Worker("w" + std::to_string(i));
    child.has_placement = true;
    child.placement.max_per_node = 1;
    child.placement.max_per_node_key = i < 2 ? "primary" : i < 4 ? "replica" : "spare";
    children.push_back(child);
  }
  ASSERT_TRUE(StartSupervisor("s", children).ok());
  EXPECT_EQ(node("n1").size(), 3u);
  EXPECT_EQ(node("n2").size(), 3u);
  ChildSpec third = children[0];
  third.id = "third";
  EXPECT_EQ(ErrorReason(StartChild("s", third).status()), "NO_NODE_FITS");
  // What ends gives its place back.
  const std::string where = Children("s")["w0"].node();
  ASSERT_TRUE(Ask<v1::TerminateChildResponse>([&](auto done) {
                coordinator_->TerminateChild(Named("s", "w0"), done);
              }).ok());
  RestartCoordinator();
  time_.RunFor(absl::Seconds(3));
  ASSERT_TRUE(StartChild("s", third).ok());
  EXPECT_TRUE(node(where).Has("s/third"));
}

TEST_F(Placing, AFewChildrenDoNotWaitForManyOfAnotherSupervisor) {
  options_.starts_per_second = 10;
  options_.starts_per_second_per_supervisor = 10;
  RestartCoordinator();
  AddNode("n1");
  std::vector<absl::StatusOr<v1::SupervisorInfo>> answers;
  for (const char* name : {"many", "few"}) {
    StartSupervisorArgs args;
    args.name = name;
    coordinator_->StartSupervisor(args, [&](auto r) { answers.push_back(r); });
  }
  Settle();
  int few = 0;
  for (int i = 0; i < 60; ++i) {
    StartChildArgs child;
    child.supervisor = Target::Named("many");
    child.spec = Worker("w" + std::to_string(i));
    coordinator_->StartChild(child, [](auto) {});
  }
  for (int i = 0; i < 3; ++i) {
    StartChildArgs child;
    child.supervisor = Target::Named("few");
    child.spec = Worker("w" + std::to_string(i));
    coordinator_->StartChild(child, [&](auto r) { few += r.ok(); });
  }
  time_.RunFor(absl::Seconds(2));
  EXPECT_EQ(few, 3);
  EXPECT_LT(node("n1").size(), 40u) << "the pace holds";
}

}  // namespace
}  // namespace banyan::testing
