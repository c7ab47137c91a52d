// Group restarts for which no node has room: they wait, and the supervisor serves meanwhile.
#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

class WaitingGroups : public ClusterTest, public ::testing::WithParamInterface<Strategy> {
 protected:
  // Its only node is dead, which has cost all its children.
  void LoseAll() {
    AddNode("n1");
    ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b"), Worker("c")},
                                {.strategy = GetParam(), .intensity = 3})
                    .ok());
    node("n1").OpenWatcher();
    Settle();
    node("n1").Mute();
    node("n1").WatcherReportsExit();
    time_.RunFor(absl::Seconds(1));
    ASSERT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_DEAD);
  }
  absl::StatusOr<v1::TerminateChildResponse> Terminate(const std::string& id) {
    return Ask<v1::TerminateChildResponse>(
        [&](auto done) { coordinator_->TerminateChild(Named("s", id), done); });
  }
  absl::StatusOr<v1::RestartChildResponse> Restart(const std::string& id) {
    return Ask<v1::RestartChildResponse>(
        [&](auto done) { coordinator_->RestartChild(Named("s", id), false, done); });
  }
  absl::Status Delete(const std::string& id) {
    auto answer = Ask<bool>([&](Reply<bool> done) {
      coordinator_->DeleteChild(Named("s", id), [done](absl::Status status) {
        if (!status.ok()) return done(status);
        done(true);
      });
    });
    return answer.status();
  }
};

TEST_P(WaitingGroups, OperationsAreAnsweredWithoutANode) {
  LoseAll();
  auto started = StartChild("s", Worker("d"));
  EXPECT_EQ(ErrorReason(started.status()), "NO_NODE_FITS") << started.status();
  EXPECT_EQ(Children("s").count("d"), 0u);
  const std::string first =
      GetParam() == Strategy::kOneForOne ? "CHILD_RUNNING" : "CHILD_RESTARTING";
  EXPECT_EQ(ErrorReason(Delete("c")), first) << "it has to be terminated first";
  EXPECT_EQ(ErrorReason(Restart("c").status()), first);
  EXPECT_TRUE(Terminate("c").ok());
  EXPECT_TRUE(Delete("c").ok());
  EXPECT_EQ(Children("s").count("c"), 0u);
  AddNode("n2");
  time_.RunFor(absl::Seconds(5));
  EXPECT_TRUE(node("n2").Has("s/a"));
  EXPECT_TRUE(node("n2").Has("s/b"));
  EXPECT_FALSE(node("n2").Has("s/c"));
  EXPECT_TRUE(StartChild("s", Worker("d")).ok());
}

TEST_P(WaitingGroups, OfACoordinatorThatWasRestarted) {
  LoseAll();
  RestartCoordinator();
  time_.RunFor(absl::Seconds(30));
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("d")).status()), "NO_NODE_FITS");
  EXPECT_TRUE(Terminate("c").ok());
  EXPECT_TRUE(Delete("c").ok());
  AddNode("n2");
  time_.RunFor(absl::Seconds(5));
  EXPECT_TRUE(node("n2").Has("s/a"));
  EXPECT_TRUE(node("n2").Has("s/b"));
  EXPECT_EQ(node("n2").size(), 2u);
}

INSTANTIATE_TEST_SUITE_P(All, WaitingGroups,
                         ::testing::Values(Strategy::kOneForOne, Strategy::kOneForAll,
                                           Strategy::kRestForOne));

}  // namespace
}  // namespace banyan::testing
