// A node that is stopped leaves: it is not taken for lost, whatever its end overtakes.
#include "fmt/format.h"
#include "gtest/gtest.h"

#include "tests/sim/sim_cluster.h"

namespace banyan::sim {
namespace {

v1::NodeState StateOf(SimCluster& cluster, int i) {
  absl::StatusOr<v1::NodeInfo> info;
  const bool answered =
      cluster.Ask<v1::NodeInfo>(absl::Seconds(1), &info, [&](Reply<v1::NodeInfo> done) {
        cluster.coordinator().GetNode(SimCluster::NodeName(i), std::move(done));
      });
  return answered && info.ok() ? info->state() : v1::NODE_STATE_UNSPECIFIED;
}

TEST(Leave, AStoppedNodeIsSeenToLeaveAndItsChildrenMoveAtOnce) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    SimCluster cluster({.seed = seed, .nodes = 2, .coordinator = {}});
    cluster.StartCoordinator();
    cluster.StartNode(0);
    cluster.StartNode(1);
    ASSERT_TRUE(cluster.WaitForNodes(2, absl::Seconds(30)));
    StartSupervisorArgs args;
    args.name = "duty";
    for (int c = 0; c < 4; ++c) {
      ChildSpec& spec = args.spec.children.emplace_back();
      spec.id = fmt::format("duty{}", c);
      spec.start.module = "probe";
    }
    absl::StatusOr<v1::SupervisorInfo> started;
    ASSERT_TRUE(cluster.Ask<v1::SupervisorInfo>(
        absl::Seconds(20), &started, [&](Reply<v1::SupervisorInfo> done) {
          cluster.coordinator().StartSupervisor(args, std::move(done));
        }));
    ASSERT_TRUE(started.ok()) << started.status();
    cluster.StopNode(0);
    ASSERT_TRUE(cluster.time().RunUntil([&] { return !cluster.node_up(0); }, absl::Seconds(20)));
    cluster.time().RunFor(absl::Seconds(2));
    EXPECT_EQ(StateOf(cluster, 0), v1::NODE_STATE_LEFT);
    for (const v1::ChildInfo& child : cluster.Children("duty")) {
      EXPECT_EQ(child.state(), v1::CHILD_STATE_RUNNING) << child.id();
      EXPECT_EQ(child.node(), SimCluster::NodeName(1)) << child.id();
      EXPECT_EQ(child.restarts(), 0u) << child.id();
    }
    for (const std::string& v : cluster.history().violations()) ADD_FAILURE() << v;
  }
}

}  // namespace
}  // namespace banyan::sim
