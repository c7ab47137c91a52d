// Children of a start-up are assigned before their turn; what is sent keeps their order.
#include "banyan/internal/v1/store.pb.h"
#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AssignedAhead : public ClusterTest {
 protected:
  // All of "s" wait in their init until they are told to be up.
  FakeNode& AddSlowNode(const std::string& name) {
    FakeNode& node = AddNode(name);
    node.on_start = [](auto&, auto*) { return false; };
    return node;
  }
  void Begin(std::vector<ChildSpec> children) {
    StartSupervisorArgs args;
    args.name = "s";
    args.spec.children = std::move(children);
    TakeTrace();
    coordinator_->StartSupervisor(
        args, [this](absl::StatusOr<v1::SupervisorInfo> r) { answer_ = std::move(r); });
    Settle();
  }
  void Up(const std::string& on, const std::string& child) {
    node(on).Up("s/" + child);
    Settle();
  }
  internal::v1::AssignmentRecord Stored(const std::string& child) {
    internal::v1::AssignmentRecord record;
    EXPECT_TRUE(record.ParseFromString(disk_->data["child/s/" + child + "/asg"]));
    return record;
  }
  void Kill(const std::string& name) {
    node(name).OpenWatcher();
    Settle();
    node(name).Mute();
    node(name).WatcherReportsExit();
    Settle();
    ASSERT_EQ(NodeInfo(name).state(), v1::NODE_STATE_DEAD);
  }

  std::optional<absl::StatusOr<v1::SupervisorInfo>> answer_;
};

TEST_F(AssignedAhead, OneIsSentWhenTheOneBeforeItIsUp) {
  AddSlowNode("n1");
  Begin({Worker("a"), Worker("b"), Worker("c")});
  EXPECT_NE(Stored("c").fence(), 0u) << "it is on record before its turn";
  EXPECT_EQ(Children("s")["c"].state(), v1::CHILD_STATE_STOPPED);
  EXPECT_EQ(Children("s")["c"].node(), "");
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start a"));
  Up("n1", "a");
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start b"));
  Up("n1", "b");
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start c"));
  EXPECT_FALSE(answer_.has_value());
  Up("n1", "c");
  ASSERT_TRUE(answer_.has_value());
  EXPECT_EQ((*answer_)->counts().active(), 3u);
}

TEST_F(AssignedAhead, TheStoreIsWaitedForOnceForMany) {
  AddNode("n1");
  size_t commits = 0;
  after_commit = [&](const Txn&) { ++commits; };
  std::vector<ChildSpec> many;
  for (int i = 0; i < 300; ++i) many.push_back(Worker("c" + std::to_string(i)));
  ASSERT_TRUE(StartSupervisor("s", many).ok());
  EXPECT_LT(commits, 30u);
}

TEST_F(AssignedAhead, NothingIsLeftOfThemWhenOneFails) {
  AddSlowNode("n1");
  AddNode("n2");
  Begin({WorkerOn("a", "n1"), WorkerOn("b", "n2"), WorkerOn("c", "n2")});
  node("n1").FailStart("s/a", ExitReason::Error("boom"));
  Settle();
  ASSERT_TRUE(answer_.has_value());
  EXPECT_EQ(ErrorReason(answer_->status()), "CHILD_START_FAILED");
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start a"));
  for (const auto& [key, value] : disk_->data) EXPECT_FALSE(key.starts_with("child/")) << key;
  EXPECT_EQ(NodeInfo("n2").assigned().at("weight"), 0);
  node("n1").on_start = nullptr;
  EXPECT_TRUE(StartSupervisor("s", {Worker("b"), Worker("c")}).ok());
}

TEST_F(AssignedAhead, TheNextCoordinatorKeepsTheirOrder) {
  AddSlowNode("n1");
  Begin({Worker("a"), Worker("b"), Worker("c"), Worker("d")});
  Up("n1", "a");
  // That they are up is not in the store yet.
  node("n1").Up("s/b");
  time_.RunFor(absl::Milliseconds(20));
  RestartCoordinator();
  Settle();
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start a", "n1 start b", "n1 start c"));
  time_.RunFor(absl::Seconds(5));
  EXPECT_THAT(TakeTrace(), IsEmpty());
  Up("n1", "c");
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start d"));
  Up("n1", "d");
  for (const auto& [id, child] : Children("s"))
    EXPECT_EQ(child.state(), v1::CHILD_STATE_RUNNING) << id;
}

TEST_F(AssignedAhead, TheNextCoordinatorStopsWhatIsUpWhenOneFails) {
  AddSlowNode("n1");
  Begin({Worker("a"), Worker("b"), Worker("c")});
  Up("n1", "a");
  RestartCoordinator();
  Settle();
  node("n1").FailStart("s/b", ExitReason::Error("boom"));
  time_.RunFor(absl::Seconds(2));
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start a", "n1 start b", "n1 stop a"));
  for (const auto& [key, value] : disk_->data) EXPECT_FALSE(key.starts_with("child/")) << key;
}

// The next coordinator hears of the failure before it hears that those before it are up.
TEST_F(AssignedAhead, AFailureThatIsKnownFirstEndsTheStartUp) {
  AddSlowNode("n1");
  AddSlowNode("n2");
  Begin({WorkerOn("a", "n1"), WorkerOn("b", "n2"), WorkerOn("c", "n2")});
  node("n1").Up("s/a");
  time_.RunFor(absl::Milliseconds(20));
  ASSERT_TRUE(node("n2").Has("s/b"));
  node("n1").no_control = true;
  RestartCoordinator();
  Settle();
  node("n2").FailStart("s/b", ExitReason::Error("boom"));
  time_.RunFor(absl::Seconds(2));
  node("n1").no_control = false;
  node("n1").Connect();
  time_.RunFor(absl::Seconds(2));
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start a", "n2 start b", "n1 stop a"));
  for (const auto& [key, value] : disk_->data) EXPECT_FALSE(key.starts_with("child/")) << key;
}

TEST_F(AssignedAhead, TheyGoElsewhereWhenTheirNodeDies) {
  AddSlowNode("n1");
  AddSlowNode("n2");
  Begin({WorkerOn("a", "n1"), Worker("b"), Worker("c"), Worker("d")});
  Kill("n2");
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start a"));
  for (const char* child : {"a", "b", "c", "d"}) Up("n1", child);
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start b", "n1 start c", "n1 start d"));
  ASSERT_TRUE(answer_.has_value());
  EXPECT_TRUE(answer_->ok()) << answer_->status();
}

TEST_F(AssignedAhead, TheyGoElsewhereInOrderWhenTheirNodeDiesWithoutACoordinator) {
  AddSlowNode("n1");
  AddSlowNode("n2");
  Begin({WorkerOn("a", "n1"), Worker("b"), Worker("c"), Worker("d")});
  CrashCoordinator();
  KillNode("n2");
  StartCoordinator();
  time_.RunFor(absl::Seconds(80));
  ASSERT_EQ(NodeInfo("n2").state(), v1::NODE_STATE_DEAD);
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start a"));
  for (const char* child : {"a", "b", "c", "d"}) Up("n1", child);
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start b", "n1 start c", "n1 start d"));
  for (const auto& [id, child] : Children("s"))
    EXPECT_EQ(child.state(), v1::CHILD_STATE_RUNNING) << id;
}

// What keeps a drain open is what runs on the node.
TEST_F(AssignedAhead, ADrainDoesNotWaitForTheirTurn) {
  AddSlowNode("n1");
  AddSlowNode("n2");
  Begin({WorkerOn("a", "n1"), Worker("b"), Worker("c"), Worker("d")});
  ASSERT_TRUE(Ask<v1::NodeInfo>([&](auto done) {
                coordinator_->Drain({"n2", "", ""}, absl::InfiniteDuration(), 0, false, done);
              }).ok());
  time_.RunFor(absl::Seconds(3));
  EXPECT_TRUE(NodeInfo("n2").drain().has_end_time());
  for (const char* child : {"a", "b", "c", "d"}) Up("n1", child);
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start a", "n1 start b", "n1 start c", "n1 start d"));
}

TEST_F(AssignedAhead, AStopOfTheirSupervisorLeavesNothingOfThem) {
  AddSlowNode("n1");
  Begin({Worker("a"), Worker("b"), Worker("c")});
  Up("n1", "a");
  auto stopped = Ask<ExitReason>([&](auto done) {
    coordinator_->StopSupervisor(Target::Named("s"), ExitReason::Shutdown(), "", done);
  });
  EXPECT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start a", "n1 start b", "n1 stop b", "n1 stop a"));
  for (const auto& [key, value] : disk_->data) EXPECT_FALSE(key.starts_with("child/")) << key;
}

using StartedChildren = ClusterTest;

TEST_F(StartedChildren, WhatWasAnsweredIsNotForgottenWhenItDoesNotStartAgain) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {}).ok());
  ASSERT_TRUE(StartChild("s", Worker("a")).ok());
  CrashCoordinator();
  KillNode("n1");
  StartCoordinator();
  AddNode("n2").on_start = [](auto&, internal::v1::Report* report) {
    report->mutable_start_failed()->mutable_reason()->set_kind(v1::ExitReason::KIND_ERROR);
    return true;
  };
  TakeTrace();
  time_.RunFor(absl::Seconds(80));
  EXPECT_THAT(TakeTrace(), ::testing::Contains("n2 start a"));
  EXPECT_EQ(Children("s").count("a"), 1u);
}

}  // namespace
}  // namespace banyan::testing
