#include <gtest/gtest.h>

#include "planner_fixture.h"

namespace banyan {
namespace {

TEST(PlannerSnapshot, KeysStatesAndHistorySurvive) {
  PlannerRig a(Flags(Strategy::kOneForOne, 2, absl::Seconds(10)));
  a.Init({S("x"), S("y"), S("z")});
  a.Delete("y");
  a.Exit("x", Boom());
  a.Exit("x", Boom());
  const SupervisorSnapshot snapshot = a.planner.Snapshot(a.now);

  PlannerRig b(snapshot.flags);
  b.now = Instant::FromNanos(5'000'000'000);  // another clock
  b.planner.Restore(snapshot, b.now);
  b.Run(b.planner.Resume(b.now));
  EXPECT_EQ(b.TakeTrace(), "") << "nothing was in flight";
  EXPECT_EQ(b.Children(), a.Children());
  EXPECT_EQ(b.Key("x"), a.Key("x"));
  EXPECT_EQ(b.PidOf("x"), a.PidOf("x"));
  EXPECT_EQ(b.planner.FindById("x")->restarts, 2u);
  b.next_pid = 100;
  b.Exit("x", Boom());
  EXPECT_TRUE(b.exited) << "a crash loop does not escape by a failover";
}

TEST(PlannerSnapshot, AGroupRestartGoesOn) {
  for (int steps = 0; steps < 6; ++steps) {
    PlannerRig a(Flags(Strategy::kOneForAll, 5));
    a.Init({S("x"), S("y"), S("z")});
    SupervisorActions actions = a.planner.OnExited(a.Key("y"), Boom(), a.now);
    for (int i = 0; i < steps && !actions.empty(); ++i) {
      const SupervisorAction& last = actions.back();
      if (const auto* stop = std::get_if<action::Stop>(&last)) {
        actions = a.planner.OnStopped(stop->key, ExitReason::Shutdown(), a.now);
      } else if (const auto* start = std::get_if<action::Start>(&last)) {
        actions = a.planner.OnStarted(start->key, Pid::Local(50 + i, 1), {}, a.now);
      }
    }
    const SupervisorSnapshot snapshot = a.planner.Snapshot(a.now);
    PlannerRig b(snapshot.flags);
    b.next_pid = 100;
    b.planner.Restore(snapshot, b.now);
    b.Run(b.planner.Resume(b.now));
    EXPECT_EQ(b.Children(), "z y x") << steps;
    EXPECT_FALSE(b.planner.busy());
    b.Shutdown();
    EXPECT_TRUE(b.exited);
  }
}

TEST(PlannerSnapshot, RetriesAndShutdownsGoOn) {
  PlannerRig a(Flags(Strategy::kOneForOne, 5));
  a.Init({S("x"), S("y")});
  a.Script("x", {PlannerRig::Outcome::kFail});
  a.Exit("x", Boom());
  PlannerRig b(Flags(Strategy::kOneForOne, 5));
  b.next_pid = 100;
  b.planner.Restore(a.planner.Snapshot(a.now), b.now);
  b.Run(b.planner.Resume(b.now));
  ASSERT_EQ(b.retries.size(), 1u);
  b.RunRetries();
  EXPECT_EQ(b.Children(), "y x");

  b.planner.BeginShutdown(ExitReason::Shutdown(), b.now);
  PlannerRig c(Flags(Strategy::kOneForOne, 5));
  c.planner.Restore(b.planner.Snapshot(b.now), c.now);
  c.Run(c.planner.Resume(c.now));
  EXPECT_EQ(c.TakeTrace(), "-y -x exit:shutdown");
}

// The cause of a group restart has been started by it, and has ended again: its own retry waits for
// the end of the group, and is not forgotten with the planner.
TEST(PlannerSnapshot, ACauseThatEndsAgainIsRetried) {
  const SupervisorPlanner::Options slow{.default_backoff = RestartBackoff{}};
  PlannerRig a(Flags(Strategy::kRestForOne, 10), slow);
  a.Init({S("x"), S("y"), S("z")});
  const auto started = [&](const char* id, uint32_t pid) {
    return a.planner.OnStarted(a.Key(id), Pid::Local(pid, 1), {}, a.now);
  };
  a.planner.OnExited(a.Key("x"), Boom(), a.now);
  a.planner.OnStopped(a.Key("z"), ExitReason::Shutdown(), a.now);
  a.planner.OnStopped(a.Key("y"), ExitReason::Shutdown(), a.now);
  started("x", 50);
  // While y is being started x ends; its second restart has a delay, and then waits.
  a.planner.OnExited(a.Key("x"), Boom(), a.now);
  a.planner.OnRetry(a.Key("x"), a.now);
  PlannerRig b(Flags(Strategy::kRestForOne, 10), slow);
  b.next_pid = 100;
  b.planner.Restore(a.planner.Snapshot(a.now), b.now);
  b.Run(b.planner.Resume(b.now));
  b.RunRetries();
  EXPECT_EQ(b.Children(), "z y x");
}

TEST(PlannerSnapshot, DynamicChildrenKeepTheirArguments) {
  PlannerRig a(Flags(Strategy::kSimpleOneForOne), {}, S("t"));
  a.Init({});
  const ChildKey key = a.StartDynamic({Payload::Any("t/x.Y", "1")}).key;
  const SupervisorSnapshot snapshot = a.planner.Snapshot(a.now);
  PlannerRig b(snapshot.flags);
  b.planner.Restore(snapshot, b.now);
  b.Run(b.planner.Resume(b.now));
  ASSERT_NE(b.planner.Find(key)->extra_args, nullptr);
  EXPECT_GT(b.StartDynamic().key, key);
  EXPECT_EQ(b.Counts(), "[1,2,0,2]");
}

}  // namespace
}  // namespace banyan
