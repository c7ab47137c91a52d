// Nodes that are lost: whose doing it was, and what that counts as.
#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

using ::testing::IsEmpty;

class Crashes : public ClusterTest {
 protected:
  internal::v1::LastCrash CrashOf(const std::string& node_name, const std::string& path) {
    internal::v1::LastCrash crash;
    crash.set_incarnation(node(node_name).incarnation());
    crash.set_fence(node(node_name).At(path).fence);
    crash.set_signal(11);
    return crash;
  }
  // Without a word about who crashed it.
  void Lose(const std::string& name) {
    node(name).OpenWatcher();
    Settle();
    node(name).Mute();
    node(name).WatcherReportsExit();
    Settle();
    KillNode(name);
  }
  uint32_t RecentRestarts() {
    auto list = Ask<v1::ListSupervisorsResponse>(
        [&](auto done) { coordinator_->ListSupervisors({}, false, nullptr, done); });
    return list.ok() && list->supervisors_size() == 1 ? list->supervisors(0).recent_restarts() : 99;
  }
  std::vector<std::string> Alarms() {
    std::vector<std::string> alarms;
    WatchArgs args;
    args.send_snapshot = false;
    for (const auto& event : events_) {
      if (event.kind() == v1::ClusterEvent::KIND_ALARM) alarms.push_back(event.message());
    }
    return alarms;
  }
  void WatchAlarms() {
    auto watch =
        Ask<Coordinator::WatchId>([&](auto done) { coordinator_->WatchCluster({}, done); });
    ASSERT_TRUE(watch.ok());
    Pull(*watch);
  }
  void Pull(Coordinator::WatchId watch) {
    coordinator_->NextClusterEvents(watch, [this, watch](auto response) {
      if (!response.ok()) return;
      events_.insert(events_.end(), response->events().begin(), response->events().end());
      Pull(watch);
    });
  }
  std::vector<v1::ClusterEvent> events_;
};

TEST_F(Crashes, TheWatchersWordMakesItTheChildsOwnExit) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}).ok());
  AddNode("n2");
  node("n1").last_crash = CrashOf("n1", "s/a");
  Lose("n1");
  EXPECT_EQ(RecentRestarts(), 1u) << "a's, and not b's";
  auto children = Children("s");
  EXPECT_EQ(children["a"].last_exit_reason().type(), "crashed_its_node");
  EXPECT_EQ(children["b"].last_exit_reason().kind(), v1::ExitReason::KIND_NOCONNECTION);
  EXPECT_EQ(children["a"].restarts(), 1u);
  EXPECT_TRUE(node("n2").Has("s/a"));
  EXPECT_TRUE(node("n2").Has("s/b"));
}

TEST_F(Crashes, SoDoesThatOfTheNodesNextLife) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}).ok());
  const internal::v1::LastCrash crash = CrashOf("n1", "s/b");
  KillNode("n1");
  auto& next = nodes_["n1"];
  next = std::make_unique<FakeNode>(
      &network_, &time_, "n1", trace_,
      FakeNode::Identity{.process_id = "p2", .machine_id = "machine-n1"});
  next->last_crash = crash;
  next->Connect();
  time_.RunFor(absl::Seconds(2));
  EXPECT_EQ(RecentRestarts(), 1u);
  EXPECT_EQ(Children("s")["b"].last_exit_reason().type(), "crashed_its_node");
  EXPECT_TRUE(node("n1").Has("s/a"));
}

TEST_F(Crashes, AnOlderLifesCrashIsNobodysAnyMore) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  const internal::v1::LastCrash crash = CrashOf("n1", "s/a");
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  Settle();
  ASSERT_EQ(RecentRestarts(), 1u);
  AddNode("n2");
  node("n1").last_crash = crash;
  Lose("n1");
  EXPECT_EQ(RecentRestarts(), 1u) << "that start is over";
  EXPECT_TRUE(node("n2").Has("s/a"));
}

TEST_F(Crashes, AChildThatCrashesItsNodesMakesItsSupervisorGiveUp) {
  AddNode("n0");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}, {.intensity = 1}).ok());
  for (int i = 0; i < 2; ++i) {
    const std::string name = "n" + std::to_string(i);
    AddNode("n" + std::to_string(i + 1));
    node(name).last_crash = CrashOf(name, "s/a");
    Lose(name);
  }
  time_.RunFor(absl::Seconds(1));
  EXPECT_EQ(node("n2").size(), 0u);
  auto list = Ask<v1::ListChildrenResponse>(
      [&](auto done) { coordinator_->ListChildren(Target::Named("s"), {}, false, nullptr, done); });
  ASSERT_TRUE(list.ok());
  EXPECT_NE(list->children(0).state(), v1::CHILD_STATE_RUNNING);
}

TEST_F(Crashes, WithoutAWordThreeLossesOfYoungChildrenAreEnough) {
  WatchAlarms();
  AddNode("n0");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_RUNNING) << i;
    AddNode("n" + std::to_string(i + 1));
    Lose("n" + std::to_string(i));
    time_.RunFor(absl::Seconds(30));
  }
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_FAILED);
  EXPECT_EQ(Children("s")["a"].state_reason(), "poison");
  EXPECT_EQ(RecentRestarts(), 0u) << "nothing is counted";
  EXPECT_THAT(Alarms(), ::testing::ElementsAre(::testing::HasSubstr("child s/a is given up")));
  RestartCoordinator();
  time_.RunFor(absl::Seconds(5));
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_FAILED) << "also for the next leader";
  ASSERT_TRUE(Ask<v1::RestartChildResponse>([&](auto done) {
                coordinator_->RestartChild(Named("s", "a"), false, done);
              }).ok());
  EXPECT_TRUE(node("n3").Has("s/a"));
}

TEST_F(Crashes, AChildThatTakesItsNodesDownWhileItStartsIsGivenUpToo) {
  const auto silent = [](const std::string&, internal::v1::Report*) { return false; };
  AddNode("n0").on_start = silent;
  bool answered = false;
  StartSupervisorArgs args;
  args.name = "s";
  args.spec.children = {Worker("a")};
  coordinator_->StartSupervisor(args, [&](auto) { answered = true; });
  Settle();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(node("n" + std::to_string(i)).Has("s/a")) << i;
    AddNode("n" + std::to_string(i + 1)).on_start = silent;
    Lose("n" + std::to_string(i));
    time_.RunFor(absl::Seconds(30));
  }
  EXPECT_FALSE(node("n3").Has("s/a"));
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_FAILED);
  EXPECT_EQ(Children("s")["a"].state_reason(), "poison");
  EXPECT_TRUE(answered);
}

TEST_F(Crashes, OldChildrenAndNodesThatLeaveMarkNobody) {
  AddNode("n0");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  for (int i = 0; i < 4; ++i) {
    AddNode("n" + std::to_string(i + 1));
    time_.RunFor(absl::Seconds(61));
    Lose("n" + std::to_string(i));
    Settle();
  }
  for (int i = 4; i < 8; ++i) {
    AddNode("n" + std::to_string(i + 1));
    node("n" + std::to_string(i)).Leave();
    Settle();
  }
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_RUNNING);
}

TEST_F(Crashes, WhoseCrashIsKnownMarksNoOther) {
  AddNode("n0");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}, {.intensity = 10}).ok());
  for (int i = 0; i < 4; ++i) {
    const std::string name = "n" + std::to_string(i);
    AddNode("n" + std::to_string(i + 1));
    node(name).last_crash = CrashOf(name, "s/a");
    Lose(name);
    time_.RunFor(absl::Seconds(5));
  }
  EXPECT_EQ(Children("s")["b"].state(), v1::CHILD_STATE_RUNNING);
}

TEST_F(Crashes, MarksAreForgottenAfterHalfAnHour) {
  AddNode("n0");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  for (int i = 0; i < 4; ++i) {
    AddNode("n" + std::to_string(i + 1));
    Lose("n" + std::to_string(i));
    // It has aged by then, so make it young again.
    time_.RunFor(absl::Minutes(16));
    node("n" + std::to_string(i + 1)).Exit("s/a", ExitReason::Error("boom"));
    Settle();
  }
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_RUNNING);
}

TEST_F(Crashes, AnAvailableChildThatWasReplacedInTimeIsMarkedWithItsNodesEnd) {
  AddNode("n0");
  ChildSpec spec = Worker("a");
  spec.exclusivity = Exclusivity::kAvailable;
  ASSERT_TRUE(StartSupervisor("s", {spec}).ok());
  for (int i = 0; i < 3; ++i) {
    AddNode("n" + std::to_string(i + 1));
    KillNode("n" + std::to_string(i));
    time_.RunFor(absl::Seconds(12));
    ASSERT_TRUE(node("n" + std::to_string(i + 1)).Has("s/a")) << i;
    // A split that heals proves nothing; the end of the node's life does.
    if (i < 2) {
      ASSERT_TRUE(Ask<v1::NodeInfo>([&](auto done) {
                    coordinator_->ConfirmDead({"n" + std::to_string(i), "", ""}, 1, true, done);
                  }).ok());
    }
  }
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_RUNNING);
  AddNode("n4");
  Lose("n3");
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_FAILED);
}

// The place in a child's back-off is part of its record.
TEST_F(Crashes, TheRestartDelayOutlivesTheCoordinator) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}, {.intensity = 100}).ok());
  for (int i = 0; i < 5; ++i) {
    node("n1").Exit("s/a", ExitReason::Error("boom"));
    ASSERT_TRUE(time_.RunUntil([&] { return node("n1").Has("s/a"); }, absl::Seconds(10)));
    Settle();
  }
  RestartCoordinator();
  time_.RunFor(absl::Seconds(3));
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  // 100 ms x 2^4, less a fifth.
  time_.RunFor(absl::Milliseconds(1200));
  EXPECT_FALSE(node("n1").Has("s/a"));
  time_.RunFor(absl::Seconds(2));
  EXPECT_TRUE(node("n1").Has("s/a"));
  // Stable for a minute: at once again.
  time_.RunFor(absl::Seconds(61));
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  Settle();
  EXPECT_TRUE(node("n1").Has("s/a"));
}

TEST_F(Crashes, OfTwoLivesTheLongestRunningStaysWhereAsked) {
  AddNode("n1");
  ChildSpec spec = Worker("a");
  spec.exclusivity = Exclusivity::kAvailable;
  spec.reconcile = Reconcile::kLongestRunning;
  ASSERT_TRUE(StartSupervisor("s", {spec}).ok());
  AddNode("n2");
  time_.RunFor(absl::Seconds(2));
  network_.Isolate("n1-p1");
  time_.RunFor(absl::Seconds(12));
  ASSERT_TRUE(node("n2").Has("s/a"));
  const uint64_t newer = node("n2").At("s/a").fence;
  TakeTrace();
  network_.Join("n1-p1");
  network_.Break("n1-p1", "coord");
  time_.RunFor(absl::Seconds(5));
  EXPECT_FALSE(node("n2").Has("s/a"));
  ASSERT_TRUE(node("n1").Has("s/a"));
  EXPECT_GT(node("n1").At("s/a").fence, newer) << "it goes on under a fence above the other's";
  const v1::ChildInfo child = Children("s")["a"];
  EXPECT_EQ(child.node(), "n1");
  EXPECT_EQ(child.fence(), node("n1").At("s/a").fence);
  // And is supervised.
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  Settle();
  EXPECT_TRUE(node("n1").Has("s/a") || node("n2").Has("s/a"));
  EXPECT_EQ(Children("s")["a"].restarts(), 2u) << "the replacement, and this one";
}

}  // namespace
}  // namespace banyan::testing
