#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

using Names = ClusterTest;

TEST_F(Names, ChildNameIsFoundAndFollowsRestarts) {
  AddNode("n1");
  ChildSpec spec = Worker("a");
  spec.start.name = "counter/eu";
  ASSERT_TRUE(StartSupervisor("s", {spec}).ok());
  EXPECT_EQ(node("n1").last_start().start().name().name(), "counter/eu");
  auto found =
      Ask<v1::LookupResponse>([&](auto done) { coordinator_->Lookup("counter/eu", done); });
  ASSERT_TRUE(found.ok());
  const uint64_t version = found->entry().reg_version();
  EXPECT_EQ(found->entry().pid().id(), node("n1").At("s/a").pid.id);
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  Settle();
  found = Ask<v1::LookupResponse>([&](auto done) { coordinator_->Lookup("counter/eu", done); });
  ASSERT_TRUE(found.ok());
  EXPECT_GT(found->entry().reg_version(), version);
  ChildSpec other = Worker("b");
  other.start.name = "counter/eu";
  EXPECT_EQ(ErrorReason(StartChild("s", other).status()), "NAME_TAKEN");
}

TEST_F(Names, INV014DynamicNameHasOneOwner) {
  FakeNode& a = AddNode("n1");
  FakeNode& b = AddNode("n2");
  a.AskName("x", Pid{a.node_id(), a.incarnation(), 7});
  Settle();
  b.AskName("x", Pid{b.node_id(), b.incarnation(), 8});
  Settle();
  ASSERT_EQ(a.name_replies().size(), 1u);
  EXPECT_TRUE(a.name_replies()[0].granted());
  ASSERT_EQ(b.name_replies().size(), 1u);
  EXPECT_FALSE(b.name_replies()[0].granted());
  EXPECT_EQ(b.name_replies()[0].entry().pid().node_id(), a.node_id());
  a.NameGone("x");
  Settle();
  b.AskName("x", Pid{b.node_id(), b.incarnation(), 8});
  Settle();
  EXPECT_TRUE(b.name_replies().back().granted());
}

TEST_F(Names, RecoveryBarrierHoldsBackUnreportedNames) {
  FakeNode& a = AddNode("n1");
  FakeNode& b = AddNode("n2");
  a.AskName("x", Pid{a.node_id(), a.incarnation(), 7});
  Settle();
  network_.Isolate("n1-p1");
  RestartCoordinator();
  time_.RunFor(absl::Seconds(2));
  RegisterArgs args{"x", Pid{b.node_id(), b.incarnation(), 8}, {}, false, ""};
  auto refused = Ask<v1::NameEntry>([&](auto done) { coordinator_->Register(args, done); });
  EXPECT_EQ(ErrorReason(refused.status()), "RECOVERING") << refused.status();
  network_.Join("n1-p1");
  time_.RunFor(absl::Seconds(4));
  refused = Ask<v1::NameEntry>([&](auto done) { coordinator_->Register(args, done); });
  EXPECT_EQ(ErrorReason(refused.status()), "NAME_TAKEN") << refused.status();
}

TEST_F(Names, F41WhoDiesBeforeItHasReportedKeepsItsNameUntilItIsDead) {
  FakeNode& a = AddNode("n1");
  FakeNode& b = AddNode("n2");
  a.AskName("x", Pid{a.node_id(), a.incarnation(), 7});
  Settle();
  a.Mute();
  RestartCoordinator();
  RegisterArgs args{"x", Pid{b.node_id(), b.incarnation(), 8}, {}, false, ""};
  const auto ask = [&] {
    auto r = Ask<v1::NameEntry>([&](auto done) { coordinator_->Register(args, done); });
    return r.ok() ? "granted" : ErrorReason(r.status());
  };
  while (NodeInfo("n1").state() != v1::NODE_STATE_DEAD) {
    ASSERT_EQ(ask(), "RECOVERING");
    ASSERT_LT(time_.Now() - Instant(), absl::Minutes(3));
    time_.RunFor(absl::Seconds(1));
  }
  EXPECT_EQ(ask(), "granted");
}

TEST_F(Names, DeathReleasesAndSuspicionDoesNot) {
  FakeNode& a = AddNode("n1");
  FakeNode& b = AddNode("n2");
  a.AskName("x", Pid{a.node_id(), a.incarnation(), 7});
  time_.RunFor(absl::Seconds(2));
  a.Mute();
  time_.RunFor(absl::Seconds(20));
  RegisterArgs args{"x", Pid{b.node_id(), b.incarnation(), 8}, {}, false, ""};
  EXPECT_EQ(ErrorReason(Ask<v1::NameEntry>([&](auto done) {
                          coordinator_->Register(args, done);
                        }).status()),
            "NAME_TAKEN");
  time_.RunFor(absl::Seconds(50));
  EXPECT_TRUE(Ask<v1::NameEntry>([&](auto done) { coordinator_->Register(args, done); }).ok());
}

TEST_F(Names, ResolveWaitsForARestartingChild) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  bool hold = true;
  node("n1").on_start = [&](const std::string&, internal::v1::Report*) { return !hold; };
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  Settle();
  const Target target{Target::ChildPath{"s", {"a"}}};
  auto late = Ask<ResolvedTarget>([&](auto done) {
    coordinator_->ResolveTarget(target, time_.Now() + absl::Seconds(1), done);
  });
  EXPECT_EQ(ErrorReason(late.status()), "CHILD_RESTARTING");
  auto found = std::make_shared<std::optional<absl::StatusOr<ResolvedTarget>>>();
  coordinator_->ResolveTarget(target, time_.Now() + absl::Seconds(5),
                              [found](auto r) { *found = r; });
  Settle();
  EXPECT_FALSE(found->has_value());
  node("n1").Up("s/a");
  Settle();
  ASSERT_TRUE(found->has_value());
  ASSERT_TRUE((**found).ok());
  EXPECT_EQ((**found)->address, "n1:7400");
  EXPECT_EQ((**found)->pid, node("n1").At("s/a").pid);
}

TEST_F(Names, PathBelowALocalSupervisorKeepsTheRest) {
  AddNode("n1");
  ChildSpec spec = Worker("tree");
  spec.type = ChildType::kSupervisor;
  ASSERT_TRUE(StartSupervisor("s", {spec}).ok());
  auto found = Ask<ResolvedTarget>([&](auto done) {
    coordinator_->ResolveTarget({Target::ChildPath{"s", {"tree", "x", "y"}}}, time_.Now(), done);
  });
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(found->rest, ::testing::ElementsAre("x", "y"));
  auto missing = Ask<ResolvedTarget>([&](auto done) {
    coordinator_->ResolveTarget({Target::ChildPath{"s", {"zz"}}}, time_.Now(), done);
  });
  EXPECT_EQ(ErrorReason(missing.status()), "CHILD_NOT_FOUND");
  auto old = Ask<ResolvedTarget>(
      [&](auto done) { coordinator_->ResolveTarget(Target::Of(Pid{1, 9, 5}), time_.Now(), done); });
  EXPECT_EQ(ErrorReason(old.status()), "NOPROC");
}

}  // namespace
}  // namespace banyan::testing
