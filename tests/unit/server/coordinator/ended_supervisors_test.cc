// What is asked of a supervisor that gave up, is stopping, or whose nodes are down is answered at
// once.
#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

class EndedSupervisors : public ClusterTest {
 protected:
  // A supervisor of one worker, `x`.
  static ChildSpec Inner() {
    auto inner = std::make_shared<SupervisorSpec>();
    inner->children = {Worker("x")};
    ChildSpec nested;
    nested.id = "inner";
    nested.type = ChildType::kSupervisor;
    nested.supervisor = inner;
    return nested;
  }
  // "s" with the children a and b on n1 has given up.
  void GiveUp() {
    AddNode("n1");
    ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}, {.intensity = 0}).ok());
    node("n1").Exit("s/b", ExitReason::Error("boom"));
    Settle();
    ASSERT_EQ(RootState(), v1::CHILD_STATE_FAILED);
  }
  // "s" is stopping: b does not end.
  void BeginStop() {
    AddNode("n1").on_stop = [](const std::string& path) { return path != "s/b"; };
    ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}).ok());
    coordinator_->StopSupervisor(Target::Named("s"), ExitReason::Shutdown(), "",
                                 [this](absl::StatusOr<ExitReason> r) { stopped_ = r.ok(); });
    Settle();
    ASSERT_EQ(RootState(), v1::CHILD_STATE_STOPPING);
  }
  static Target ChildOf(const std::string& supervisor, const std::string& id) {
    return {Target::ChildPath{supervisor, {id}}};
  }
  v1::ChildState RootState() {
    auto tree = Ask<v1::GetTreeResponse>(
        [&](auto done) { coordinator_->GetTree(Target::Named("s"), 0, done); });
    return tree.ok() ? tree->root().child().state() : v1::CHILD_STATE_UNSPECIFIED;
  }
  absl::Status Terminate(const std::string& id) {
    return Ask<v1::TerminateChildResponse>(
               [&](auto done) { coordinator_->TerminateChild(Named("s", id), done); }, kSoon)
        .status();
  }
  absl::Status Restart(const std::string& id, bool running_too) {
    return Ask<v1::RestartChildResponse>(
               [&](auto done) { coordinator_->RestartChild(Named("s", id), running_too, done); },
               kSoon)
        .status();
  }
  absl::Status Delete(const std::string& id) {
    return Ask<bool>(
               [&](auto done) {
                 coordinator_->DeleteChild(Named("s", id), [done](absl::Status status) {
                   status.ok() ? done(true) : done(std::move(status));
                 });
               },
               kSoon)
        .status();
  }
  absl::StatusOr<ExitReason> Stop(const std::string& name, absl::Duration limit = kSoon) {
    return Ask<ExitReason>(
        [&](auto done) {
          coordinator_->StopSupervisor(Target::Named(name), ExitReason::Shutdown(), "", done);
        },
        limit);
  }
  // No operation on a child of "s" finds a supervisor; what is only read can be read.
  void ExpectGone() {
    const auto gone = [](const absl::Status& status) {
      const std::optional<ErrorInfo> info = GetErrorInfo(status);
      return info && info->reason == "NOPROC" && info->metadata.at("outcome") == kNotExecuted &&
             info->metadata.at("target") == "s";
    };
    for (const char* id : {"a", "b", "none"}) {
      EXPECT_TRUE(gone(Terminate(id))) << id << " " << Terminate(id);
      EXPECT_TRUE(gone(Restart(id, false))) << id << " " << Restart(id, false);
      EXPECT_TRUE(gone(Restart(id, true))) << id << " " << Restart(id, true);
      EXPECT_TRUE(gone(Delete(id))) << id << " " << Delete(id);
      EXPECT_TRUE(gone(StartChild("s", Worker(id)).status()));
    }
    StartSupervisorArgs nested;
    nested.parent = Target::Named("s");
    nested.child_id = "inner";
    auto inner = Ask<v1::SupervisorInfo>(
        [&](auto done) { coordinator_->StartSupervisor(nested, done); }, kSoon);
    EXPECT_TRUE(gone(inner.status())) << inner.status();
    EXPECT_EQ(Children("s").size(), 2u);
    auto spec = Ask<v1::ChildSpec>(
        [&](auto done) { coordinator_->GetChildSpec(Target::Named("s"), "a", done); }, kSoon);
    EXPECT_TRUE(spec.ok()) << spec.status();
    auto counts = Ask<v1::ChildCounts>(
        [&](auto done) { coordinator_->CountChildren(Target::Named("s"), done); }, kSoon);
    EXPECT_TRUE(counts.ok()) << counts.status();
  }

  static constexpr absl::Duration kSoon = absl::Milliseconds(100);
  bool stopped_ = false;
};

TEST_F(EndedSupervisors, OneThatGaveUpAnswersLikeAnEndedProcess) {
  GiveUp();
  ExpectGone();
  // Also after a restart of the coordinator.
  RestartCoordinator();
  Settle();
  ASSERT_EQ(RootState(), v1::CHILD_STATE_FAILED);
  ExpectGone();
}

TEST_F(EndedSupervisors, OneThatGaveUpIsStoppedAtOnce) {
  GiveUp();
  EXPECT_EQ(ErrorReason(StartSupervisor("s", {}).status()), "NAME_TAKEN");
  auto reason = Stop("s");
  ASSERT_TRUE(reason.ok()) << reason.status();
  EXPECT_EQ(reason->kind(), ExitReason::Kind::kShutdown);
  Settle();
  for (const auto& [key, value] : disk_->data) {
    EXPECT_FALSE(key.starts_with("child/") || key.starts_with("sup/")) << key;
  }
  EXPECT_EQ(ErrorReason(Terminate("a")), "NAME_NOT_REGISTERED");
  EXPECT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
}

TEST_F(EndedSupervisors, OneThatIsStoppingAnswersLikeAnEndedProcess) {
  BeginStop();
  ExpectGone();
  // The second to ask for the stop waits with the first.
  auto again = Stop("s");
  EXPECT_EQ(again.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(stopped_);
  node("n1").Stopped("s/b");
  Settle();
  EXPECT_TRUE(stopped_);
  EXPECT_EQ(ErrorReason(Stop("s").status()), "NAME_NOT_REGISTERED");
}

TEST_F(EndedSupervisors, ACallWaitingForAChildIsAnsweredWhenItsSupervisorGivesUp) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}, {.intensity = 2}).ok());
  // Twice at once: the second time its restart waits a while.
  for (int i = 0; i < 2; ++i) {
    node("n1").Exit("s/a", ExitReason::Error("boom"));
    time_.RunFor(absl::Milliseconds(20));
  }
  ASSERT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_BACKOFF);
  std::optional<absl::Status> waiting;
  coordinator_->ResolveTarget(ChildOf("s", "a"), time_.Now() + absl::Seconds(60),
                              [&](absl::StatusOr<ResolvedTarget> r) { waiting = r.status(); });
  time_.RunFor(absl::Milliseconds(5));
  ASSERT_FALSE(waiting.has_value());
  node("n1").Exit("s/b", ExitReason::Error("boom"));
  time_.RunFor(absl::Milliseconds(20));
  ASSERT_EQ(RootState(), v1::CHILD_STATE_FAILED);
  ASSERT_TRUE(waiting.has_value());
  EXPECT_EQ(ErrorReason(*waiting), "NOPROC");
}

TEST_F(EndedSupervisors, ACallWaitingForAChildIsAnsweredWhenTheChildIsStopped) {
  AddNode("n1").on_stop = [](const std::string& path) { return false; };
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}).ok());
  // Another child is on its way at the same time: the supervisor has more to do.
  coordinator_->TerminateChild(Named("s", "b"), [](auto) {});
  coordinator_->TerminateChild(Named("s", "a"), [](auto) {});
  Settle();
  std::optional<absl::Status> waiting;
  coordinator_->ResolveTarget(ChildOf("s", "a"), time_.Now() + absl::Seconds(60),
                              [&](absl::StatusOr<ResolvedTarget> r) { waiting = r.status(); });
  Settle();
  ASSERT_FALSE(waiting.has_value());
  node("n1").Stopped("s/a");
  Settle();
  ASSERT_TRUE(waiting.has_value());
  EXPECT_EQ(ErrorReason(*waiting), "NOPROC");
}

TEST_F(EndedSupervisors, ANestedOneIsStoppedAndItsParentDecides) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("top", {Inner()}).ok());
  TakeTrace();
  auto reason = Ask<ExitReason>([&](auto done) {
    coordinator_->StopSupervisor(ChildOf("top", "inner"), ExitReason::Shutdown(), "r1", done);
  });
  ASSERT_TRUE(reason.ok()) << reason.status();
  EXPECT_EQ(reason->kind(), ExitReason::Kind::kShutdown);
  Settle();
  EXPECT_THAT(TakeTrace(), ::testing::ElementsAre("n1 stop x", "n1 start x"));
}

// ------------------------------------------------------------- nodes are down

class LostNodes : public EndedSupervisors {
 protected:
  // The only node hangs; it is not yet known to be dead.
  void LoseNode() {
    time_.RunFor(absl::Seconds(2));
    node("n1").Mute();
    time_.RunFor(absl::Seconds(6));
    ASSERT_NE(NodeInfo("n1").state(), v1::NODE_STATE_DEAD);
  }
  // Its end is proven: children wait for a node.
  void KillTheNode() {
    node("n1").OpenWatcher();
    Settle();
    node("n1").Mute();
    node("n1").WatcherReportsExit();
    Settle();
    ASSERT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_DEAD);
  }
};

TEST_F(LostNodes, OperationsOnChildrenOfADeadNode) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b"), Worker("c")}).ok());
  KillTheNode();
  ASSERT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_PENDING);
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("d")).status()), "NO_NODE_FITS");
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("a")).status()), "CHILD_ALREADY_STARTED");
  EXPECT_EQ(ErrorReason(Delete("a")), "CHILD_RUNNING");
  EXPECT_EQ(ErrorReason(Restart("b", false)), "CHILD_RUNNING");
  EXPECT_TRUE(Terminate("b").ok());
  EXPECT_TRUE(Terminate("b").ok()) << "a second time";
  EXPECT_EQ(ErrorReason(Restart("b", false)), "NO_NODE_FITS");
  EXPECT_TRUE(Delete("b").ok());
  EXPECT_EQ(ErrorReason(Restart("c", true)), "NO_NODE_FITS");
  EXPECT_TRUE(Stop("s").ok());
}

// A group restart waits for a node with its first member; what can be given up is.
TEST_F(LostNodes, AGroupThatWaitsForANodeIsStopped) {
  for (Strategy strategy : {Strategy::kOneForAll, Strategy::kRestForOne}) {
    SCOPED_TRACE(static_cast<int>(strategy));
    AddNode("n1");
    ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}, {.strategy = strategy}).ok());
    KillTheNode();
    ASSERT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_PENDING);
    EXPECT_TRUE(Terminate("a").ok());
    EXPECT_TRUE(Stop("s").ok());
    nodes_.clear();
    Settle();
  }
}

TEST_F(LostNodes, ATerminateOfANestedSupervisorIsPending) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Inner()}).ok());
  LoseNode();
  auto answer = Ask<v1::TerminateChildResponse>(
      [&](auto done) { coordinator_->TerminateChild(Named("s", "inner", "r1"), done); }, kSoon);
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_TRUE(answer->has_pending());
  auto again = Ask<v1::TerminateChildResponse>(
      [&](auto done) { coordinator_->TerminateChild(Named("s", "inner"), done); }, kSoon);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->has_pending());
  auto end = Ask<v1::WaitOperationResponse>(
      [&](auto done) { coordinator_->WaitOperation("r1", time_.Now() + absl::Seconds(100), done); },
      absl::Seconds(90));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_TRUE(end->done());
  EXPECT_EQ(Children("s")["inner"].state(), v1::CHILD_STATE_STOPPED);
}

TEST_F(LostNodes, AStopEndsWithTheNodesLife) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}).ok());
  LoseNode();
  auto reason = Stop("s", absl::Seconds(90));
  ASSERT_TRUE(reason.ok()) << reason.status();
  EXPECT_EQ(ErrorReason(Terminate("a")), "NAME_NOT_REGISTERED");
}

}  // namespace
}  // namespace banyan::testing
