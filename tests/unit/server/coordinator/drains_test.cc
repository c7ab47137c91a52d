#include "common/wire/exit_reason.h"
#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class Drains : public ClusterTest {
 protected:
  static ChildSpec Available(const std::string& id) {
    ChildSpec spec = Worker(id);
    spec.exclusivity = Exclusivity::kAvailable;
    return spec;
  }
  void Drain(const std::string& node, absl::Duration deadline = absl::InfiniteDuration(),
             uint32_t max_parallel = 0) {
    ASSERT_TRUE(Ask<v1::NodeInfo>([&](auto done) {
                  coordinator_->Drain({node, "", ""}, deadline, max_parallel, false, done);
                }).ok());
  }
  // s/a runs on n1 and is being started on n2, which does not answer yet.
  void BeginSecondLife() {
    AddNode("n1");
    ASSERT_TRUE(StartSupervisor("s", {Available("a")}).ok());
    AddNode("n2").on_start = [](auto&, auto*) { return false; };
    Drain("n1");
    Settle();
    ASSERT_TRUE(node("n2").Has("s/a"));
  }
  std::string NodeOf(const std::string& child) { return Children("s")[child].node(); }
};

TEST_F(Drains, AnExclusiveChildIsStoppedBeforeItIsStartedElsewhere) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  AddNode("n2");
  TakeTrace();
  Drain("n1");
  time_.RunFor(absl::Seconds(2));
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 stop a", "n2 start a"));
}

TEST_F(Drains, AnAvailableChildRunsElsewhereBeforeItIsStopped) {
  AddNode("n1");
  ChildSpec spec = Available("a");
  spec.start.name = "store";
  ASSERT_TRUE(StartSupervisor("s", {spec}).ok());
  AddNode("n2").on_start = [](auto&, auto*) { return false; };
  const v1::ChildInfo before = Children("s")["a"];
  const auto holder = [&] {
    auto found = Ask<v1::LookupResponse>([&](auto done) { coordinator_->Lookup("store", done); });
    return found.ok() ? found->entry().pid().node_id() : 0;
  };
  TakeTrace();
  Drain("n1");
  time_.RunFor(absl::Seconds(3));
  // The next one is being started; nobody misses the present one.
  EXPECT_THAT(TakeTrace(), ElementsAre("n2 start a"));
  EXPECT_EQ(Children("s")["a"].pid().SerializeAsString(), before.pid().SerializeAsString());
  EXPECT_EQ(holder(), node("n1").node_id());
  node("n2").Up("s/a");
  Settle();
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 orphan a"));
  const v1::ChildInfo after = Children("s")["a"];
  EXPECT_EQ(after.node(), "n2");
  EXPECT_GT(after.fence(), before.fence());
  EXPECT_EQ(after.restarts(), 0u);
  EXPECT_EQ(holder(), node("n2").node_id());
  time_.RunFor(absl::Seconds(2));
  EXPECT_TRUE(NodeInfo("n1").drain().has_end_time());
}

TEST_F(Drains, AnAvailableChildStaysWhenTheNextOneDoesNotStart) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Available("a")}).ok());
  AddNode("n2").on_start = [](auto&, auto* report) {
    *report->mutable_start_failed()->mutable_reason() = wire::ToProto(ExitReason::Error("no"), {});
    return true;
  };
  const uint64_t fence = node("n1").At("s/a").fence;
  TakeTrace();
  Drain("n1");
  time_.RunFor(absl::Milliseconds(500));
  EXPECT_THAT(TakeTrace(), ElementsAre("n2 start a"));
  EXPECT_EQ(node("n1").At("s/a").fence, fence);
  EXPECT_EQ(NodeOf("a"), "n1");
  node("n2").on_start = nullptr;
  time_.RunFor(absl::Seconds(3));
  EXPECT_EQ(NodeOf("a"), "n2");
  EXPECT_FALSE(node("n1").Has("s/a"));
}

// A node that ends stops its children itself when their time to move is over.
TEST_F(Drains, ANextLifeIsGivenUpWhenTheNodeStopsThePresentOne) {
  ASSERT_NO_FATAL_FAILURE(BeginSecondLife());
  AddNode("n3");
  node("n2").on_start = nullptr;
  node("n1").Stopped("s/a");
  node("n2").Up("s/a");
  time_.RunFor(absl::Seconds(3));
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_RUNNING);
  EXPECT_EQ(node("n2").Has("s/a") + node("n3").Has("s/a"), 1);
}

TEST_F(Drains, BothLivesOutliveTheCoordinator) {
  ASSERT_NO_FATAL_FAILURE(BeginSecondLife());
  RestartCoordinator();
  time_.RunFor(absl::Seconds(3));
  EXPECT_TRUE(node("n1").Has("s/a"));
  EXPECT_TRUE(node("n2").Has("s/a"));
  EXPECT_EQ(NodeOf("a"), "n1");
  node("n2").Up("s/a");
  time_.RunFor(absl::Seconds(3));
  EXPECT_EQ(NodeOf("a"), "n2");
  EXPECT_FALSE(node("n1").Has("s/a"));
  EXPECT_TRUE(NodeInfo("n1").drain().has_end_time());
}

TEST_F(Drains, ATerminatedChildIsStoppedWhenBothItsLivesAreOver) {
  AddNode("n1").on_stop = [](auto&) { return false; };
  ASSERT_TRUE(StartSupervisor("s", {Available("a")}).ok());
  AddNode("n2").on_stop = [](auto&) { return false; };
  node("n2").on_start = [](auto&, auto*) { return false; };
  Drain("n1");
  Settle();
  bool answered = false;
  coordinator_->TerminateChild(Named("s", "a"), [&](auto) { answered = true; });
  Settle();
  node("n1").Stopped("s/a");
  Settle();
  EXPECT_FALSE(answered) << "its next life still runs";
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_STOPPING);
  node("n2").Stopped("s/a");
  Settle();
  EXPECT_TRUE(answered);
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_STOPPED);
}

TEST_F(Drains, WhatAChildLeavesGoesToItsNextLifeAndOutlivesTheCoordinator) {
  AddNode("n1").leaves["s/a"] = "forty-seven";
  ChildSpec spec = Worker("a");
  spec.hand_off = true;
  ASSERT_TRUE(StartSupervisor("s", {spec}).ok());
  AddNode("n2").on_start = [](auto&, auto*) { return false; };
  Drain("n1");
  Settle();
  EXPECT_EQ(node("n2").last_start().start().hand_off().value().value(), "forty-seven");
  // Until the next life has said that it is up, it is kept.
  RestartCoordinator();
  time_.RunFor(absl::Seconds(2));
  KillNode("n2");
  AddNode("n3");
  ASSERT_TRUE(Ask<v1::NodeInfo>([&](auto done) {
                coordinator_->ConfirmDead({"n2", "", ""}, 1, true, done);
              }).ok());
  Settle();
  EXPECT_EQ(node("n3").last_start().start().hand_off().value().value(), "forty-seven");
  node("n3").Exit("s/a", ExitReason::Error("boom"));
  Settle();
  EXPECT_FALSE(node("n3").last_start().start().has_hand_off()) << "it was taken";
}

// A tenth of the supervisor's children, or what its specification says.
TEST_F(Drains, AsManyAreAwayAsTheSupervisorAllows) {
  AddNode("n1");
  std::vector<ChildSpec> children;
  for (int i = 0; i < 20; ++i) children.push_back(Worker("w" + std::to_string(i)));
  StartSupervisorArgs args;
  args.name = "s";
  args.spec.children = children;
  ASSERT_TRUE(
      Ask<v1::SupervisorInfo>([&](auto done) { coordinator_->StartSupervisor(args, done); }).ok());
  args.name = "t";
  args.spec.max_unavailable = 5;
  ASSERT_TRUE(
      Ask<v1::SupervisorInfo>([&](auto done) { coordinator_->StartSupervisor(args, done); }).ok());
  AddNode("n2").on_start = [](auto&, auto*) { return false; };
  Drain("n1");
  time_.RunFor(absl::Seconds(5));
  size_t s = 0, t = 0;
  for (int i = 0; i < 20; ++i) {
    s += node("n2").Has("s/w" + std::to_string(i));
    t += node("n2").Has("t/w" + std::to_string(i));
  }
  EXPECT_EQ(s, 2u);
  EXPECT_EQ(t, 5u);
}

TEST_F(Drains, AChildThatWaitsForRoomAnywayHoldsUpNobody) {
  AddNode("n1");
  AddNode("n3");
  ASSERT_TRUE(StartSupervisor("s", {WorkerOn("a", "n1"), WorkerOn("lost", "n3")}).ok());
  ASSERT_TRUE(StartChild("s", Worker("b")).ok());
  node("n3").Leave();
  KillNode("n3");
  Settle();
  ASSERT_EQ(Children("s")["lost"].state(), v1::CHILD_STATE_PENDING);
  AddNode("n2");
  const std::string home = NodeOf("b");
  Drain(home);
  time_.RunFor(absl::Seconds(3));
  EXPECT_NE(NodeOf("b"), home);
  EXPECT_EQ(Children("s")["b"].state(), v1::CHILD_STATE_RUNNING);
}

TEST_F(Drains, WhatFitsNowhereStaysUntilTheDeadline) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {WorkerOn("a", "n1")}).ok());
  AddNode("n2");
  TakeTrace();
  Drain("n1", absl::Seconds(30));
  time_.RunFor(absl::Seconds(28));
  EXPECT_THAT(TakeTrace(), IsEmpty());
  ASSERT_EQ(NodeInfo("n1").drain().stuck_size(), 1);
  EXPECT_EQ(NodeInfo("n1").drain().stuck(0).id(), node("n1").At("s/a").pid.id);
  time_.RunFor(absl::Seconds(4));
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 stop a"));
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_PENDING);
  EXPECT_TRUE(NodeInfo("n1").drain().has_end_time());
}

TEST_F(Drains, ATemporaryChildIsLeftAloneUntilTheDeadlineAndThenGone) {
  AddNode("n1");
  ChildSpec spec = Worker("a");
  spec.restart = RestartType::kTemporary;
  ASSERT_TRUE(StartSupervisor("s", {spec}).ok());
  AddNode("n2");
  TakeTrace();
  Drain("n1", absl::Seconds(30));
  time_.RunFor(absl::Seconds(28));
  EXPECT_THAT(TakeTrace(), IsEmpty());
  time_.RunFor(absl::Seconds(4));
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 stop a"));
  EXPECT_THAT(Children("s"), IsEmpty());
}

TEST_F(Drains, AChildThatTakesForEverIsKilledAfterTheDeadline) {
  AddNode("n1").on_stop = [](auto&) { return false; };
  ChildSpec spec = Worker("a");
  spec.shutdown = ShutdownPolicy::Infinity();
  ASSERT_TRUE(StartSupervisor("s", {spec}).ok());
  AddNode("n2");
  TakeTrace();
  Drain("n1", absl::Seconds(30));
  time_.RunFor(absl::Seconds(33));
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 stop a"));
  EXPECT_FALSE(NodeInfo("n1").drain().has_end_time()) << "it still runs";
  time_.RunFor(absl::Seconds(4));
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 kill a"));
  node("n1").Stopped("s/a");
  time_.RunFor(absl::Seconds(2));
  EXPECT_TRUE(node("n2").Has("s/a"));
  EXPECT_TRUE(NodeInfo("n1").drain().has_end_time());
}

TEST_F(Drains, ItGoesOnAfterARestartOfTheCoordinator) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b"), Worker("c")}).ok());
  AddNode("n2").on_start = [](auto&, auto*) { return false; };
  Drain("n1");
  Settle();
  ASSERT_EQ(node("n2").size(), 1u);
  RestartCoordinator();
  time_.RunFor(absl::Seconds(2));
  for (const char* child : {"s/a", "s/b", "s/c"}) {
    if (node("n2").Has(child)) node("n2").Up(child);
  }
  node("n2").on_start = nullptr;
  time_.RunFor(absl::Seconds(6));
  EXPECT_EQ(node("n1").size(), 0u);
  EXPECT_EQ(node("n2").size(), 3u);
}

// SIGTERM.
TEST_F(Drains, ANodeThatEndsHasItsChildrenMovedAndIsToldToLeave) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Available("b")}).ok());
  AddNode("n2");
  TakeTrace();
  node("n1").Retire(absl::Seconds(20));
  Settle();
  EXPECT_THAT(TakeTrace(),
              UnorderedElementsAre("n1 stop a", "n2 start a", "n2 start b", "n1 orphan b"));
  time_.RunFor(absl::Seconds(2));
  ASSERT_EQ(node("n1").drains().size(), 1u);
  EXPECT_TRUE(node("n1").drains()[0].set_drain().then_leave());
  EXPECT_FALSE(node("n1").drains()[0].set_drain().has_deadline());
}

TEST_F(Drains, ANodeThatEndsNeedNotWaitForWhatFitsNowhere) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  node("n1").Retire(absl::Seconds(20));
  Settle();
  ASSERT_EQ(node("n1").drains().size(), 1u);
  EXPECT_TRUE(node("n1").drains()[0].set_drain().then_leave());
  EXPECT_TRUE(node("n1").drains()[0].set_drain().has_deadline());
  EXPECT_TRUE(node("n1").Has("s/a")) << "the node stops it itself";
}

TEST_F(Drains, ANodeThatEndsCannotBeTalkedOutOfIt) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {WorkerOn("a", "n1")}).ok());
  node("n1").Retire(absl::Seconds(20));
  Settle();
  ASSERT_TRUE(
      Ask<v1::NodeInfo>([&](auto done) { coordinator_->Uncordon({"n1", "", ""}, done); }).ok());
  TakeTrace();
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  time_.RunFor(absl::Seconds(2));
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 exit a")) << "INV-22: nothing is started there";
  // Its next life takes children again.
  node("n1").Leave();
  time_.RunFor(absl::Seconds(3));
  EXPECT_TRUE(node("n1").Has("s/a"));
}

class Rebalances : public Drains {
 protected:
  // Two of the four children that may be moved should go from x to y.
  void SetUp() override {
    AddWithCapacity("x");
    std::vector<ChildSpec> children;
    for (int i = 0; i < 4; ++i) children.push_back(Available("m" + std::to_string(i)));
    children.push_back(Worker("stays"));
    ASSERT_TRUE(StartSupervisor("s", children).ok());
    AddWithCapacity("y");
    TakeTrace();
  }
  // Capacities are told with the hello.
  void AddWithCapacity(const std::string& name) {
    nodes_[name] = std::make_unique<FakeNode>(&network_, &time_, name, trace_);
    node(name).capacity = {{"weight", 10}};
    node(name).Connect();
    Settle();
  }
  absl::StatusOr<v1::RebalanceResponse> ask(bool validate_only, const std::string& id) {
    return Ask<v1::RebalanceResponse>(
        [&](auto done) { coordinator_->Rebalance(validate_only, 0, id, done); });
  }
  // "under way", or how it ended.
  std::string Outcome(const std::string& operation) {
    auto end = Ask<v1::WaitOperationResponse>(
        [&](auto done) { coordinator_->WaitOperation(operation, time_.Now(), done); });
    if (!end.ok()) return ErrorReason(end.status());
    return end->done() ? end->result() : "under way";
  }
};

TEST_F(Rebalances, ItIsGoneOnWithByTheNextLeader) {
  auto answer = ask(false, "r1");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->operation_id(), "r1");
  Settle();
  EXPECT_EQ(node("y").size(), 1u) << "one a minute";
  EXPECT_EQ(Outcome("r1"), "under way");
  RestartCoordinator();
  time_.RunFor(absl::Seconds(5));
  EXPECT_EQ(Outcome("r1"), "under way");
  EXPECT_EQ(ask(false, "r1")->SerializeAsString(), answer->SerializeAsString());
  EXPECT_EQ(node("y").size(), 1u) << "one a minute still";
  time_.RunFor(absl::Seconds(62));
  EXPECT_EQ(node("y").size(), 2u);
  EXPECT_EQ(Outcome("r1"), "done");
  EXPECT_EQ(ask(false, "r1")->SerializeAsString(), answer->SerializeAsString());
  time_.RunFor(absl::Minutes(5));
  EXPECT_EQ(node("y").size(), 2u);
  EXPECT_THAT(*store_->Load("rebalance/"), IsEmpty());
}

TEST_F(Rebalances, ALaterOneTakesItsPlace) {
  ASSERT_TRUE(ask(false, "r1").ok());
  Settle();
  auto second = ask(false, "");
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(Outcome("r1"), "superseded");
  ASSERT_NE(second->operation_id(), "");
  RestartCoordinator();
  EXPECT_EQ(Outcome(second->operation_id()), "under way");
  time_.RunFor(absl::Minutes(3));
  EXPECT_EQ(Outcome(second->operation_id()), "done");
  EXPECT_EQ(node("y").size(), 2u);
  auto none = ask(false, "r3");
  EXPECT_EQ(none->operation_id(), "") << "even by now";
  EXPECT_EQ(Outcome("r3"), "done");
}

TEST_F(Rebalances, WhatWasPlacedAnewMeanwhileStays) {
  ASSERT_EQ(ask(false, "r1")->moves_size(), 2);
  Settle();
  RestartCoordinator();
  time_.RunFor(absl::Seconds(5));
  for (int i = 0; i < 4; ++i) {
    const std::string path = "s/m" + std::to_string(i);
    if (node("x").Has(path)) node("x").Exit(path, ExitReason::Error("boom"));
    time_.RunFor(absl::Seconds(1));
  }
  const size_t there = node("y").size();
  time_.RunFor(absl::Minutes(5));
  EXPECT_EQ(node("y").size(), there);
  EXPECT_EQ(Outcome("r1"), "done");
}

TEST_F(Rebalances, ItTellsThenMovesWhatMayBeMovedSlowly) {
  auto told = ask(true, "");
  ASSERT_TRUE(told.ok()) << told.status();
  ASSERT_EQ(told->moves_size(), 2);
  time_.RunFor(absl::Minutes(3));
  EXPECT_THAT(TakeTrace(), IsEmpty()) << "only told";
  auto done = ask(false, "r1");
  ASSERT_TRUE(done.ok()) << done.status();
  told->set_operation_id("r1");
  EXPECT_EQ(done->SerializeAsString(), told->SerializeAsString());
  EXPECT_EQ(ask(false, "r1")->SerializeAsString(), done->SerializeAsString());
  Settle();
  EXPECT_EQ(node("y").size(), 1u) << "one a minute";
  time_.RunFor(absl::Seconds(62));
  EXPECT_EQ(node("y").size(), 2u);
  EXPECT_FALSE(node("y").Has("s/stays"));
  time_.RunFor(absl::Minutes(5));
  EXPECT_EQ(node("y").size(), 2u);
  EXPECT_EQ(ask(true, "")->moves_size(), 0) << "even by now";
}

}  // namespace
}  // namespace banyan::testing
