// Strategies, intensity, retries.
#include <gtest/gtest.h>

#include "planner_fixture.h"

namespace banyan {
namespace {

using K = PlannerRig::Outcome;

TEST(PlannerOneForOne, SUP030OnlyTheFailedOneAndThenItTrips) {
  PlannerRig rig(Flags(Strategy::kOneForOne, 2));
  rig.Init({S("c1"), S("c2")});
  const Pid c2 = rig.PidOf("c2");
  rig.TakeTrace();
  rig.Exit("c1", Boom());
  EXPECT_EQ(rig.TakeTrace(), "+c1");
  EXPECT_EQ(rig.PidOf("c2"), c2);
  rig.Exit("c2", Boom());
  rig.Exit("c1", Boom());
  EXPECT_EQ(rig.TakeTrace(), "+c2 -c2 exit:shutdown");
  EXPECT_EQ(rig.TakeReports(),
            "child_terminated(c1) child_terminated(c2) child_terminated(c1) shutdown(c1)");
  EXPECT_EQ(rig.planner.FindById("c1")->restarts, 1u);
}

TEST(PlannerOneForOne, SUP043To052RestartTypes) {
  struct Row {
    RestartType type;
    ExitReason reason;
    const char* children;
    const char* reports;
  };
  const Row rows[] = {
      {kPerm, ExitReason::Normal(), "c1", "child_terminated(c1)"},
      {kPerm, ExitReason::Shutdown(), "c1", "child_terminated(c1)"},
      {kPerm, Boom(), "c1", "child_terminated(c1)"},
      {kTrans, ExitReason::Normal(), "c1:undefined", ""},
      {kTrans, ExitReason::Shutdown(), "c1:undefined", ""},
      {kTrans, Boom(), "c1", "child_terminated(c1)"},
      {kTrans, ExitReason::NoConnection(), "c1", "child_terminated(c1)"},
      {kTemp, ExitReason::Normal(), "", ""},
      {kTemp, ExitReason::Shutdown(), "", ""},
      {kTemp, Boom(), "", "child_terminated(c1)"},
  };
  for (const Row& row : rows) {
    PlannerRig rig(Flags(Strategy::kOneForOne));
    rig.Init({S("c1", row.type)});
    rig.Exit("c1", row.reason);
    EXPECT_EQ(rig.Children(), row.children) << row.reason.ToString();
    EXPECT_EQ(rig.TakeReports(), row.reports);
  }
}

TEST(PlannerOneForOne, SUP031FailingRestartsTrip) {
  PlannerRig rig(Flags(Strategy::kOneForOne, 2));
  rig.Init({S("c1"), S("c2")});
  rig.TakeTrace();
  rig.Script("c1", {K::kFail, K::kFail, K::kFail, K::kFail});
  rig.Exit("c1", Boom());
  rig.RunRetries();
  // SUP-108: exactly `intensity` failed starts, then the end.
  EXPECT_EQ(rig.TakeTrace(), "!c1 !c1 -c2 exit:shutdown");
  EXPECT_EQ(
      rig.TakeReports(),
      "child_terminated(c1) start_error(c1) start_error(c1:restarting) shutdown(c1:restarting)");
}

TEST(PlannerOneForOne, RetriesGoToTheEndOfTheMailbox) {
  PlannerRig rig(Flags(Strategy::kOneForOne, 5));
  rig.Init({S("c1")});
  rig.Script("c1", {K::kFail});
  const Pid old = rig.PidOf("c1");
  rig.Exit("c1", Boom());
  ASSERT_EQ(rig.delays.size(), 1u);
  EXPECT_EQ(rig.delays[0], absl::ZeroDuration());
  EXPECT_FALSE(rig.planner.busy()) << "serves calls between attempts";
  EXPECT_EQ(rig.Children(), "c1:restarting");
  EXPECT_EQ(rig.PidOf("c1"), old);
  rig.Exit("c1", Boom());
  EXPECT_EQ(rig.Children(), "c1:restarting") << "a stray exit of the old pid";
  rig.RunRetries();
  EXPECT_EQ(rig.Children(), "c1");
}

TEST(PlannerOneForOne, SUP106CleanExitsDoNotCount) {
  PlannerRig rig(Flags(Strategy::kOneForOne, 0));
  rig.Init({S("a", kTrans), S("b", kTemp)});
  rig.Exit("a", ExitReason::Shutdown());
  rig.Exit("b", ExitReason::Killed());
  EXPECT_FALSE(rig.exited);
  EXPECT_EQ(rig.Children(), "a:undefined");
}

TEST(PlannerOneForOne, UncountedExitsLeaveTheWindowAlone) {
  PlannerRig rig(Flags(Strategy::kOneForOne, 0));
  rig.Init({S("a")});
  for (int i = 0; i < 5; ++i) {
    rig.Run(rig.planner.OnExited(rig.Key("a"), ExitReason::NoConnection(), rig.now, false));
  }
  EXPECT_FALSE(rig.exited);
  EXPECT_EQ(rig.Children(), "a");
}

TEST(PlannerOneForAll, SUP032StopsInReverseAndStartsInOrder) {
  PlannerRig rig(Flags(Strategy::kOneForAll, 2));
  rig.Init({S("a"), S("b"), S("c")});
  rig.TakeTrace();
  rig.Exit("b", Boom());
  EXPECT_EQ(rig.TakeTrace(), "-c -a +a +b +c");
  rig.Exit("a", Boom());
  rig.Exit("a", Boom());
  EXPECT_EQ(rig.TakeTrace(), "-c -b +a +b +c -c -b exit:shutdown");
}

TEST(PlannerOneForAll, SUP110TemporarySiblingsAreGone) {
  PlannerRig rig(Flags(Strategy::kOneForAll, 2));
  rig.Init({S("a"), S("b"), S("t", kTemp), S("c")});
  rig.TakeTrace();
  rig.Exit("b", ExitReason::Killed());
  EXPECT_EQ(rig.TakeTrace(), "-c -t -a +a +b +c");
  EXPECT_EQ(rig.Children(), "c b a");
}

TEST(PlannerRestForOne, SUP111LeavesEarlierOnesAlone) {
  PlannerRig rig(Flags(Strategy::kRestForOne, 2));
  rig.Init({S("a"), S("b"), S("t", kTemp), S("c")});
  rig.TakeTrace();
  rig.Exit("b", ExitReason::Killed());
  EXPECT_EQ(rig.TakeTrace(), "-c -t +b +c");
  EXPECT_EQ(rig.Children(), "c b a");
}

TEST(PlannerOneForAll, SUP112RevivesWhatWasTerminated) {
  PlannerRig rig(Flags(Strategy::kOneForAll, 2));
  rig.Init({S("a"), S("b", kTrans), S("c")});
  rig.Terminate("b");
  rig.TakeTrace();
  rig.Exit("a", Boom());
  EXPECT_EQ(rig.TakeTrace(), "-c +a +b +c");
}

TEST(PlannerRestForOne, SUP113RevivesWhatEndedCleanly) {
  PlannerRig rig(Flags(Strategy::kRestForOne, 2));
  rig.Init({S("a"), S("b", kTrans)});
  rig.Exit("b", ExitReason::Normal());
  rig.TakeTrace();
  rig.Exit("a", Boom());
  EXPECT_EQ(rig.TakeTrace(), "+a +b");
}

TEST(PlannerRestForOne, SUP076BystandersThatExitDoNotPullOthers) {
  for (Strategy strategy : {Strategy::kOneForAll, Strategy::kRestForOne}) {
    PlannerRig rig(Flags(strategy, 2));
    rig.Init({S("c1"), S("c2", kTemp)});
    rig.TakeTrace();
    rig.Exit("c2", Boom());
    EXPECT_EQ(rig.TakeTrace(), "");
    rig.Exit("c1", ExitReason::Normal());
    EXPECT_EQ(rig.Children(), "c1");
  }
}

TEST(PlannerOneForAll, SUP114AFailureMidwayStartsAllAgain) {
  PlannerRig rig(Flags(Strategy::kOneForAll, 2));
  rig.Init({S("a"), S("b"), S("c")});
  rig.TakeTrace();
  rig.Script("b", {K::kFail});
  rig.Exit("a", Boom());
  EXPECT_EQ(rig.TakeTrace(), "-c -b +a !b");
  EXPECT_EQ(rig.Children(), "c:undefined b:restarting a");
  rig.RunRetries();
  EXPECT_EQ(rig.TakeTrace(), "-a +a +b +c");
  EXPECT_EQ(rig.TakeReports(), "child_terminated(a) start_error(b)");
}

TEST(PlannerRestForOne, SUP115AFailureMidwayGoesOnFromThere) {
  PlannerRig rig(Flags(Strategy::kRestForOne, 5));
  rig.Init({S("z"), S("a"), S("b"), S("c")});
  rig.TakeTrace();
  rig.Script("b", {K::kFail, K::kFail});
  rig.Exit("a", Boom());
  rig.RunRetries();
  EXPECT_EQ(rig.TakeTrace(), "-c -b +a !b !b +b +c");
}

TEST(PlannerOneForAll, TheFailedOneKeepsItsOldPidOnlyWhenItWasTheCause) {
  for (const char* failing : {"a", "b"}) {
    PlannerRig rig(Flags(Strategy::kOneForAll, 5));
    rig.Init({S("a"), S("b")});
    const Pid old = rig.PidOf("a");
    rig.Script(failing, {K::kFail});
    rig.Exit("a", Boom());
    const bool cause = std::string(failing) == "a";
    EXPECT_EQ(rig.PidOf(failing), cause ? old : Pid{});
    EXPECT_EQ(rig.Children(), cause ? "b:undefined a:restarting" : "b:restarting a");
  }
}

TEST(PlannerOneForAll, TheCauseIsUndefinedWhenAnEarlierMemberFails) {
  PlannerRig rig(Flags(Strategy::kOneForAll, 5));
  rig.Init({S("a"), S("b"), S("c")});
  rig.Script("a", {K::kFail});
  rig.Exit("b", Boom());
  EXPECT_EQ(rig.Children(), "c:undefined b:undefined a:restarting");
  rig.RunRetries();
  EXPECT_EQ(rig.Children(), "c b a");
}

TEST(PlannerOneForAll, SUP109TripsAfterTwoTries) {
  PlannerRig rig(Flags(Strategy::kOneForAll, 2));
  rig.Init({S("a"), S("b")});
  rig.TakeTrace();
  rig.Script("b", {K::kFail, K::kFail, K::kFail});
  rig.Exit("a", Boom());
  rig.RunRetries();
  EXPECT_EQ(rig.TakeTrace(), "-b +a !b -a +a !b -a exit:shutdown");
}

TEST(PlannerRestForOne, AnotherCrashBeforeTheRetryMakesItStale) {
  PlannerRig rig(Flags(Strategy::kRestForOne, 5));
  rig.Init({S("a"), S("b"), S("c")});
  rig.TakeTrace();
  rig.Script("b", {K::kFail});
  rig.Exit("b", Boom());
  EXPECT_EQ(rig.TakeTrace(), "-c !b");
  rig.Exit("a", Boom());
  EXPECT_EQ(rig.TakeTrace(), "+a +b +c");
  rig.RunRetries();
  EXPECT_EQ(rig.TakeTrace(), "");
}

TEST(PlannerRestForOne, SUP079TerminatedWhileRestarting) {
  PlannerRig rig(Flags(Strategy::kRestForOne, 8));
  rig.Init({S("c1"), S("c2"), S("c3")});
  rig.Script("c2", {K::kFail});
  rig.Exit("c2", Boom());
  EXPECT_EQ(rig.Children(), "c3:undefined c2:restarting c1");
  EXPECT_EQ(rig.Counts(), "[3,1,0,3]");
  EXPECT_EQ(rig.Terminate("c2").code, OpResult::Code::kOk);
  rig.RunRetries();
  EXPECT_EQ(rig.Children(), "c3:undefined c2:undefined c1");
  rig.TakeTrace();
  EXPECT_EQ(rig.Restart("c2").code, OpResult::Code::kOk);
  EXPECT_EQ(rig.TakeTrace(), "+c2");
  rig.Shutdown();
  EXPECT_EQ(rig.TakeTrace(), "-c2 -c1 exit:shutdown");
}

TEST(PlannerRestart, AnIgnoredRestartLeavesItUndefined) {
  for (Strategy strategy : {Strategy::kOneForOne, Strategy::kOneForAll, Strategy::kRestForOne}) {
    PlannerRig rig(Flags(strategy, 1));
    rig.Init({S("a"), S("b")});
    rig.Script("a", {K::kIgnore});
    rig.Exit("a", Boom());
    EXPECT_EQ(rig.Children(), "b a:undefined");
    rig.Exit("b", Boom());
    EXPECT_TRUE(rig.exited) << "it was counted";
  }
}

TEST(PlannerBackoff, DelaysFromTheSecondRestartAndCountsAtTheExit) {
  PlannerRig rig(Flags(Strategy::kOneForOne, 3), {.default_backoff = RestartBackoff{}});
  rig.Init({S("a")});
  rig.Exit("a", Boom());
  EXPECT_EQ(rig.Children(), "a") << "the first has no delay";
  rig.Exit("a", Boom());
  EXPECT_EQ(rig.Children(), "a:restarting");
  EXPECT_EQ(rig.delays, (std::vector<absl::Duration>{absl::Milliseconds(100)}));
  rig.Script("a", {K::kFail});
  rig.RunRetries();
  EXPECT_TRUE(rig.exited == std::nullopt);
  EXPECT_EQ(rig.delays.back(), absl::Milliseconds(200)) << "the failed start was the third";
  EXPECT_EQ(rig.Children(), "a");
  rig.Exit("a", Boom());
  EXPECT_TRUE(rig.exited);
}

TEST(PlannerBackoff, ChildrenMayHaveTheirOwn) {
  auto spec = S("a");
  spec->restart_backoff = RestartBackoff{.initial = absl::Seconds(7)};
  PlannerRig rig(Flags(Strategy::kOneForAll, 9));
  rig.Init({spec, S("b")});
  rig.Exit("a", Boom());
  rig.TakeTrace();
  rig.Exit("a", Boom());
  EXPECT_EQ(rig.TakeTrace(), "");
  EXPECT_EQ(rig.delays.back(), absl::Seconds(7));
  rig.RunRetries();
  EXPECT_EQ(rig.TakeTrace(), "-b +a +b");
}

}  // namespace
}  // namespace banyan
