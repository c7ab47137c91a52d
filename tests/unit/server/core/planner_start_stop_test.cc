// Start-up, shutdown, automatic shutdown, dynamic children.
#include <gtest/gtest.h>

#include "planner_fixture.h"

namespace banyan {
namespace {

using K = PlannerRig::Outcome;

auto Sig(const char* id, RestartType type) { return PlannerRig::Significant(id, type); }

TEST(PlannerInit, StartsInOrderAndSUP016StopsInReverse) {
  PlannerRig rig(Flags(Strategy::kOneForOne));
  rig.Init({S("a"), S("b"), S("c")});
  EXPECT_EQ(rig.TakeTrace(), "+a +b +c");
  EXPECT_FALSE(rig.planner.busy());
  EXPECT_EQ(rig.Children(), "c b a");
  EXPECT_EQ(rig.Counts(), "[3,3,0,3]");
  rig.Shutdown();
  EXPECT_EQ(rig.TakeTrace(), "-c -b -a exit:shutdown");
  EXPECT_TRUE(rig.planner.exited());
  EXPECT_EQ(rig.reports, "");
}

TEST(PlannerInit, SUP001NoChildren) {
  PlannerRig rig(Flags(Strategy::kOneForOne));
  rig.Init({});
  EXPECT_FALSE(rig.planner.initializing());
  rig.Shutdown(ExitReason::Normal());
  EXPECT_EQ(rig.TakeTrace(), "exit:normal");
}

TEST(PlannerInit, SUP101AFailureUndoesWhatWasStarted) {
  PlannerRig rig(Flags(Strategy::kOneForAll));
  rig.Script("c", {K::kFail});
  rig.Init({S("a"), S("b"), S("c"), S("d")});
  ASSERT_TRUE(rig.exited);
  EXPECT_EQ(*rig.exited, ExitReason::FailedToStartChild("c", ExitReason::Error("nope")));
  EXPECT_EQ(rig.TakeTrace().substr(0, 14), "+a +b !c -b -a");
  EXPECT_EQ(rig.TakeReports(), "start_error(c)");
}

TEST(PlannerInit, SUP004IgnoredTemporaryChildrenAreNotKept) {
  PlannerRig rig(Flags(Strategy::kOneForOne));
  rig.Script("c1", {K::kIgnore});
  rig.Init({S("c1", kTemp), S("c2", kTemp)});
  EXPECT_EQ(rig.Children(), "c2");
  EXPECT_EQ(rig.Counts(), "[1,1,0,1]");
}

TEST(PlannerInit, SUP003IgnoredPermanentChildrenAreKept) {
  PlannerRig rig(Flags(Strategy::kOneForOne));
  rig.Init({});
  rig.Script("c1", {K::kIgnore});
  EXPECT_EQ(rig.Start(S("c1")).code, OpResult::Code::kIgnored);
  EXPECT_EQ(rig.Start(S("c2")).code, OpResult::Code::kOk);
  EXPECT_EQ(rig.Children(), "c2 c1:undefined");
  EXPECT_EQ(rig.Counts(), "[2,1,0,2]");
}

TEST(PlannerShutdown, AbnormalStopsAreReportedOneByOne) {
  PlannerRig rig(Flags(Strategy::kOneForOne));
  rig.Init({S("a"), S("b", kTrans), S("c", kTemp)});
  rig.StopsWith("a", ExitReason::Normal());
  rig.StopsWith("b", ExitReason::Normal());
  rig.StopsWith("c", ExitReason::Killed());
  rig.Shutdown();
  EXPECT_EQ(rig.TakeReports(), "shutdown_error(c) shutdown_error(a)");
}

TEST(PlannerShutdown, NothingIsServedAfterwards) {
  PlannerRig rig(Flags(Strategy::kOneForOne));
  rig.Init({S("a")});
  rig.Shutdown();
  EXPECT_TRUE(rig.planner.StartChild(9, S("b"), rig.now).empty());
  EXPECT_TRUE(rig.planner.BeginShutdown(ExitReason::Normal(), rig.now).empty());
}

TEST(PlannerAutoShutdown, SUP057AnySignificantTemporary) {
  for (const ExitReason& why : {ExitReason::Normal(), Boom(), ExitReason::Killed()}) {
    PlannerRig rig(Flags(Strategy::kOneForOne, 5, absl::Seconds(5), AutoShutdown::kAnySignificant));
    rig.Init({Sig("c1", kTemp), Sig("c2", kTemp), S("c3", kTemp)});
    rig.TakeTrace();
    rig.Exit("c1", why);
    EXPECT_EQ(rig.TakeTrace(), "-c3 -c2 exit:shutdown");
  }
}

TEST(PlannerAutoShutdown, SUP058TransientOnlyOnACleanExit) {
  PlannerRig rig(Flags(Strategy::kOneForOne, 5, absl::Seconds(5), AutoShutdown::kAnySignificant));
  rig.Init({Sig("c1", kTrans), Sig("c2", kTrans), S("c3", kTrans)});
  rig.TakeTrace();
  rig.Terminate("c1");
  EXPECT_FALSE(rig.exited) << "not by terminate_child";
  rig.Restart("c1");
  rig.Exit("c1", Boom());
  EXPECT_EQ(rig.TakeTrace(), "-c1 +c1 +c1");
  rig.Exit("c1", ExitReason::Normal());
  EXPECT_EQ(rig.TakeTrace(), "-c3 -c2 exit:shutdown");
}

TEST(PlannerAutoShutdown, AllSignificantWaitsForTheLast) {
  PlannerRig rig(Flags(Strategy::kOneForOne, 5, absl::Seconds(5), AutoShutdown::kAllSignificant));
  rig.Init({Sig("c1", kTrans), Sig("c2", kTemp), S("c3")});
  rig.Exit("c1", ExitReason::Normal());
  EXPECT_FALSE(rig.exited);
  rig.Exit("c2", Boom());
  EXPECT_TRUE(rig.exited);
}

TEST(PlannerAutoShutdown, SUP122TerminatedOnesCountAsGone) {
  PlannerRig rig(Flags(Strategy::kOneForOne, 5, absl::Seconds(5), AutoShutdown::kAllSignificant));
  rig.Init({Sig("a", kTrans), Sig("b", kTrans)});
  rig.Terminate("a");
  EXPECT_FALSE(rig.exited);
  rig.Exit("b", ExitReason::Normal());
  EXPECT_TRUE(rig.exited);
}

TEST(PlannerAutoShutdown, ARestartingSignificantChildIsActive) {
  PlannerRig rig(Flags(Strategy::kOneForOne, 5, absl::Seconds(5), AutoShutdown::kAllSignificant));
  rig.Init({Sig("a", kTrans), Sig("b", kTrans)});
  rig.Script("a", {K::kFail});
  rig.Exit("a", Boom());
  rig.Exit("b", ExitReason::Normal());
  EXPECT_FALSE(rig.exited);
}

TEST(PlannerAutoShutdown, SUP123GroupStopsDoNotTrigger) {
  PlannerRig rig(Flags(Strategy::kOneForAll, 5, absl::Seconds(5), AutoShutdown::kAnySignificant));
  rig.Init({Sig("a", kTemp), S("b")});
  rig.Exit("b", Boom());
  EXPECT_FALSE(rig.exited);
  EXPECT_EQ(rig.Children(), "b");
}

TEST(PlannerAutoShutdown, SUP055PlainChildrenNeverTrigger) {
  for (AutoShutdown a :
       {AutoShutdown::kNever, AutoShutdown::kAnySignificant, AutoShutdown::kAllSignificant}) {
    PlannerRig rig(Flags(Strategy::kOneForOne, 5, absl::Seconds(5), a));
    rig.Init({S("c1", kTemp)});
    rig.Exit("c1", ExitReason::Normal());
    EXPECT_FALSE(rig.exited);
  }
}

TEST(PlannerSimple, SUP059AllSignificantMeansNoEntryIsLeft) {
  for (AutoShutdown a : {AutoShutdown::kAnySignificant, AutoShutdown::kAllSignificant}) {
    PlannerRig rig(Flags(Strategy::kSimpleOneForOne, 2, absl::Seconds(5), a), {}, Sig("t", kTemp));
    rig.Init({});
    const ChildKey p1 = rig.StartDynamic().key;
    const ChildKey p2 = rig.StartDynamic().key;
    rig.Run(rig.planner.OnExited(p1, ExitReason::Normal(), rig.now));
    EXPECT_EQ(rig.exited.has_value(), a == AutoShutdown::kAnySignificant);
    rig.Run(rig.planner.OnExited(p2, ExitReason::Normal(), rig.now));
    EXPECT_TRUE(rig.exited);
  }
}

TEST(PlannerSimple, SUP036StopsAllAtOnceAndGroupsTheReports) {
  PlannerRig rig(Flags(Strategy::kSimpleOneForOne), {}, S("t"));
  rig.Init({});
  for (int i = 0; i < 3; ++i) rig.StartDynamic();
  EXPECT_EQ(rig.Counts(), "[1,3,0,3]");
  const SupervisorActions actions = rig.planner.BeginShutdown(ExitReason::Shutdown(), rig.now);
  ASSERT_EQ(actions.size(), 1u);
  ASSERT_EQ(std::get<action::StopAll>(actions[0]).keys.size(), 3u);
  rig.StopsWith("t", ExitReason::Killed());
  rig.Run(actions);
  EXPECT_TRUE(rig.exited);
  EXPECT_EQ(rig.TakeReports(), "shutdown_error(x3)");
}

TEST(PlannerSimple, SUP035RestartsWithTheSameArgumentsUnderTheSameKey) {
  PlannerRig rig(Flags(Strategy::kSimpleOneForOne, 2), {}, S("t"));
  rig.Init({});
  const OpResult started = rig.StartDynamic({Payload::Any("t/x.Y", "1")});
  rig.Run(rig.planner.OnExited(started.key, Boom(), rig.now));
  const ChildRecord* r = rig.planner.Find(started.key);
  ASSERT_NE(r, nullptr);
  EXPECT_NE(r->pid, started.pid);
  ASSERT_NE(r->extra_args, nullptr);
  EXPECT_EQ(r->extra_args->size(), 1u);
  EXPECT_EQ(rig.planner.FindByPid(started.pid), nullptr) << "the old pid names nothing";
  rig.Run(rig.planner.OnExited(started.key, Boom(), rig.now));
  rig.Run(rig.planner.OnExited(started.key, Boom(), rig.now));
  EXPECT_EQ(*rig.exited, ExitReason::Shutdown());
}

TEST(PlannerSimple, SUP039TemporaryArgumentsAreNotRetained) {
  PlannerRig rig(Flags(Strategy::kSimpleOneForOne), {}, S("t", kTemp));
  rig.Init({});
  const OpResult r = rig.StartDynamic({Payload::Any("t/x.Y", std::string(50000, 'x'))});
  EXPECT_EQ(rig.planner.Find(r.key)->extra_args, nullptr);
}

TEST(PlannerSimple, SUP080RestartingEntriesAreNamedByTheOldPid) {
  PlannerRig rig(Flags(Strategy::kSimpleOneForOne, 8), {}, S("t"));
  rig.Init({});
  const OpResult r = rig.StartDynamic();
  rig.Script("t", {K::kFail});
  rig.Run(rig.planner.OnExited(r.key, Boom(), rig.now));
  ASSERT_NE(rig.planner.FindByPid(r.pid), nullptr);
  EXPECT_EQ(rig.Children(), "t:restarting");
  EXPECT_EQ(rig.Counts(), "[1,0,0,1]");
  EXPECT_EQ(rig.Restart("t").code, OpResult::Code::kSimpleOneForOne);
  EXPECT_EQ(rig.Delete("t").code, OpResult::Code::kSimpleOneForOne);
  EXPECT_EQ(rig.Terminate("t").code, OpResult::Code::kSimpleOneForOne);
  EXPECT_EQ(rig.TerminateKey(r.key).code, OpResult::Code::kOk);
  EXPECT_EQ(rig.Children(), "");
  rig.RunRetries();
  EXPECT_EQ(rig.TakeTrace(), "+t !t");
  EXPECT_EQ(rig.StartDynamic().code, OpResult::Code::kOk);
}

TEST(PlannerSimple, SUP130AnIgnoredRestartDropsTheEntry) {
  PlannerRig rig(Flags(Strategy::kSimpleOneForOne), {}, S("t"));
  rig.Init({});
  const OpResult r = rig.StartDynamic();
  rig.Script("t", {K::kIgnore});
  rig.Run(rig.planner.OnExited(r.key, Boom(), rig.now));
  EXPECT_EQ(rig.Children(), "");
  rig.Shutdown();
  EXPECT_TRUE(rig.exited);
}

TEST(PlannerSimple, SUP012FailedAndIgnoredStartsStoreNothing) {
  PlannerRig rig(Flags(Strategy::kSimpleOneForOne), {}, S("t"));
  rig.Init({});
  rig.Script("t", {K::kFail, K::kIgnore});
  const OpResult failed = rig.StartDynamic();
  EXPECT_EQ(failed.code, OpResult::Code::kStartFailed);
  EXPECT_EQ(failed.reason.type(), "nope");
  EXPECT_EQ(rig.StartDynamic().code, OpResult::Code::kIgnored);
  EXPECT_EQ(rig.Counts(), "[1,0,0,0]");
  EXPECT_EQ(rig.TakeReports(), "") << "not reported";
}

TEST(PlannerSimple, DYN020RestartingEntriesTakeCapacity) {
  SupervisorFlags flags = Flags(Strategy::kSimpleOneForOne, 100000);
  flags.max_children = 1;
  PlannerRig rig(flags, {}, S("t"));
  rig.Init({});
  const OpResult r = rig.StartDynamic();
  EXPECT_EQ(rig.StartDynamic().code, OpResult::Code::kMaxChildren);
  rig.Script("t", {K::kFail});
  rig.Run(rig.planner.OnExited(r.key, Boom(), rig.now));
  EXPECT_EQ(rig.StartDynamic().code, OpResult::Code::kMaxChildren);
  rig.TerminateKey(r.key);
  EXPECT_EQ(rig.StartDynamic().code, OpResult::Code::kOk);
}

TEST(PlannerSimple, DYN028CleanStopsOfADynamicSupervisorAreNotReported) {
  PlannerRig rig(Flags(Strategy::kDynamic), {}, S("t"));
  rig.Init({});
  rig.StartDynamic();
  rig.StopsWith("t", ExitReason::Shutdown(Payload::Any("t/x.Y", "1")));
  rig.Shutdown();
  EXPECT_EQ(rig.TakeReports(), "");
}

TEST(PlannerSimple, AMillionChildrenAreCheap) {
  PlannerRig rig(Flags(Strategy::kSimpleOneForOne), {}, S("t", kTemp));
  rig.Init({});
  std::vector<ChildKey> keys;
  for (uint32_t i = 1; i <= 100'000; ++i) {
    const SupervisorActions a = rig.planner.StartDynamicChild(0, nullptr, {}, rig.now);
    keys.push_back(std::get<action::Start>(a.at(0)).key);
    rig.planner.OnStarted(keys.back(), Pid::Local(i, 1), {}, rig.now);
  }
  EXPECT_EQ(rig.Counts(), "[1,100000,0,100000]");
  for (ChildKey key : keys) rig.planner.OnExited(key, ExitReason::Normal(), rig.now);
  EXPECT_EQ(rig.Counts(), "[1,0,0,0]");
}

}  // namespace
}  // namespace banyan
