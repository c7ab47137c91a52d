#include "banyan/internal/v1/store.pb.h"
#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using Supervisors = ClusterTest;

TEST_F(Supervisors, StartsChildrenInOrderAcrossNodes) {
  AddNode("n1");
  AddNode("n2");
  TakeTrace();
  auto sup =
      StartSupervisor("shop", {WorkerOn("a", "n1"), WorkerOn("b", "n2"), WorkerOn("c", "n1")});
  ASSERT_TRUE(sup.ok()) << sup.status();
  EXPECT_EQ(sup->counts().active(), 3u);
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 start a", "n2 start b", "n1 start c"));
  auto children = Children("shop");
  EXPECT_EQ(children["a"].state(), v1::CHILD_STATE_RUNNING);
  EXPECT_EQ(children["b"].node(), "n2");
  EXPECT_GT(children["b"].fence(), children["a"].fence());
}

TEST_F(Supervisors, FailedStartStopsThoseBeforeAndKeepsNothing) {
  AddNode("n1").on_start = [](const std::string& path, internal::v1::Report* report) {
    if (path == "shop/c") {
      report->mutable_start_failed()->mutable_reason()->set_kind(v1::ExitReason::KIND_ERROR);
      report->mutable_start_failed()->mutable_reason()->set_type("boom");
    }
    return true;
  };
  TakeTrace();
  auto sup = StartSupervisor("shop", {Worker("a"), Worker("b"), Worker("c")});
  EXPECT_EQ(ErrorReason(sup.status()), "CHILD_START_FAILED") << sup.status();
  EXPECT_THAT(TakeTrace(),
              ElementsAre("n1 start a", "n1 start b", "n1 start c", "n1 stop b", "n1 stop a"));
  Settle();
  EXPECT_EQ(disk_->data.count("sup/shop"), 0u);
  for (const auto& [key, value] : disk_->data) EXPECT_FALSE(key.starts_with("child/")) << key;
}

class StartUps : public Supervisors {
 protected:
  // The second of three children of "s" has not answered when the coordinator ends.
  void EndInTheMiddle() {
    AddNode("n1").on_start = [](const std::string& path, auto*) { return path != "s/b"; };
    ChildSpec last = Worker("c");
    last.start.name = "last";
    StartSupervisorArgs args;
    args.name = "s";
    args.spec.children = {Worker("a"), Worker("b"), last};
    TakeTrace();
    coordinator_->StartSupervisor(args, [](auto) {});
    Settle();
    CrashCoordinator();
  }
  void GoesOn() {
    node("n1").Up("s/b");
    time_.RunFor(absl::Seconds(3));
    EXPECT_THAT(TakeTrace(), ::testing::ElementsAre("n1 start a", "n1 start b", "n1 start c"));
    for (const auto& [id, child] : Children("s"))
      EXPECT_EQ(child.state(), v1::CHILD_STATE_RUNNING) << id;
  }
};

TEST_F(StartUps, GoOnUnderTheNextCoordinator) {
  EndInTheMiddle();
  StartCoordinator();
  Settle();
  EXPECT_FALSE(Ask<v1::NameEntry>([&](auto done) {
                 coordinator_->Register({.name = "last", .pid = node("n1").At("s/a").pid}, done);
               }).ok());
  GoesOn();
}

TEST_F(StartUps, GoOnFromTheRecordOfAnOlderRelease) {
  EndInTheMiddle();
  internal::v1::SupervisorRecord record;
  ASSERT_TRUE(record.ParseFromString(disk_->data.at("sup/s")));
  internal::v1::SupervisorRecord::Script members;
  ASSERT_TRUE(members.ParseFromString(disk_->data.at("script/s")));
  record.mutable_script()->MergeFrom(members);
  disk_->data["sup/s"] = record.SerializeAsString();
  disk_->data.erase("script/s");
  StartCoordinator();
  Settle();
  GoesOn();
}

TEST_F(Supervisors, AStepOfALargeStartUpWritesNothingOfTheOthers) {
  AddNode("n1");
  size_t scripts = 0, header = 0, children = 0;
  after_commit = [&](const Txn& txn) {
    for (const KeyValue& put : txn.puts) {
      if (put.key.starts_with("script/")) ++scripts;
      if (put.key.starts_with("sup/")) header = std::max(header, put.value.size());
      if (put.key.starts_with("child/")) ++children;
    }
  };
  std::vector<ChildSpec> many;
  for (int i = 0; i < 300; ++i) many.push_back(Worker("c" + std::to_string(i)));
  ASSERT_TRUE(StartSupervisor("s", many).ok());
  EXPECT_EQ(scripts, 1u);
  EXPECT_LT(header, 300u);
  EXPECT_LE(children, 5 * many.size());
}

TEST_F(Supervisors, INV007AssignmentIsCommittedBeforeItsStart) {
  AddNode("n1");
  after_commit = [this](const Txn& txn) {
    for (const KeyValue& kv : txn.puts) {
      if (kv.key.ends_with("/asg")) trace_->push_back("commit " + kv.key);
    }
  };
  TakeTrace();
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  ASSERT_TRUE(StartChild("s", Worker("b")).ok());
  auto trace = TakeTrace();
  ASSERT_GE(trace.size(), 4u);
  const auto at = [&](const std::string& what) {
    return std::find(trace.begin(), trace.end(), what) - trace.begin();
  };
  EXPECT_LT(at("commit child/s/a/asg"), at("n1 start a"));
  EXPECT_LT(at("commit child/s/b/asg"), at("n1 start b"));
}

TEST_F(Supervisors, NothingIsStartedWhileTheStoreFails) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {}).ok());
  bool full = true;
  before_commit = [&](const Txn&) {
    return full ? absl::ResourceExhaustedError("disk full") : absl::OkStatus();
  };
  auto late = std::make_shared<bool>(false);
  coordinator_->StartChild({Target::Named("s"), Worker("a"), {}, ""},
                           [late](absl::StatusOr<v1::StartChildResponse> r) { *late = r.ok(); });
  time_.RunFor(absl::Seconds(3));
  EXPECT_EQ(node("n1").size(), 0u);
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("b")).status()), "STORE_FULL");
  full = false;
  time_.RunFor(absl::Seconds(3));
  EXPECT_TRUE(*late);
  EXPECT_TRUE(node("n1").Has("s/a"));
}

TEST_F(Supervisors, CrashedChildIsRestartedWithAHigherFence) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  const uint64_t fence = node("n1").At("s/a").fence;
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  Settle();
  ASSERT_TRUE(node("n1").Has("s/a"));
  EXPECT_GT(node("n1").At("s/a").fence, fence);
  EXPECT_EQ(Children("s")["a"].restarts(), 1u);
  EXPECT_EQ(node("n1").unacked(), 0u);
}

TEST_F(Supervisors, RestartsOfOneChildAreSpacedOut) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}, {.intensity = 100}).ok());
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  Settle();
  ASSERT_TRUE(node("n1").Has("s/a"));
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  time_.RunFor(absl::Milliseconds(50));
  EXPECT_FALSE(node("n1").Has("s/a"));
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_BACKOFF);
  time_.RunFor(absl::Milliseconds(200));
  EXPECT_TRUE(node("n1").Has("s/a"));
}

TEST_F(Supervisors, TransientAndTemporaryFollowOtp) {
  AddNode("n1");
  ChildSpec transient = Worker("t");
  transient.restart = RestartType::kTransient;
  ChildSpec temporary = Worker("x");
  temporary.restart = RestartType::kTemporary;
  ASSERT_TRUE(StartSupervisor("s", {transient, temporary}).ok());
  node("n1").Exit("s/t", ExitReason::Normal());
  node("n1").Exit("s/x", ExitReason::Error("boom"));
  time_.RunFor(absl::Seconds(2));
  EXPECT_EQ(node("n1").size(), 0u);
  auto children = Children("s");
  EXPECT_EQ(children.size(), 1u);
  EXPECT_EQ(children["t"].state(), v1::CHILD_STATE_STOPPED);
}

TEST_F(Supervisors, TooManyRestartsFailTheRoot) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}, {.intensity = 1}).ok());
  TakeTrace();
  node("n1").Exit("s/b", ExitReason::Error("boom"));
  Settle();
  node("n1").Exit("s/b", ExitReason::Error("boom"));
  Settle();
  EXPECT_EQ(node("n1").size(), 0u);
  auto tree = Ask<v1::GetTreeResponse>(
      [&](auto done) { coordinator_->GetTree(Target::Named("s"), 0, done); });
  ASSERT_TRUE(tree.ok());
  EXPECT_EQ(tree->root().child().state(), v1::CHILD_STATE_FAILED);
  EXPECT_EQ(tree->root().child().last_exit_reason().kind(), v1::ExitReason::KIND_SHUTDOWN);
  // The operator brings it back.
  auto again = Ask<v1::RestartChildResponse>(
      [&](auto done) { coordinator_->RestartChild(Named("s", ""), false, done); });
  ASSERT_TRUE(again.ok()) << again.status();
  Settle();
  EXPECT_EQ(node("n1").size(), 2u);
}

TEST_F(Supervisors, SUP070OneForAllStopsInReverseAndStartsInOrderAcrossNodes) {
  AddNode("n1");
  AddNode("n2");
  ASSERT_TRUE(StartSupervisor("s", {WorkerOn("a", "n1"), WorkerOn("b", "n2"), WorkerOn("c", "n1")},
                              {.strategy = Strategy::kOneForAll, .intensity = 3})
                  .ok());
  TakeTrace();
  node("n2").Exit("s/b", ExitReason::Error("boom"));
  time_.RunFor(absl::Seconds(1));
  EXPECT_THAT(TakeTrace(), ElementsAre("n2 exit b", "n1 stop c", "n1 stop a", "n1 start a",
                                       "n2 start b", "n1 start c"));
}

TEST_F(Supervisors, RestForOneRestartsThoseAfterIt) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b"), Worker("c")},
                              {.strategy = Strategy::kRestForOne, .intensity = 3})
                  .ok());
  TakeTrace();
  node("n1").Exit("s/b", ExitReason::Error("boom"));
  time_.RunFor(absl::Seconds(1));
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 exit b", "n1 stop c", "n1 start b", "n1 start c"));
}

TEST_F(Supervisors, NestedSupervisorIsClusterWide) {
  AddNode("n1");
  AddNode("n2");
  auto inner = std::make_shared<SupervisorSpec>();
  inner->flags.intensity = 0;
  inner->children = {WorkerOn("x", "n1"), WorkerOn("y", "n2")};
  ChildSpec nested;
  nested.id = "inner";
  nested.type = ChildType::kSupervisor;
  nested.supervisor = inner;
  ASSERT_TRUE(StartSupervisor("top", {WorkerOn("a", "n1"), nested}).ok());
  EXPECT_TRUE(node("n2").Has("top/inner/y"));
  TakeTrace();
  // The inner one gives up at the first exit; its parent starts it again.
  node("n2").Exit("top/inner/y", ExitReason::Error("boom"));
  time_.RunFor(absl::Seconds(1));
  EXPECT_THAT(TakeTrace(), ElementsAre("n2 exit y", "n1 stop x", "n1 start x", "n2 start y"));
  auto tree = Ask<v1::GetTreeResponse>(
      [&](auto done) { coordinator_->GetTree(Target::Named("top"), 0, done); });
  ASSERT_TRUE(tree.ok());
  ASSERT_EQ(tree->root().children_size(), 2);
  EXPECT_EQ(tree->root().children(1).children_size(), 2);
}

TEST_F(Supervisors, SimpleOneForOneMakesChildrenFromItsTemplate) {
  AddNode("n1");
  StartSupervisorArgs args;
  args.name = "pool";
  args.spec.flags = {.strategy = Strategy::kSimpleOneForOne, .intensity = 5};
  args.spec.child_template = Worker("");
  ASSERT_TRUE(
      Ask<v1::SupervisorInfo>([&](auto done) { coordinator_->StartSupervisor(args, done); }).ok());
  StartChildArgs start{
      Target::Named("pool"), std::nullopt, {Payload::Any("type.googleapis.com/x", "arg")}, "r1"};
  auto first =
      Ask<v1::StartChildResponse>([&](auto done) { coordinator_->StartChild(start, done); });
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(node("n1").last_start().start().extra_args(0).value().value(), "arg");
  auto same =
      Ask<v1::StartChildResponse>([&](auto done) { coordinator_->StartChild(start, done); });
  ASSERT_TRUE(same.ok());
  EXPECT_EQ(same->child().id(), first->child().id());
  start.request_id = "";
  ASSERT_TRUE(
      Ask<v1::StartChildResponse>([&](auto done) { coordinator_->StartChild(start, done); }).ok());
  EXPECT_EQ(Children("pool").size(), 2u);
  auto ended = Ask<v1::TerminateChildResponse>(
      [&](auto done) { coordinator_->TerminateChild(Named("pool", first->child().id()), done); });
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(Children("pool").size(), 1u);
}

TEST_F(Supervisors, PendingChildStartsWhenANodeFits) {
  AddNode("n1");
  AddNode("n2");
  ASSERT_TRUE(StartSupervisor("s", {WorkerOn("a", "n2")}).ok());
  node("n2").OpenWatcher();
  Settle();
  node("n2").Mute();
  node("n2").WatcherReportsExit();
  Settle();
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_PENDING);
  KillNode("n2");
  AddNode("n2");
  Settle();
  EXPECT_TRUE(node("n2").Has("s/a"));
}

TEST_F(Supervisors, StopSupervisorStopsInReverseAndForgets) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}).ok());
  TakeTrace();
  auto reason = Ask<ExitReason>([&](auto done) {
    coordinator_->StopSupervisor(Target::Named("s"), ExitReason::Shutdown(), "", done);
  });
  ASSERT_TRUE(reason.ok());
  EXPECT_THAT(TakeTrace(), ElementsAre("n1 stop b", "n1 stop a"));
  Settle();
  EXPECT_EQ(disk_->data.count("sup/s"), 0u);
  EXPECT_TRUE(StartSupervisor("s", {}).ok());
}

TEST_F(Supervisors, DrainMovesChildrenOneAtATime) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}).ok());
  AddNode("n2");
  ASSERT_TRUE(Ask<v1::NodeInfo>([&](auto done) {
                coordinator_->Drain({"n1", "", ""}, absl::InfiniteDuration(), 1, false, done);
              }).ok());
  time_.RunFor(absl::Seconds(5));
  EXPECT_EQ(node("n1").size(), 0u);
  EXPECT_EQ(node("n2").size(), 2u);
  EXPECT_TRUE(NodeInfo("n1").drain().has_end_time());
  EXPECT_EQ(Children("s")["a"].restarts(), 0u);
}

}  // namespace
}  // namespace banyan::testing
