#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

using Membership = ClusterTest;

TEST_F(Membership, JoinGivesNumberAndIncarnation) {
  FakeNode& a = AddNode("n1");
  FakeNode& b = AddNode("n2");
  EXPECT_EQ(a.node_id(), 1u);
  EXPECT_EQ(a.incarnation(), 1u);
  EXPECT_EQ(b.node_id(), 2u);
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_ACTIVE);
  ASSERT_TRUE(a.view().contains("n2"));
  EXPECT_EQ(a.view().at("n2").state(), v1::NODE_STATE_ACTIVE);
}

TEST_F(Membership, IncarnationIsDurableBeforeTheNodeHearsOfIt) {
  std::vector<std::string>& trace = *trace_;
  after_commit = [&](const Txn& txn) {
    for (const KeyValue& kv : txn.puts) {
      if (kv.key.starts_with("node/")) trace.push_back("commit");
    }
  };
  AddNode("n1");
  ASSERT_GE(trace.size(), 2u);
  EXPECT_EQ(trace[0], "commit");
  EXPECT_EQ(trace[1], "n1 joined");
}

TEST_F(Membership, INV003DuplicateNameIsRefusedAndTheFirstGoesOn) {
  AddNode("n1");
  FakeNode second(&network_, &time_, "n1", trace_, {.process_id = "p2", .machine_id = "other"});
  second.Connect();
  time_.RunFor(absl::Seconds(3));
  EXPECT_FALSE(second.joined());
  EXPECT_EQ(ErrorReason(second.last_close()), "NAME_IN_USE");
  EXPECT_TRUE(node("n1").joined());
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_ACTIVE);
  EXPECT_EQ(NodeInfo("n1").incarnation(), 1u);
}

TEST_F(Membership, ReconnectKeepsTheIncarnation) {
  AddNode("n1");
  network_.Break("n1-p1", "coord");
  time_.RunFor(absl::Seconds(6));
  EXPECT_TRUE(node("n1").joined());
  EXPECT_EQ(node("n1").incarnation(), 1u);
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_ACTIVE);
}

TEST_F(Membership, BreakIsSuspicionAndThreeHeartbeatsEndIt) {
  AddNode("n1");
  time_.RunFor(absl::Seconds(2));
  network_.Break("n1-p1", "coord", StreamKind::kLease);
  Settle();
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_SUSPECT);
  time_.RunFor(absl::Seconds(2));
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_SUSPECT);
  time_.RunFor(absl::Seconds(2));
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_ACTIVE);
}

TEST_F(Membership, LeaseDeathComesOnlyAfterTheCoordinatorsTime) {
  AddNode("n1");
  time_.RunFor(absl::Seconds(5));
  node("n1").Mute();
  time_.RunFor(absl::Seconds(5));
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_SUSPECT);
  time_.RunFor(absl::Seconds(53));
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_SUSPECT);
  time_.RunFor(absl::Seconds(4));
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_DEAD);
  EXPECT_EQ(NodeInfo("n1").death_cause(), "lease");
}

TEST_F(Membership, RestartedCoordinatorWaitsTheWholeLeaseAgain) {
  AddNode("n1");
  node("n1").Mute();
  time_.RunFor(absl::Seconds(50));
  RestartCoordinator();
  time_.RunFor(absl::Seconds(59));
  EXPECT_NE(NodeInfo("n1").state(), v1::NODE_STATE_DEAD);
  time_.RunFor(absl::Seconds(3));
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_DEAD);
}

TEST_F(Membership, DeadNodeLearnsItAndTakesANewIncarnation) {
  AddNode("n1");
  node("n1").Mute();
  time_.RunFor(absl::Seconds(65));
  ASSERT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_DEAD);
  node("n1").Unmute();
  network_.Break("n1-p1", "coord");
  time_.RunFor(absl::Seconds(3));
  node("n1").Connect();
  time_.RunFor(absl::Seconds(3));
  EXPECT_EQ(node("n1").incarnation(), 2u);
  EXPECT_EQ(node("n1").node_id(), 1u);
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_ACTIVE);
}

TEST_F(Membership, NewProcessOfTheSameStateDirectorySupersedes) {
  AddNode("n1");
  KillNode("n1");
  FakeNode second(&network_, &time_, "n1", trace_,
                  {.process_id = "p2", .machine_id = "machine-n1"});
  second.Connect();
  Settle();
  EXPECT_TRUE(second.joined());
  EXPECT_EQ(second.incarnation(), 2u);
}

// Its hello was on its way when it ended, and is read last.
TEST_F(Membership, AFormerProcessOfTheSameStateDirectorySupersedesNobody) {
  AddNode("n1");
  KillNode("n1");
  FakeNode present(
      &network_, &time_, "n1", trace_,
      {.process_id = "p3", .machine_id = "machine-n1", .boot_id = "b2", .start_number = 3});
  present.Connect();
  Settle();
  ASSERT_TRUE(present.joined());
  for (const char* boot : {"b1", "b2"}) {
    FakeNode late(
        &network_, &time_, "n1", trace_,
        {.process_id = "p2", .machine_id = "machine-n1", .boot_id = boot, .start_number = 2});
    late.Connect();
    Settle();
    EXPECT_FALSE(late.joined()) << boot;
    EXPECT_EQ(ErrorReason(late.last_close()), "NAME_IN_USE") << boot;
  }
  EXPECT_EQ(NodeInfo("n1").incarnation(), 2u);
  EXPECT_TRUE(present.joined());
}

TEST_F(Membership, WatcherCertificateIsDeathAtOnce) {
  AddNode("n1");
  node("n1").OpenWatcher();
  Settle();
  EXPECT_TRUE(NodeInfo("n1").has_watcher());
  node("n1").Mute();
  node("n1").WatcherReportsExit();
  Settle();
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_DEAD);
  EXPECT_EQ(NodeInfo("n1").death_cause(), "watcher");
}

TEST_F(Membership, LeaveIsFinal) {
  AddNode("n1");
  AddNode("n2");
  node("n1").Leave();
  node("n1").Mute();
  Settle();
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_LEFT);
  EXPECT_EQ(node("n2").view().at("n1").state(), v1::NODE_STATE_LEFT);
}

TEST_F(Membership, INV003ARemovedNameComesBackWithALaterIncarnation) {
  AddNode("n1");
  node("n1").Leave();
  node("n1").Mute();
  Settle();
  KillNode("n1");
  std::optional<absl::Status> removed;
  coordinator_->RemoveNode({"n1", "", ""}, false, [&](absl::Status s) { removed = s; });
  Settle();
  ASSERT_TRUE(removed && removed->ok());
  RestartCoordinator();
  AddNode("n1");
  EXPECT_EQ(node("n1").incarnation(), 2u);
  EXPECT_EQ(node("n1").node_id(), 2u) << "numbers are never given out twice";
}

TEST_F(Membership, OneWayLossStopsTheAcksAndEndsInDeath) {
  AddNode("n1");
  time_.RunFor(absl::Seconds(3));
  network_.BlockOneWay("coord", "n1-p1");
  time_.RunFor(absl::Seconds(15));
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_SUSPECT);
  time_.RunFor(absl::Seconds(60));
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_DEAD);
}

TEST_F(Membership, GarbageEndsTheStreamOnly) {
  class Nothing : public StreamHandler {
   public:
    void OnFrame(std::string) override {}
    void OnClose(absl::Status s) override { status = s; }
    absl::Status status;
  } handler;
  SimTransport bad(&network_, "bad", &time_);
  for (StreamKind kind : {StreamKind::kLease, StreamKind::kControl, StreamKind::kWatcher}) {
    auto stream = bad.Dial("coord", kind, &handler);
    stream->Write("\xff\xff\xff\x01garbage");
    Settle();
    EXPECT_EQ(ErrorReason(handler.status), "PROTOCOL_VIOLATION");
  }
  AddNode("n1");
  EXPECT_TRUE(node("n1").joined());
}

TEST_F(Membership, CordonKeepsChildrenAwayAndConfirmDeadNeedsForce) {
  AddNode("n1");
  auto cordoned =
      Ask<v1::NodeInfo>([&](auto done) { coordinator_->Cordon({"n1", "repair", ""}, done); });
  ASSERT_TRUE(cordoned.ok());
  EXPECT_FALSE(cordoned->schedulable());
  EXPECT_EQ(ErrorReason(StartSupervisor("s", {Worker("a")}).status()), "NO_NODE_FITS");
  auto refused = Ask<v1::NodeInfo>(
      [&](auto done) { coordinator_->ConfirmDead({"n1", "", ""}, 1, false, done); });
  EXPECT_EQ(ErrorReason(refused.status()), "NODE_REACHABLE");
  auto wrong = Ask<v1::NodeInfo>(
      [&](auto done) { coordinator_->ConfirmDead({"n1", "", ""}, 7, true, done); });
  EXPECT_EQ(ErrorReason(wrong.status()), "NODE_NOT_FOUND");
  ASSERT_TRUE(
      Ask<v1::NodeInfo>([&](auto done) { coordinator_->Uncordon({"n1", "", ""}, done); }).ok());
  EXPECT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
}

}  // namespace
}  // namespace banyan::testing
