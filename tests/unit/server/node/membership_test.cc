#include <gmock/gmock.h>

#include "fake_coordinator.h"

namespace banyan::testing {
namespace {

class Membership : public NodeTest {
 protected:
  // Joins anew and counts what it says of its leave.
  void JoinAndCountLeaves() {
    hooks.left = [this] { ++left; };
    Crash();
    Boot();
    Settle();
  }
  int left = 0;
};

TEST_F(Membership, JoinsAndBeats) {
  Join();
  EXPECT_EQ(c.hellos[0].name(), "n");
  EXPECT_EQ(c.hellos[0].incarnation(), 0u);
  EXPECT_EQ(c.hellos[0].modules_size(), 3);
  Settle(absl::Seconds(10));
  EXPECT_GE(c.beats.size(), 9u);
  EXPECT_LE(c.beats.size(), 13u);
  EXPECT_GT(c.beats.back().acked_seq(), 5u);
  EXPECT_EQ(node->Info().name(), "n");
}

TEST_F(Membership, RedialsWithTheSameIncarnation) {
  Join();
  network.Break("n:1", "c:1", StreamKind::kControl);
  Settle(absl::Seconds(3));
  ASSERT_EQ(c.hellos.size(), 2u);
  EXPECT_EQ(c.hellos[1].incarnation(), 1u);
  EXPECT_EQ(c.hellos[1].epoch_seen(), 1u);
  EXPECT_EQ(c.resyncs, 2);
  EXPECT_EQ(node->identity().incarnation, 1u);
}

TEST_F(Membership, ASilentCoordinatorIsDialledAgain) {
  c.greet = false;
  Settle(absl::Seconds(20));
  EXPECT_GE(c.hellos.size(), 3u);
  EXPECT_FALSE(node->joined());
  c.greet = true;
  Settle(absl::Seconds(10));
  EXPECT_TRUE(node->joined());
}

TEST_F(Membership, INV1ALowerEpochIsRefused) {
  c.epoch = 5;
  Join();
  c.epoch = 4;
  network.Break("n:1", "c:1", StreamKind::kControl);
  Settle(absl::Seconds(5));
  EXPECT_EQ(c.resyncs, 1);
  c.epoch = 6;
  Settle(absl::Seconds(5));
  EXPECT_EQ(c.resyncs, 2);
}

TEST_F(Membership, FreezesWithoutAcksAndThawsWithItsState) {
  Join();
  const Pid pid = Started({"sup", "x"}, 100);
  EXPECT_EQ(Call(pid), "1");
  c.ack = false;
  Settle(absl::Seconds(16));
  EXPECT_TRUE(runtime->frozen());
  EXPECT_TRUE(node->Info().frozen());
  EXPECT_EQ(Call(pid), "CALL_TIMEOUT");
  EXPECT_TRUE(c.beats.back().frozen());
  c.ack = true;
  Settle(absl::Seconds(3));
  EXPECT_FALSE(runtime->frozen());
  // The call that came while it was frozen was not executed: its time was over.
  EXPECT_EQ(Call(pid), "2");
  EXPECT_FALSE(node->Info().frozen());
}

TEST_F(Membership, L1TheLeaseRunsFromTheSendTime) {
  network.set_latency(
      [](const std::string&, const std::string&) { return absl::Milliseconds(400); });
  Settle(absl::Seconds(5));
  network.Isolate("c:1");
  // The newest acknowledged heartbeat was sent before now, so the freeze comes before now + freeze.
  Settle(absl::Seconds(15) - absl::Milliseconds(350));
  EXPECT_TRUE(runtime->frozen());
}

TEST_F(Membership, AvailableChildrenAreNotFrozen) {
  Join();
  auto cmd = StartCommand({"sup", "x"}, 100);
  cmd.mutable_start()->mutable_spec()->set_exclusivity(v1::EXCLUSIVITY_AVAILABLE);
  c.SendCommand(cmd);
  Settle();
  const Pid pid{0, 0, c.reports.back().started().pid().id()};
  c.ack = false;
  Settle(absl::Seconds(30));
  EXPECT_TRUE(runtime->frozen());
  EXPECT_EQ(Call(pid), "1");
}

TEST_F(Membership, DeadIsFencedAndRejoinsAnew) {
  Join();
  const Pid pid = Started({"sup", "x"}, 100);
  Pid local = *runtime->Spawn([](Self& self) -> Task<ExitReason> {
    co_await self.Receive();
    co_return ExitReason::Normal();
  });
  c.incarnation = 2;
  c.EndControl(FakeCoordinator::Dead());
  Settle(absl::Seconds(1));
  EXPECT_FALSE(runtime->IsAlive(pid));
  EXPECT_TRUE(runtime->IsAlive(local));
  EXPECT_TRUE(world.log.empty());  // it was killed: none of its code ran
  ASSERT_EQ(c.hellos.size(), 2u);
  EXPECT_EQ(c.hellos[1].incarnation(), 0u);
  EXPECT_EQ(node->identity().incarnation, 2u);
  EXPECT_TRUE(c.chunks.empty());
  Settle(absl::Seconds(2));
  EXPECT_FALSE(runtime->frozen());
  EXPECT_EQ(c.reports.size(), 1u);  // of the life before
}

TEST_F(Membership, DeadFromTheView) {
  Join();
  c.incarnation = 2;
  internal::v1::ControlResponse r;
  r.mutable_view()->set_version(5);
  r.mutable_view()->set_epoch(1);
  r.mutable_view()->set_full(true);
  v1::NodeInfo* me = r.mutable_view()->add_nodes();
  me->set_node_id(7);
  me->set_incarnation(1);
  me->set_state(v1::NODE_STATE_DEAD);
  c.Send(r);
  Settle(absl::Seconds(1));
  EXPECT_EQ(node->identity().incarnation, 2u);
}

TEST_F(Membership, DeadKillsFrozenDescendantsBeforeItRejoins) {
  Join();
  auto cmd = c.NewCommand({"sup", "tree"}, 100);
  v1::ChildSpec* spec = cmd.mutable_start()->mutable_spec();
  spec->set_id("tree");
  v1::SupervisorSpec* sup = spec->mutable_supervisor();
  sup->set_strategy(v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE);
  v1::ChildSpec* inner = sup->add_children();
  inner->set_id("leaf");
  inner->mutable_start()->set_module("counter");
  inner->mutable_start()->set_name("leaf");
  c.SendCommand(cmd);
  Settle();
  ASSERT_TRUE(c.reports.back().has_started()) << c.reports.back().DebugString();
  const Pid leaf = *runtime->Whereis("leaf");
  c.ack = false;
  Settle(absl::Seconds(16));
  runtime->Send(leaf, Text("waits"));
  c.ack = true;
  c.incarnation = 2;
  c.EndControl(FakeCoordinator::Dead());
  Settle(absl::Seconds(5));
  EXPECT_FALSE(runtime->IsAlive(leaf));
  EXPECT_TRUE(world.log.empty());
  EXPECT_EQ(node->identity().incarnation, 2u);
}

TEST_F(Membership, StopEndsChildrenInReverseOrderAndLeaves) {
  Join();
  Started({"sup", "a"}, 100);
  Started({"sup", "b"}, 101);
  bool done = false;
  node->Stop(absl::Seconds(20), [&] { done = true; });
  Settle(absl::Seconds(1));
  EXPECT_TRUE(done);
  EXPECT_TRUE(c.left);
  EXPECT_THAT(world.log, ::testing::ElementsAre("b shutdown", "a shutdown"));
  EXPECT_TRUE(c.reports.back().has_stopped());
  EXPECT_FALSE(node->joined());
}

TEST_F(Membership, StopIsOverWhenTheLeaveIsRecorded) {
  JoinAndCountLeaves();
  c.record_leave = false;
  bool done = false;
  node->Stop(absl::Seconds(20), [&] { done = true; });
  Settle(absl::Seconds(1));
  EXPECT_TRUE(c.left);
  EXPECT_FALSE(done) << "what was written may not have been sent yet";
  EXPECT_TRUE(node->joined());
  c.EndControl(absl::OkStatus());
  Settle();
  EXPECT_TRUE(done);
  EXPECT_EQ(left, 1);
  EXPECT_FALSE(node->joined());
}

TEST_F(Membership, StopGoesOnWhenTheLeaveIsNotAnswered) {
  JoinAndCountLeaves();
  c.record_leave = false;
  bool done = false;
  node->Stop(absl::Seconds(20), [&] { done = true; });
  Settle(absl::Seconds(10));
  EXPECT_TRUE(done);
  EXPECT_EQ(left, 0);
  EXPECT_FALSE(node->joined());
}

TEST_F(Membership, StopAfterADrainThatEndedInLeavingIsDoneAtOnce) {
  Join();
  auto drain = c.NewCommand({}, 0);
  drain.mutable_set_drain()->set_draining(true);
  drain.mutable_set_drain()->set_then_leave(true);
  c.SendCommand(drain);
  Settle(absl::Seconds(1));
  ASSERT_TRUE(c.left);
  bool done = false;
  node->Stop(absl::Seconds(20), [&] { done = true; });
  Settle();
  EXPECT_TRUE(done);
}

TEST_F(Membership, DrainWithThenLeaveLeavesWhenEmpty) {
  Join();
  Started({"sup", "a"}, 100);
  auto drain = c.NewCommand({}, 0);
  drain.mutable_set_drain()->set_draining(true);
  drain.mutable_set_drain()->set_then_leave(true);
  c.SendCommand(drain);
  Settle();
  EXPECT_TRUE(node->draining());
  EXPECT_FALSE(c.left);
  c.SendCommand(StopCommand({"sup", "a"}, 100));
  Settle(absl::Seconds(1));
  EXPECT_TRUE(c.left);
}

// As the last word of the drain: it has left, though not by its own leave.
TEST_F(Membership, ADeadNodeThatWasToLeaveHasLeft) {
  JoinAndCountLeaves();
  const Pid pid = Started({"sup", "a"}, 100);
  c.LetLeave(/*at_once=*/false);
  Settle();
  EXPECT_EQ(left, 0);
  const size_t hellos = c.hellos.size();
  c.incarnation = 2;
  c.EndControl(FakeCoordinator::Dead());
  Settle(absl::Seconds(3));
  EXPECT_EQ(left, 1);
  EXPECT_FALSE(runtime->IsAlive(pid));
  EXPECT_EQ(c.hellos.size(), hellos) << "it does not come back";
  bool done = false;
  node->Stop(absl::Seconds(20), [&] { done = true; });
  Settle();
  EXPECT_TRUE(done);
}

TEST_F(Membership, ALeaveThatWasNotAnsweredIsSentAgain) {
  JoinAndCountLeaves();
  c.record_leave = false;
  c.LetLeave(/*at_once=*/false);
  Settle();
  EXPECT_TRUE(c.left);
  c.left = false;
  c.EndControl(absl::UnavailableError("a new term begins"));
  Settle();
  c.record_leave = true;
  Settle(absl::Seconds(10));
  EXPECT_TRUE(c.left);
  EXPECT_EQ(left, 1);
  EXPECT_FALSE(node->joined());
}

TEST_F(Membership, AStopDoesNotWaitForALeaveThatNobodyAnswers) {
  Join();
  c.record_leave = false;
  c.LetLeave(/*at_once=*/false);
  Settle();
  EXPECT_TRUE(c.left);
  network.Isolate("c:1");
  c.EndControl(absl::UnavailableError("down"));
  Settle(absl::Seconds(20));
  bool done = false;
  node->Stop(absl::Seconds(20), [&] { done = true; });
  Settle();
  EXPECT_TRUE(done);
}

// A stop begins with a drain: the coordinator moves the children, and the node goes with the last.
TEST_F(Membership, StopLetsTheCoordinatorMoveTheChildrenFirst) {
  c.move_nothing = false;
  Join();
  Started({"sup", "a"}, 1 << 11);
  Started({"sup", "b"}, 2 << 11);
  bool done = false;
  node->Stop(absl::Seconds(20), [&] { done = true; });
  Settle(absl::Seconds(2));
  ASSERT_EQ(c.retires.size(), 1u);
  EXPECT_EQ(wire::FromProto(c.retires[0].deadline()), absl::Seconds(15));
  EXPECT_TRUE(world.log.empty()) << "they run until they are moved";
  // Under a new session it asks again, for what is left of the time.
  network.Break("n:1", "c:1", StreamKind::kControl);
  Settle(absl::Seconds(3));
  ASSERT_EQ(c.retires.size(), 2u);
  EXPECT_LT(wire::FromProto(c.retires[1].deadline()), absl::Seconds(13));
  c.SendCommand(StopCommand({"sup", "a"}, 1 << 11));
  c.SendCommand(StopCommand({"sup", "b"}, 2 << 11));
  Settle();
  EXPECT_TRUE(done);
  EXPECT_TRUE(c.left);
}

TEST_F(Membership, AStopDoesNotWaitForACoordinatorThatIsGone) {
  c.move_nothing = false;
  Join();
  Started({"sup", "a"}, 1 << 11);
  bool done = false;
  node->Stop(absl::Seconds(60), [&] { done = true; });
  Settle();
  c.greet = false;
  c.EndControl(absl::UnavailableError("it ends too"));
  Settle(absl::Seconds(4));
  EXPECT_TRUE(world.log.empty()) << "it may come back";
  Settle(absl::Seconds(2));
  EXPECT_THAT(world.log, ::testing::ElementsAre("a shutdown"));
  EXPECT_TRUE(done);
}

TEST_F(Membership, StopEndsWhatWasNotMovedWhenMostOfTheTimeIsOver) {
  c.move_nothing = false;
  Join();
  Started({"sup", "a"}, 1 << 11);
  bool done = false;
  node->Stop(absl::Seconds(20), [&] { done = true; });
  Settle(absl::Seconds(14));
  EXPECT_TRUE(world.log.empty());
  Settle(absl::Seconds(2));
  EXPECT_THAT(world.log, ::testing::ElementsAre("a shutdown"));
  EXPECT_TRUE(done);
  EXPECT_TRUE(c.left);
}

TEST_F(Membership, GarbageFromTheCoordinatorNeverHarms) {
  Join();
  SeededRandom garbage(5);
  for (int i = 0; i < 300; ++i) {
    internal::v1::ControlResponse r;
    switch (garbage.Below(6)) {
      case 0:
        r.mutable_command()->set_epoch(static_cast<uint32_t>(garbage.Below(3)));
        break;
      case 1:
        r.mutable_report_ack()->set_up_to(garbage.Next());
        break;
      case 2:
        r.mutable_name_reply()->set_request_seq(garbage.Below(3));
        break;
      case 3:
        r.mutable_view()->add_nodes()->set_node_id(static_cast<uint32_t>(garbage.Below(5)));
        break;
      case 4:
        r.mutable_routes()->add_released()->set_name("x");
        break;
      case 5: {
        auto cmd = c.NewCommand({"a"}, garbage.Next());
        if (garbage.Below(2))
          cmd.mutable_start();
        else
          cmd.mutable_update();
        *r.mutable_command() = cmd;
        break;
      }
    }
    c.Send(r);
    Settle(absl::Milliseconds(10));
  }
  Settle(absl::Seconds(5));
  EXPECT_TRUE(node->joined());
}

}  // namespace
}  // namespace banyan::testing
