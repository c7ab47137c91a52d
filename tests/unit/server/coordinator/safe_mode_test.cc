#include <algorithm>

#include "gmock/gmock.h"

#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::UnorderedElementsAre;

using Decision = v1::EndSafeModeRequest;

class SafeModes : public ClusterTest {
 protected:
  void Backup() { backup_ = *disk_; }
  // The machine's disk is put back as it was: the store goes back in time under the same id.
  void RollBack() {
    time_.RunFor(absl::Seconds(2));  // acknowledgements tell of the revision
    CrashCoordinator();
    *disk_ = backup_;
    StartCoordinator();
    time_.RunFor(absl::Seconds(3));
  }
  absl::StatusOr<v1::EndSafeModeResponse> End(Decision::Decision decision, bool dry_run = false) {
    v1::EndSafeModeRequest request;
    request.set_decision(decision);
    request.set_validate_only(dry_run);
    return Ask<v1::EndSafeModeResponse>(
        [&](auto done) { coordinator_->EndSafeMode(request, done); });
  }
  std::string FenceOf(const std::string& supervisor, const std::string& child) {
    auto children = Children(supervisor);
    return children.contains(child) ? std::to_string(children[child].fence()) : "none";
  }

  MemoryDisk backup_;
};

TEST_F(SafeModes, INV025NothingIsStartedOrStoppedBelowARevisionThatANodeHasSeen) {
  AddNode("n1");
  AddNode("n2");
  ASSERT_TRUE(StartSupervisor("s", {WorkerOn("a", "n1")}).ok());
  Backup();
  ASSERT_TRUE(StartChild("s", WorkerOn("b", "n2")).ok());
  TakeTrace();
  RollBack();
  EXPECT_TRUE(Cluster().safe_mode());
  EXPECT_THAT(Alarms(), Contains(HasSubstr("SAFE mode: node \"n")));
  EXPECT_TRUE(node("n2").keep_all());
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("c")).status()), "SAFE_MODE");
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_ACTIVE) << "membership goes on";
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  time_.RunFor(absl::Minutes(3));
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 exit a"));
  EXPECT_TRUE(node("n2").Has("s/b"));
}

TEST_F(SafeModes, AdoptKeepsWhatRunsAndTheStoreIsRightAgain) {
  AddNode("n1");
  AddNode("n2");
  ASSERT_TRUE(StartSupervisor("s", {WorkerOn("a", "n1")}).ok());
  Backup();
  ChildSpec named = WorkerOn("b", "n2");
  named.start.name = "bee";
  ASSERT_TRUE(StartChild("s", named).ok());
  // Restarted since: the node has a later start of it.
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  Settle();
  const uint64_t fence_a = node("n1").At("s/a").fence, fence_b = node("n2").At("s/b").fence;
  TakeTrace();
  RollBack();
  auto plan = End(Decision::DECISION_ADOPT, /*dry_run=*/true);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->adopted(), ElementsAre("s/a", "s/b"));
  EXPECT_TRUE(Cluster().safe_mode()) << "only told";
  ASSERT_TRUE(End(Decision::DECISION_ADOPT).ok());
  time_.RunFor(absl::Minutes(2));
  EXPECT_FALSE(Cluster().safe_mode());
  EXPECT_THAT(TakeTrace(), IsEmpty()) << "no child was touched";
  auto children = Children("s");
  EXPECT_EQ(children["a"].fence(), fence_a);
  EXPECT_EQ(children["b"].fence(), fence_b);
  EXPECT_EQ(children["b"].state(), v1::CHILD_STATE_RUNNING);
  EXPECT_EQ(children["b"].node(), "n2");
  auto name = Ask<v1::LookupResponse>([&](auto done) { coordinator_->Lookup("bee", done); });
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(name->entry().pid().id(), children["b"].pid().id());
  // And it is as durable as any other.
  RestartCoordinator();
  time_.RunFor(absl::Seconds(5));
  EXPECT_THAT(TakeTrace(), IsEmpty());
  EXPECT_EQ(Children("s")["b"].fence(), fence_b);
  // An adopted child is supervised: it is restarted with a later fence.
  node("n2").Exit("s/b", ExitReason::Error("boom"));
  Settle();
  EXPECT_THAT(TakeTrace(), ElementsAre("n2 exit b", "n2 start b"));
  EXPECT_GT(node("n2").At("s/b").fence, fence_b);
}

TEST_F(SafeModes, DynamicChildrenAreAdoptedWithTheirArguments) {
  AddNode("n1");
  StartSupervisorArgs pool;
  pool.name = "s";
  pool.spec.flags = {.strategy = Strategy::kSimpleOneForOne, .intensity = 5};
  pool.spec.child_template = Worker("");
  ASSERT_TRUE(
      Ask<v1::SupervisorInfo>([&](auto done) { coordinator_->StartSupervisor(pool, done); }).ok());
  Backup();
  StartChildArgs args;
  args.supervisor = Target::Named("s");
  args.extra_args = {Payload::Any("type.googleapis.com/test.Text", "x")};
  auto started =
      Ask<v1::StartChildResponse>([&](auto done) { coordinator_->StartChild(args, done); });
  ASSERT_TRUE(started.ok()) << started.status();
  const std::string path = "s/" + started->child().id();
  TakeTrace();
  RollBack();
  ASSERT_TRUE(End(Decision::DECISION_ADOPT).ok());
  time_.RunFor(absl::Minutes(2));
  EXPECT_THAT(TakeTrace(), IsEmpty());
  node("n1").Exit(path, ExitReason::Error("boom"));
  Settle();
  ASSERT_TRUE(node("n1").Has(path));
  ASSERT_EQ(node("n1").last_start().start().extra_args_size(), 1);
  EXPECT_EQ(node("n1").last_start().start().extra_args(0).value().value(), "x");
}

// What is missing where the backup has it may be elsewhere, and is.
TEST_F(SafeModes, AChildThatHasMovedIsLeftWhereItIs) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  AddNode("n2");
  Backup();
  ASSERT_TRUE(
      Ask<v1::NodeInfo>([&](auto done) { coordinator_->Cordon({"n1", "", ""}, done); }).ok());
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  Settle();
  ASSERT_TRUE(node("n2").Has("s/a"));
  TakeTrace();
  RollBack();
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_RUNNING) << "undecided";
  EXPECT_EQ(Children("s")["a"].node(), "n1");
  ASSERT_TRUE(End(Decision::DECISION_ADOPT).ok());
  time_.RunFor(absl::Minutes(2));
  EXPECT_THAT(TakeTrace(), IsEmpty());
  EXPECT_EQ(Children("s")["a"].node(), "n2");
  EXPECT_EQ(Children("s")["a"].fence(), node("n2").At("s/a").fence);
}

TEST_F(SafeModes, KillStopsWhatTheStoreDoesNotKnow) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  Backup();
  ASSERT_TRUE(StartChild("s", Worker("b")).ok());
  TakeTrace();
  RollBack();
  auto done = End(Decision::DECISION_KILL);
  ASSERT_TRUE(done.ok());
  EXPECT_THAT(done->stopped(), ElementsAre("s/b"));
  time_.RunFor(absl::Seconds(3));
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 orphan b"));
  EXPECT_TRUE(node("n1").Has("s/a"));
}

TEST_F(SafeModes, AStopThatTheBackupHasUnderWayWaitsForTheDecision) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  node("n1").on_stop = [](const std::string&) { return false; };
  coordinator_->TerminateChild(Named("s", "a"), [](auto) {});
  Settle();
  Backup();
  ASSERT_TRUE(StartSupervisor("t", {}).ok());
  TakeTrace();
  RollBack();
  ASSERT_TRUE(Cluster().safe_mode());
  time_.RunFor(absl::Seconds(30));
  EXPECT_THAT(TakeTrace(), IsEmpty());
  ASSERT_TRUE(End(Decision::DECISION_ADOPT).ok());
  time_.RunFor(absl::Seconds(3));
  EXPECT_THAT(TakeTrace(), Contains("n1 stop a"));
}

TEST_F(SafeModes, ChildrenOfAnUnknownSupervisorAreToldApart) {
  AddNode("n1");
  Backup();
  ASSERT_TRUE(StartSupervisor("later", {Worker("a")}).ok());
  RollBack();
  auto plan = End(Decision::DECISION_ADOPT, /*dry_run=*/true);
  ASSERT_TRUE(plan.ok());
  EXPECT_THAT(plan->stopped(), ElementsAre("later/a"));
}

TEST_F(SafeModes, NodesThatJoinedOrCameBackSinceGoOn) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {}).ok());
  Backup();
  AddNode("n2");
  ASSERT_TRUE(StartChild("s", WorkerOn("b", "n2")).ok());
  // A later life of n1, with a child.
  KillNode("n1");
  auto& again = nodes_["n1"];
  again = std::make_unique<FakeNode>(
      &network_, &time_, "n1", trace_,
      FakeNode::Identity{.process_id = "p2", .machine_id = "machine-n1"});
  again->Connect();
  Settle();
  ASSERT_TRUE(StartChild("s", WorkerOn("a", "n1")).ok());
  ASSERT_EQ(again->incarnation(), 2u);
  const uint32_t number = node("n2").node_id();
  TakeTrace();
  RollBack();
  EXPECT_EQ(node("n2").node_id(), number);
  EXPECT_EQ(node("n2").incarnation(), 1u);
  EXPECT_EQ(again->incarnation(), 2u);
  EXPECT_EQ(NodeInfo("n1").incarnation(), 2u);
  ASSERT_TRUE(End(Decision::DECISION_ADOPT).ok());
  time_.RunFor(absl::Minutes(2));
  EXPECT_THAT(TakeTrace(), IsEmpty());
  EXPECT_EQ(Children("s").size(), 2u);
  // A number or an incarnation of the time that was lost is not given out again.
  AddNode("n3");
  EXPECT_GT(node("n3").node_id(), 100u);
  EXPECT_GT(node("n3").incarnation(), 100u);
}

// Who has not come back yet may run anything for as long as its last lease allows.
TEST_F(SafeModes, NothingIsStartedForALeaseAfterTheDecision) {
  AddNode("n1");
  AddNode("n2");
  ASSERT_TRUE(StartSupervisor("s", {WorkerOn("a", "n1")}).ok());
  Backup();
  ASSERT_TRUE(StartChild("s", Worker("b")).ok());
  RollBack();
  ASSERT_TRUE(End(Decision::DECISION_KILL).ok());
  Settle();
  TakeTrace();
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  time_.RunFor(absl::Seconds(50));
  EXPECT_FALSE(node("n1").Has("s/a"));
  time_.RunFor(absl::Seconds(20));
  EXPECT_TRUE(node("n1").Has("s/a"));
}

TEST_F(SafeModes, AnEpochThatNodesHaveLeftIsRefusedAndSaysWhatToDo) {
  AddNode("n1");
  Backup();
  for (int i = 0; i < 3; ++i) RestartCoordinator();
  time_.RunFor(absl::Seconds(3));
  const uint32_t obeyed = node("n1").epoch();
  RollBack();
  EXPECT_EQ(ErrorReason(node("n1").last_close()), "NOT_LEADER");
  EXPECT_THAT(Alarms(), Contains(HasSubstr("--min-epoch " + std::to_string(obeyed))));
  EXPECT_TRUE(Cluster().safe_mode());
}

TEST_F(SafeModes, NodesOfALostStoreKeepAllUntilTheyAreGivenUp) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  TakeTrace();
  CrashCoordinator();
  disk_ = MemoryStore::NewDisk(&random_);
  StartCoordinator();
  time_.RunFor(absl::Seconds(30));
  EXPECT_EQ(ErrorReason(node("n1").last_close()), "WRONG_CLUSTER");
  EXPECT_TRUE(node("n1").Has("s/a"));
  EXPECT_THAT(Alarms(), Contains(HasSubstr("the store is empty, but node \"n1\" runs 1 children")));
  ASSERT_TRUE(End(Decision::DECISION_KILL).ok());
  time_.RunFor(absl::Seconds(5));
  EXPECT_TRUE(node("n1").joined());
  EXPECT_FALSE(node("n1").Has("s/a"));
}

TEST_F(SafeModes, ItOutlivesTheCoordinator) {
  AddNode("n1");
  Backup();
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  RollBack();
  ASSERT_TRUE(Cluster().safe_mode());
  RestartCoordinator();
  time_.RunFor(absl::Seconds(3));
  EXPECT_TRUE(Cluster().safe_mode());
  EXPECT_TRUE(node("n1").Has("s/a"));
}

TEST_F(SafeModes, AnOrdinaryRestartIsNone) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  for (int i = 0; i < 3; ++i) {
    time_.RunFor(absl::Seconds(3));
    RestartCoordinator();
    time_.RunFor(absl::Seconds(3));
    EXPECT_FALSE(Cluster().safe_mode());
  }
  EXPECT_EQ(ErrorReason(End(Decision::DECISION_ADOPT).status()), "NOT_IN_SAFE_MODE");
}

}  // namespace
}  // namespace banyan::testing
