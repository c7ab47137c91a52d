#include <gmock/gmock.h>

#include "fake_coordinator.h"

namespace banyan::testing {
namespace {

class AssignedChildrenTest : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    Join();
  }
  const internal::v1::Report& Last() { return c.reports.back(); }
};

TEST_F(AssignedChildrenTest, StartsAndReports) {
  const Pid pid = Started({"sup", "x"}, 100);
  EXPECT_EQ(Call(pid), "1");
  EXPECT_EQ(Last().started().pid().node_id(), 7u);
  EXPECT_EQ(Last().fence(), 100u);
  EXPECT_EQ(Last().seq(), 1u);
  EXPECT_TRUE(c.results.empty()) << "only refusals are answered each";
}

TEST_F(AssignedChildrenTest, AFailedStartIsReportedWithItsReason) {
  c.SendCommand(StartCommand({"sup", "x"}, 100, "failing"));
  Settle();
  ASSERT_TRUE(Last().has_start_failed());
  EXPECT_EQ(Last().start_failed().reason().type(), "no_luck");
  c.SendCommand(StartCommand({"sup", "y"}, 101, "nosuch"));
  Settle();
  EXPECT_EQ(Last().start_failed().reason().type(), kUndef);
}

TEST_F(AssignedChildrenTest, AnIgnoredStartIsReported) {
  c.SendCommand(StartCommand({"sup", "x"}, 100, "ignoring"));
  Settle();
  EXPECT_TRUE(Last().started().ignored());
}

TEST_F(AssignedChildrenTest, AnInvalidSpecFailsAndNamesTheField) {
  auto cmd = c.NewCommand({"sup", "x"}, 100);
  cmd.mutable_start()->mutable_spec()->mutable_start();
  c.SendCommand(cmd);
  Settle();
  ASSERT_TRUE(Last().has_start_failed());
  EXPECT_EQ(Last().start_failed().reason().type(), "spec_invalid");
  EXPECT_THAT(Last().start_failed().reason().message(), ::testing::HasSubstr("module"));
}

TEST_F(AssignedChildrenTest, AnExitIsReported) {
  const Pid pid = Started({"sup", "x"}, 100);
  Call(pid, "crash");
  ASSERT_TRUE(Last().has_exited());
  EXPECT_EQ(Last().exited().reason().type(), "crash");
}

TEST_F(AssignedChildrenTest, AStopIsByThePolicyAndReported) {
  Started({"sup", "x"}, 100);
  c.SendCommand(StopCommand({"sup", "x"}, 100));
  Settle();
  ASSERT_TRUE(Last().has_stopped());
  EXPECT_EQ(Last().stopped().reason().kind(), v1::ExitReason::KIND_SHUTDOWN);
  EXPECT_THAT(world.log, ::testing::ElementsAre("x shutdown"));
}

TEST_F(AssignedChildrenTest, AKillRunsNoCode) {
  Started({"sup", "x"}, 100);
  auto cmd = c.NewCommand({"sup", "x"}, 100);
  cmd.mutable_kill();
  c.SendCommand(cmd);
  Settle();
  ASSERT_TRUE(Last().has_stopped());
  EXPECT_EQ(Last().stopped().reason().kind(), v1::ExitReason::KIND_KILLED);
  EXPECT_TRUE(world.log.empty());
}

TEST_F(AssignedChildrenTest, AStopOfWhatIsNotThereIsNotStarted) {
  const size_t own = runtime->process_count();  // the node's
  c.SendCommand(StopCommand({"sup", "x"}, 100));
  Settle();
  EXPECT_TRUE(Last().has_not_started());
  EXPECT_EQ(Last().fence(), 100u);
  // And a start with that fence will not be carried out any more.
  c.SendCommand(StartCommand({"sup", "x"}, 100));
  Settle();
  EXPECT_EQ(runtime->process_count(), own);
}

TEST_F(AssignedChildrenTest, ARepeatedStartIsAnsweredFromMemory) {
  const Pid pid = Started({"sup", "x"}, 100);
  c.SendCommand(StartCommand({"sup", "x"}, 100));
  Settle();
  ASSERT_TRUE(Last().has_started());
  EXPECT_EQ(Last().started().pid().id(), pid.id);
  EXPECT_EQ(c.reports.size(), 2u);
}

TEST_F(AssignedChildrenTest, AnOlderFenceIsNotStarted) {
  Started({"sup", "x"}, 100);
  c.SendCommand(StartCommand({"sup", "x"}, 99));
  Settle();
  EXPECT_TRUE(Last().has_not_started());
  EXPECT_EQ(Last().fence(), 99u);
}

TEST_F(AssignedChildrenTest, ANewerStartWaitsForTheEndOfTheOlder) {
  const Pid old = Started({"sup", "x"}, 1 << 11);
  c.SendCommand(StartCommand({"sup", "x"}, 2 << 11));
  Settle();
  ASSERT_EQ(c.reports.size(), 3u);
  EXPECT_TRUE(c.reports[1].has_stopped());
  ASSERT_TRUE(c.reports[2].has_started());
  EXPECT_FALSE(runtime->IsAlive(old));
  EXPECT_THAT(world.log, ::testing::ElementsAre("x shutdown"));
}

TEST_F(AssignedChildrenTest, CommandsOfAnotherSessionAreRefused) {
  auto cmd = StartCommand({"sup", "x"}, 100);
  cmd.set_control_session(cmd.control_session() + 1);
  c.SendCommand(cmd);
  cmd = StartCommand({"sup", "x"}, 101);
  cmd.set_epoch(0);
  c.SendCommand(cmd);
  Settle();
  ASSERT_EQ(c.results.size(), 2u);
  EXPECT_TRUE(c.results[0].has_error());
  EXPECT_TRUE(c.results[1].has_error());
  EXPECT_TRUE(c.reports.empty());
}

TEST_F(AssignedChildrenTest, INV17AResyncTellsOfRunningChildrenAndUnackedReports) {
  const Pid pid = Started({"sup", "x"}, 100);
  const Pid other = Started({"sup", "y"}, 101);
  c.AckReports();
  Settle();
  network.Isolate("c:1");
  runtime->Exit(other, ExitReason::Kill());
  Settle(absl::Milliseconds(200));
  network.HealAll();
  network.Break("n:1", "c:1");
  Settle(absl::Seconds(3));
  ASSERT_EQ(c.resyncs, 2);
  ASSERT_EQ(c.chunks.size(), 1u);
  ASSERT_EQ(c.chunks[0].children_size(), 1);
  EXPECT_EQ(c.chunks[0].children(0).fence(), 100u);
  EXPECT_EQ(c.chunks[0].children(0).pid().id(), pid.id);
  EXPECT_EQ(c.chunks[0].children(0).state(), v1::ACTOR_STATE_RUNNING);
  ASSERT_EQ(c.chunks[0].reports_size(), 1);
  EXPECT_TRUE(c.chunks[0].reports(0).has_exited());
  EXPECT_EQ(Call(pid), "1");  // nothing happened to it
}

TEST_F(AssignedChildrenTest, LargeResyncsComeInChunks) {
  for (int i = 0; i < 2000; ++i) {
    auto cmd = StartCommand({"sup", std::string(60, 'x') + std::to_string(i)}, 100);
    c.SendCommand(cmd);
  }
  Settle(absl::Seconds(1));
  ASSERT_EQ(c.reports.size(), 2000u);
  network.Break("n:1", "c:1", StreamKind::kControl);
  Settle(absl::Seconds(3));
  ASSERT_EQ(c.resyncs, 2);
  EXPECT_GT(c.chunks.size(), 5u);
  size_t children = 0;
  for (const auto& chunk : c.chunks) {
    children += static_cast<size_t>(chunk.children_size());
    EXPECT_LE(chunk.ByteSizeLong(), 64u * 1024);
  }
  EXPECT_EQ(children, 2000u);
}

TEST_F(AssignedChildrenTest, ANameIsThereBeforeInitAndGoneAfter) {
  const Pid pid = Started({"sup", "x"}, 100, "the/name");
  EXPECT_EQ(runtime->Whereis("the/name"), pid);
  std::optional<Resolved> resolved;
  node->ResolveTarget(Target::Named("the/name"), time.Now(),
                      [&](absl::StatusOr<Resolved> r) { resolved = *r; });
  Settle();
  ASSERT_TRUE(resolved);
  EXPECT_EQ(resolved->pid, pid);
  EXPECT_EQ(resolved->reg_version, 99u);
  c.SendCommand(StopCommand({"sup", "x"}, 100));
  Settle();
  EXPECT_FALSE(runtime->Whereis("the/name"));
}

TEST_F(AssignedChildrenTest, AStopDuringInitEndsIt) {
  const size_t own = runtime->process_count();  // the node's
  modules.AddFunction("hanging", [this](Self& self, StartSpec, StartContext) -> Task<StartResult> {
    StartOptions options;
    options.parent = self.pid();
    ++world.stuck_inits;
    co_return co_await StartProcess(
        self,
        [](Self& me, StartAck) -> Task<ExitReason> {
          me.SetTrapExit(true);
          for (;;) co_await me.Receive();
        },
        options);
  });
  c.SendCommand(StartCommand({"sup", "x"}, 100, "hanging"));
  Settle();
  EXPECT_EQ(world.stuck_inits, 1);
  EXPECT_TRUE(c.reports.empty());
  c.SendCommand(StopCommand({"sup", "x"}, 100));
  Settle(absl::Seconds(10));
  ASSERT_EQ(c.reports.size(), 1u);
  EXPECT_TRUE(Last().has_stopped()) << Last().DebugString();
  EXPECT_EQ(runtime->process_count(), own);
}

TEST_F(AssignedChildrenTest, WhatAChildLeavesGoesWithItsEndIfAsked) {
  const std::string mib(1 << 20, 'x');
  struct Case {
    const char* what;
    bool in_spec, asked;
    Payload left;
    std::string reported;
  };
  const Case cases[] = {
      {"asked", true, true, Text("state"), "state"},
      {"a whole MiB", true, true, Text(mib), mib},
      {"more", true, true, Text(mib + std::string(4096, 'x')), ""},
      {"of this process alone", true, true, Payload::Local(std::string("state")), ""},
      {"not asked", true, false, Text("state"), ""},
      {"not in the spec", false, true, Text("state"), ""},
      {"nothing", true, true, Payload(), ""},
  };
  uint64_t fence = 100;
  for (const Case& test : cases) {
    world.left = test.left;
    auto start = StartCommand({"sup", "x"}, fence += 1 << 11);
    start.mutable_start()->mutable_spec()->set_hand_off(test.in_spec);
    c.SendCommand(start);
    Settle();
    auto stop = StopCommand({"sup", "x"}, fence);
    stop.mutable_stop()->set_hand_off(test.asked);
    c.SendCommand(stop);
    Settle();
    ASSERT_TRUE(Last().has_stopped()) << test.what;
    EXPECT_EQ(Last().stopped().hand_off().value().value(), test.reported) << test.what;
  }
}

TEST_F(AssignedChildrenTest, ALifeThatIsKeptGoesOnUnderItsNewFence) {
  const uint64_t older = 1 << 11, newer = 5 << 11;
  const Pid pid = Started({"sup", "x"}, older);
  EXPECT_EQ(Call(pid, "fence"), "sup/x 2048");
  auto keep = c.NewCommand({"sup", "x"}, older);
  keep.mutable_update()->set_fence(newer);
  c.SendCommand(keep);
  Settle();
  EXPECT_EQ(Call(pid, "fence"), "sup/x 10240");
  // What lies between is not started any more, and what it does is told with the new fence.
  c.SendCommand(StartCommand({"sup", "x"}, 3 << 11));
  Settle();
  EXPECT_TRUE(Last().has_not_started());
  Call(pid, "crash");
  EXPECT_TRUE(Last().has_exited());
  EXPECT_EQ(Last().fence(), newer);
}

TEST_F(AssignedChildrenTest, ALifeThatIsToBeKeptAndIsOverIsToldOf) {
  const Pid pid = Started({"sup", "x"}, 1 << 11);
  Call(pid, "crash");
  auto keep = c.NewCommand({"sup", "x"}, 1 << 11);
  keep.mutable_update()->set_fence(5 << 11);
  c.SendCommand(keep);
  Settle();
  EXPECT_TRUE(Last().has_not_started());
  EXPECT_EQ(Last().fence(), uint64_t{5} << 11);
}

}  // namespace
}  // namespace banyan::testing
