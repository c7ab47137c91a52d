#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Failover = ClusterTest;

TEST_F(Failover, KilledNodeWithWatcherMovesItsChildrenWithHigherFences) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}).ok());
  AddNode("n2");
  const uint64_t fence = node("n1").At("s/a").fence;
  node("n1").OpenWatcher();
  Settle();
  node("n1").Mute();
  node("n1").WatcherReportsExit();
  time_.RunFor(absl::Milliseconds(20));
  EXPECT_EQ(node("n2").size(), 2u);
  EXPECT_GT(node("n2").At("s/a").fence, fence);
  // Not the child's doing: nothing is counted.
  auto list = Ask<v1::ListSupervisorsResponse>(
      [&](auto done) { coordinator_->ListSupervisors({}, false, nullptr, done); });
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(list->supervisors(0).recent_restarts(), 0u);
}

TEST_F(Failover, ExclusiveChildMovesOnlyAfterTheLease) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  AddNode("n2");
  time_.RunFor(absl::Seconds(2));
  node("n1").Mute();
  time_.RunFor(absl::Seconds(58));
  EXPECT_FALSE(node("n2").Has("s/a"));
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_UNREACHABLE);
  time_.RunFor(absl::Seconds(4));
  EXPECT_TRUE(node("n2").Has("s/a"));
}

TEST_F(Failover, StrictChildWaitsForProof) {
  AddNode("n1");
  ChildSpec spec = Worker("a");
  spec.exclusivity = Exclusivity::kStrict;
  ASSERT_TRUE(StartSupervisor("s", {spec}).ok());
  AddNode("n2");
  node("n1").Freeze("s/a");
  Settle();
  EXPECT_EQ(Children("s")["a"].state_reason(), "frozen");
  node("n1").Mute();
  time_.RunFor(absl::Seconds(70));
  ASSERT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_DEAD);
  EXPECT_FALSE(node("n2").Has("s/a"));
  EXPECT_EQ(Children("s")["a"].state_reason(), "death_not_proven");
  RestartCoordinator();
  time_.RunFor(absl::Seconds(70));
  EXPECT_FALSE(node("n2").Has("s/a"));
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_UNREACHABLE);
  std::optional<absl::Status> removed;
  coordinator_->RemoveNode({"n1", "", ""}, false, [&](absl::Status s) { removed = s; });
  Settle();
  ASSERT_TRUE(removed);
  EXPECT_EQ(ErrorReason(*removed), "NODE_STILL_UP") << "nobody could confirm its death any more";
  auto dead = Ask<v1::NodeInfo>(
      [&](auto done) { coordinator_->ConfirmDead({"n1", "", ""}, 1, false, done); });
  ASSERT_TRUE(dead.ok()) << dead.status();
  Settle();
  EXPECT_TRUE(node("n2").Has("s/a"));
}

TEST_F(Failover, AvailableChildMovesAfterSuspicionAndTheOlderOneIsStopped) {
  AddNode("n1");
  ChildSpec spec = Worker("a");
  spec.exclusivity = Exclusivity::kAvailable;
  ASSERT_TRUE(StartSupervisor("s", {spec}).ok());
  AddNode("n2");
  time_.RunFor(absl::Seconds(2));
  network_.Isolate("n1-p1");
  time_.RunFor(absl::Seconds(12));
  EXPECT_TRUE(node("n2").Has("s/a"));
  EXPECT_TRUE(node("n1").Has("s/a"));
  network_.Join("n1-p1");
  network_.Break("n1-p1", "coord");
  time_.RunFor(absl::Seconds(5));
  EXPECT_FALSE(node("n1").Has("s/a"));
  EXPECT_TRUE(node("n2").Has("s/a"));
}

TEST_F(Failover, INV017CoordinatorRestartAdoptsWithoutRestarting) {
  AddNode("n1");
  AddNode("n2");
  ASSERT_TRUE(StartSupervisor("s", {WorkerOn("a", "n1"), WorkerOn("b", "n2")},
                              {.strategy = Strategy::kOneForAll, .intensity = 3})
                  .ok());
  const uint64_t fence = node("n1").At("s/a").fence;
  TakeTrace();
  RestartCoordinator();
  time_.RunFor(absl::Seconds(5));
  EXPECT_THAT(TakeTrace(), IsEmpty());
  EXPECT_EQ(node("n1").epoch(), 2u);
  auto children = Children("s");
  EXPECT_EQ(children["a"].state(), v1::CHILD_STATE_RUNNING);
  EXPECT_EQ(children["a"].fence(), fence);
  EXPECT_EQ(children["b"].state(), v1::CHILD_STATE_RUNNING);
  // And it goes on being supervised.
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  time_.RunFor(absl::Seconds(1));
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 exit a", "n2 stop b", "n1 start a", "n2 start b"));
  EXPECT_GT(node("n1").At("s/a").fence, fence);
}

// Its nodes have told what they run, but have not been heard of since: they will take children.
TEST_F(Failover, AStartWaitsForNodesThatAreNotTrustedYet) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {}).ok());
  RestartCoordinator();
  const auto started = StartChild("s", Worker("a"));
  EXPECT_TRUE(started.ok()) << started.status();
  EXPECT_TRUE(node("n1").Has("s/a"));
}

TEST_F(Failover, ExitDuringTheOutageIsReportedAndRestarted) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  CrashCoordinator();
  time_.RunFor(absl::Milliseconds(10));
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  time_.RunFor(absl::Seconds(1));
  EXPECT_FALSE(node("n1").Has("s/a"));
  StartCoordinator();
  time_.RunFor(absl::Seconds(4));
  EXPECT_TRUE(node("n1").Has("s/a"));
  EXPECT_EQ(node("n1").unacked(), 0u);
}

TEST_F(Failover, F10bCrashAfterTheCommitAndBeforeTheStartSendsItAgain) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {}).ok());
  after_commit = [this](const Txn& txn) {
    for (const KeyValue& kv : txn.puts) {
      if (kv.key == "child/s/a/asg") store_->Crash();
    }
  };
  coordinator_->StartChild({Target::Named("s"), Worker("a"), {}, "r1"}, [](auto) {});
  time_.RunFor(absl::Milliseconds(100));
  EXPECT_FALSE(node("n1").Has("s/a"));
  after_commit = nullptr;
  RestartCoordinator();
  time_.RunFor(absl::Seconds(2));
  EXPECT_TRUE(node("n1").Has("s/a"));
  auto again = StartChild("s", Worker("a"), "r1");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->child().fence(), node("n1").At("s/a").fence);
  EXPECT_EQ(node("n1").size(), 1u);
}

TEST_F(Failover, F10fFailedInitDuringTheOutageIsTheAnswer) {
  AddNode("n1").on_start = [](const std::string&, internal::v1::Report*) { return false; };
  ASSERT_TRUE(StartSupervisor("s", {}).ok());
  coordinator_->StartChild({Target::Named("s"), Worker("a"), {}, "r1"}, [](auto) {});
  Settle();
  ASSERT_TRUE(node("n1").Has("s/a"));
  CrashCoordinator();
  Settle();
  // Its init fails now: as if it had ended while starting.
  node("n1").FailStart("s/a", ExitReason::Error("boom"));
  StartCoordinator();
  time_.RunFor(absl::Seconds(2));
  auto answer = StartChild("s", Worker("a"), "r1");
  EXPECT_EQ(ErrorReason(answer.status()), "CHILD_START_FAILED") << answer.status();
  EXPECT_TRUE(Children("s").empty());
}

TEST_F(Failover, AChildThatWasTerminatedBetweenTwoLivesStaysDown) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}, {.intensity = 5}).ok());
  // Twice at once: the second time its restart waits a while.
  for (int i = 0; i < 2; ++i) {
    node("n1").Exit("s/a", ExitReason::Error("boom"));
    time_.RunFor(absl::Milliseconds(20));
  }
  ASSERT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_BACKOFF);
  ASSERT_TRUE(Ask<v1::TerminateChildResponse>([&](auto done) {
                coordinator_->TerminateChild({Target::Named("s"), "a", "r1"}, done);
              }).ok());
  CrashCoordinator();
  Settle();
  StartCoordinator();
  time_.RunFor(absl::Seconds(5));
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_STOPPED);
  EXPECT_FALSE(node("n1").Has("s/a"));
}

TEST_F(Failover, AChildWhoseRestartFoundNoNodeStaysDown) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  ASSERT_TRUE(Ask<v1::TerminateChildResponse>([&](auto done) {
                coordinator_->TerminateChild(Named("s", "a"), done);
              }).ok());
  const auto cordon = [&](bool on) {
    const auto done = Ask<v1::NodeInfo>([&](auto reply) {
      const NodeArgs args{"n1", "", ""};
      on ? coordinator_->Cordon(args, reply) : coordinator_->Uncordon(args, reply);
    });
    EXPECT_TRUE(done.ok()) << done.status();
  };
  cordon(true);
  RestartCoordinator();  // until its nodes are heard of, nothing is certain
  const auto restart = Ask<v1::RestartChildResponse>([&](auto done) {
    coordinator_->RestartChild(Named("s", "a", "r1"), /*running_too=*/false, done);
  });
  ASSERT_EQ(ErrorReason(restart.status()), "NO_NODE_FITS") << restart.status();
  RestartCoordinator();
  cordon(false);
  time_.RunFor(absl::Seconds(15));
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_STOPPED);
  EXPECT_FALSE(node("n1").Has("s/a"));
}

TEST_F(Failover, GroupRestartGoesOnAfterTheCoordinatorIsBack) {
  AddNode("n1");
  AddNode("n2");
  ASSERT_TRUE(StartSupervisor("s", {WorkerOn("a", "n1"), WorkerOn("b", "n2"), WorkerOn("c", "n2")},
                              {.strategy = Strategy::kOneForAll, .intensity = 3})
                  .ok());
  node("n2").on_stop = [](const std::string&) { return false; };
  TakeTrace();
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  Settle();
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 exit a", "n2 stop c"));
  CrashCoordinator();
  Settle();
  node("n2").on_stop = nullptr;
  node("n2").Stopped("s/c");
  StartCoordinator();
  time_.RunFor(absl::Seconds(4));
  EXPECT_THAT(TakeTrace(), ElementsAre("n2 stop b", "n1 start a", "n2 start b", "n2 start c"));
}

TEST_F(Failover, DeathRecordedBeforeTheCrashIsActedUpon) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  AddNode("n2");
  node("n1").OpenWatcher();
  Settle();
  after_commit = [this](const Txn& txn) {
    for (const KeyValue& kv : txn.puts) {
      if (kv.key == "node/n1") store_->Crash();
    }
  };
  node("n1").Mute();
  node("n1").WatcherReportsExit();
  Settle();
  after_commit = nullptr;
  RestartCoordinator();
  time_.RunFor(absl::Seconds(3));
  EXPECT_TRUE(node("n2").Has("s/a"));
}

TEST_F(Failover, UnknownChildIsStoppedAsAnOrphan) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  AddNode("n2");
  network_.Isolate("n1-p1");
  auto dead = Ask<v1::NodeInfo>(
      [&](auto done) { coordinator_->ConfirmDead({"n1", "", ""}, 1, true, done); });
  ASSERT_TRUE(dead.ok());
  Settle();
  EXPECT_TRUE(node("n2").Has("s/a"));
  network_.Join("n1-p1");
  network_.Break("n1-p1", "coord");
  time_.RunFor(absl::Seconds(3));
  EXPECT_FALSE(node("n1").Has("s/a"));
  EXPECT_EQ(node("n1").incarnation(), 2u);
}

TEST_F(Failover, ThousandChildrenComeBackAtOnce) {
  AddNode("n1");
  std::vector<ChildSpec> many;
  for (int i = 0; i < 1000; ++i) many.push_back(Worker("c" + std::to_string(i)));
  ASSERT_TRUE(StartSupervisor("s", many).ok());
  AddNode("n2");
  node("n1").OpenWatcher();
  Settle();
  node("n1").Mute();
  node("n1").WatcherReportsExit();
  time_.RunFor(absl::Seconds(1));
  EXPECT_EQ(node("n2").size(), 1000u);
}

}  // namespace
}  // namespace banyan::testing
