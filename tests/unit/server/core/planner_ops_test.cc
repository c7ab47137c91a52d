#include <gtest/gtest.h>

#include "planner_fixture.h"

namespace banyan {
namespace {

using Code = OpResult::Code;
using K = PlannerRig::Outcome;

TEST(PlannerOps, SUP023Administration) {
  PlannerRig rig(Flags(Strategy::kOneForOne));
  rig.Init({S("c1")});
  const OpResult started = rig.Start(S("c1"));
  EXPECT_EQ(started.code, Code::kAlreadyStarted);
  EXPECT_EQ(started.pid, rig.PidOf("c1"));
  EXPECT_EQ(rig.Terminate("hej").code, Code::kNotFound);
  EXPECT_EQ(rig.Terminate("c1").code, Code::kOk);
  EXPECT_EQ(rig.Children(), "c1:undefined");
  EXPECT_EQ(rig.Counts(), "[1,0,0,1]");
  EXPECT_EQ(rig.Terminate("c1").code, Code::kOk);
  EXPECT_EQ(rig.Start(S("c1")).code, Code::kAlreadyPresent);
  EXPECT_EQ(rig.Restart("c1").code, Code::kOk);
  EXPECT_EQ(rig.Restart("c1").code, Code::kRunning);
  EXPECT_EQ(rig.Restart("c2").code, Code::kNotFound);
  EXPECT_EQ(rig.Delete("c1").code, Code::kRunning);
  EXPECT_EQ(rig.Delete("hej").code, Code::kNotFound);
  EXPECT_EQ(rig.Terminate("c1").code, Code::kOk);
  EXPECT_EQ(rig.Delete("c1").code, Code::kOk);
  EXPECT_EQ(rig.Restart("c1").code, Code::kNotFound);
  EXPECT_EQ(rig.Counts(), "[0,0,0,0]");
  EXPECT_EQ(rig.forgotten.size(), 1u);
  EXPECT_EQ(rig.Start(S("c1")).code, Code::kOk);
}

TEST(PlannerOps, SUP010FailedStartsLeaveNothing) {
  PlannerRig rig(Flags(Strategy::kOneForOne));
  rig.Init({});
  rig.Script("c1", {K::kFail});
  const OpResult r = rig.Start(S("c1"));
  EXPECT_EQ(r.code, Code::kStartFailed);
  EXPECT_EQ(r.reason.type(), "nope");
  EXPECT_EQ(rig.Children(), "");
  EXPECT_EQ(rig.TakeReports(), "");
}

TEST(PlannerOps, SUP011AFailedRestartChildKeepsTheRecordWithoutRetry) {
  PlannerRig rig(Flags(Strategy::kOneForAll));
  rig.Init({S("c1")});
  rig.Terminate("c1");
  rig.Script("c1", {K::kFail});
  EXPECT_EQ(rig.Restart("c1").code, Code::kStartFailed);
  EXPECT_EQ(rig.Children(), "c1:undefined");
  EXPECT_TRUE(rig.retries.empty());
}

TEST(PlannerOps, SUP103AnIgnoredChild) {
  PlannerRig rig(Flags(Strategy::kOneForOne));
  rig.Init({});
  rig.Script("c", {K::kIgnore, K::kIgnore});
  EXPECT_EQ(rig.Start(S("c")).code, Code::kIgnored);
  EXPECT_EQ(rig.Restart("c").code, Code::kIgnored);
  EXPECT_EQ(rig.Start(S("c")).code, Code::kAlreadyPresent);
  EXPECT_EQ(rig.Delete("c").code, Code::kOk);
  rig.Script("t", {K::kIgnore});
  EXPECT_EQ(rig.Start(S("t", kTemp)).code, Code::kIgnored);
  EXPECT_EQ(rig.Children(), "");
}

TEST(PlannerOps, SUP025TheInfoOfAStartIsPassedOn) {
  PlannerRig rig(Flags(Strategy::kOneForOne));
  rig.Init({});
  const SupervisorActions a = rig.planner.StartChild(7, S("c"), rig.now);
  const Payload info = Payload::Any("t/x.Y", "extra");
  rig.Run(
      rig.planner.OnStarted(std::get<action::Start>(a.at(0)).key, Pid::Local(5, 1), info, rig.now));
  EXPECT_EQ(rig.results.at(7).info, info);
  EXPECT_EQ(rig.results.at(7).pid, Pid::Local(5, 1));
}

TEST(PlannerOps, SUP078OperationsOnARestartingChild) {
  PlannerRig rig(Flags(Strategy::kOneForOne, 8));
  rig.Init({S("c1")});
  rig.Script("c1", {K::kFail});
  rig.Exit("c1", Boom());
  EXPECT_EQ(rig.Start(S("c1")).code, Code::kAlreadyPresent);
  EXPECT_EQ(rig.Restart("c1").code, Code::kRestarting);
  EXPECT_EQ(rig.Delete("c1").code, Code::kRestarting);
  EXPECT_EQ(rig.Counts(), "[1,0,0,1]");
  EXPECT_EQ(rig.Terminate("c1").code, Code::kOk);
  EXPECT_EQ(rig.Children(), "c1:undefined");
  rig.TakeTrace();
  rig.RunRetries();
  EXPECT_EQ(rig.TakeTrace(), "");
}

TEST(PlannerOps, SUP074TemporaryRecordsGoWithTheProcess) {
  for (Strategy strategy : {Strategy::kOneForAll, Strategy::kOneForOne, Strategy::kRestForOne}) {
    PlannerRig rig(Flags(strategy, 9));
    rig.Init({S("perm"), S("trans", kTrans), S("temp", kTemp)});
    rig.Terminate("temp");
    EXPECT_EQ(rig.Start(S("temp", kTemp)).code, Code::kOk);
    rig.Exit("temp", Boom());
    EXPECT_EQ(rig.Start(S("temp", kTemp)).code, Code::kOk);
    rig.Exit("trans", ExitReason::Normal());
    EXPECT_EQ(rig.Start(S("trans", kTrans)).code, Code::kAlreadyPresent);
    rig.Exit("perm", ExitReason::Normal());
    EXPECT_EQ(rig.Start(S("perm")).code, Code::kAlreadyStarted);
  }
}

TEST(PlannerOps, SUP104ArgumentsOfTemporaryChildrenAreForgotten) {
  auto with_args = [](const char* id) {
    auto spec = S(id, kTemp);
    spec->start.args = {Payload::Any("t/x.Y", "1")};
    return spec;
  };
  PlannerRig rig(Flags(Strategy::kOneForOne));
  rig.Init({with_args("first")});
  rig.Start(with_args("second"));
  EXPECT_EQ(rig.planner.FindById("first")->spec->start.args.size(), 1u);
  EXPECT_TRUE(rig.planner.FindById("second")->spec->start.args.empty());
}

TEST(PlannerOps, SUP127TheApiNeverCounts) {
  PlannerRig rig(Flags(Strategy::kOneForOne, 1));
  rig.Init({});
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(rig.Start(S("c")).code, Code::kOk);
    EXPECT_EQ(rig.Terminate("c").code, Code::kOk);
    EXPECT_EQ(rig.Restart("c").code, Code::kOk);
    EXPECT_EQ(rig.Terminate("c").code, Code::kOk);
    EXPECT_EQ(rig.Delete("c").code, Code::kOk);
  }
  EXPECT_FALSE(rig.exited);
}

TEST(PlannerOps, SUP117ThePositionInTheStartOrderStays) {
  PlannerRig rig(Flags(Strategy::kOneForOne));
  rig.Init({S("a"), S("b"), S("c")});
  rig.Terminate("b");
  rig.Restart("b");
  EXPECT_EQ(rig.Children(), "c b a");
}

TEST(PlannerUpdate, SUP081MergesSpecs) {
  PlannerRig rig(Flags(Strategy::kOneForOne, 0, absl::Seconds(1)));
  rig.Init({S("c1"), S("c2")});
  rig.TakeTrace();
  const Pid c1 = rig.PidOf("c1");
  auto changed = S("c1", kTrans);
  EXPECT_TRUE(
      rig.planner.Update(Flags(Strategy::kOneForOne, 1, absl::Seconds(3)), {changed, S("c3")}));
  EXPECT_EQ(rig.Children(), "c2 c3:undefined c1");
  EXPECT_EQ(rig.TakeTrace(), "");
  EXPECT_EQ(rig.PidOf("c1"), c1);
  EXPECT_EQ(rig.planner.FindById("c1")->spec, changed);
  EXPECT_EQ(rig.Restart("c3").code, Code::kOk);
  EXPECT_FALSE(rig.planner.Update(Flags(Strategy::kSimpleOneForOne), {S("t")}));
}

TEST(PlannerUpdate, SUP066SignificanceFollowsTheNewSpec) {
  PlannerRig rig(Flags(Strategy::kOneForOne, 1, absl::Seconds(5), AutoShutdown::kAnySignificant));
  rig.Init({S("c", kTrans)});
  rig.planner.Update(
      Flags(Strategy::kOneForOne, 1, absl::Seconds(5), AutoShutdown::kAllSignificant),
      {PlannerRig::Significant("c", kTrans), PlannerRig::Significant("d", kTrans)});
  rig.Restart("d");
  rig.Exit("c", ExitReason::Normal());
  EXPECT_FALSE(rig.exited);
  rig.Exit("d", ExitReason::Normal());
  EXPECT_TRUE(rig.exited);
}

// As in OTP, whose terminate_children drops what is temporary, whether it runs or not.
TEST(PlannerUpdate, WhatBecameTemporaryIsNoPartOfTheNextGroup) {
  PlannerRig rig(Flags(Strategy::kOneForAll));
  rig.Init({S("c1"), S("c2")});
  rig.Terminate("c2");
  EXPECT_TRUE(rig.planner.Update(Flags(Strategy::kOneForAll), {S("c1"), S("c2", kTemp)}));
  EXPECT_EQ(rig.Counts(), "[2,1,0,2]");
  rig.Exit("c1", Boom());
  EXPECT_EQ(rig.Children(), "c1");
}

TEST(PlannerUpdate, SUP083ReplacesTheTemplate) {
  PlannerRig rig(Flags(Strategy::kSimpleOneForOne), {}, S("t"));
  rig.Init({});
  const OpResult r = rig.StartDynamic();
  auto changed = S("t", kTemp);
  EXPECT_TRUE(rig.planner.Update(Flags(Strategy::kSimpleOneForOne), {changed}));
  EXPECT_EQ(rig.planner.Find(r.key)->spec, changed);
  EXPECT_FALSE(rig.planner.Update(Flags(Strategy::kSimpleOneForOne), {changed, changed}));
  EXPECT_FALSE(rig.planner.Update(Flags(Strategy::kDynamic), {}));
}

}  // namespace
}  // namespace banyan
