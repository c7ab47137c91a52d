// SUP-101 to SUP-130: OTP's behaviour beyond its own suite. spec/supervisor.md 20.
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

using testing::ElementsAre;

class Reports : public SupervisorEvents {
 public:
  void OnReport(Pid, const std::string&, const SupervisorReport& r) override {
    if (r.context == SupervisorReport::Context::kShutdownError) shutdown_errors.push_back(r.reason);
  }
  std::vector<ExitReason> shutdown_errors;
};

class SupBeyond : public SupervisorTest {
 protected:
  SupBeyond() { host_.supervisor_events = &reports_; }
  static ChildSpec R(std::string id, RestartType restart = kPerm, std::string fails = "") {
    return Child(id, "r", {id, fails}, restart);
  }
  // Ends a child of S as `how` and returns what happened to the R children after it.
  Task<std::vector<std::string>> TraceOf(Self& t, Pid s, std::string id, std::string how) {
    Pid p = co_await PidOf(t, s, id);
    world_.trace.clear();
    co_await End(t, p, how);
    co_return world_.trace;
  }
  Reports reports_;
};

TEST_F(SupBeyond, SUP101FailingChildStopsThoseBeforeIt) {
  Run([&](Self& t) -> Task<void> {
    StartResult r =
        co_await TryStart(t, Spec(Strategy::kOneForOne, 1, 5,
                                  {R("a"), R("b"), Child("c", "w1", {"ret_error"}), R("d")}));
    EXPECT_EQ(r.reason, ExitReason::FailedToStartChild("c", ExitReason::Error("reason")));
    EXPECT_THAT(world_.trace,
                ElementsAre("init a", "init b", "terminate b shutdown", "terminate a shutdown"));
    EXPECT_FALSE(rt_->Whereis("sup_test"));
  });
}

TEST_F(SupBeyond, SUP102StartFunctionRaises) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5));
    OpResult r = co_await StartChild(t, s, Child("c", "w1", {"raise"}));
    EXPECT_EQ(r.code, Code::kStartFailed);
    EXPECT_EQ(r.reason.type(), "banyan::FunctionClause");
    EXPECT_EQ(co_await Show(t, s), "");
  });
}

TEST_F(SupBeyond, SUP103IgnoredPermanentChild) {
  modules_.AddFunction("ignore", [](Self&, StartSpec, StartContext) -> Task<StartResult> {
    return StartResult::Ignored();
  });
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5, {Child("c", "ignore")}));
    EXPECT_EQ((co_await Restart(t, s, "c")).code, Code::kIgnored);
    EXPECT_EQ((co_await StartChild(t, s, Child("c", "ignore"))).code, Code::kAlreadyPresent);
    EXPECT_EQ((co_await Delete(t, s, "c")).code, Code::kOk);
  });
}

TEST_F(SupBeyond, SUP104ArgumentsOfTemporaryChildren) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5, {R("a", kTemp)}));
    co_await StartChild(t, s, R("b", kTemp));
    EXPECT_EQ((co_await GetSpec(t, s, "a"))->start.args.size(), 2u);
    EXPECT_EQ((co_await GetSpec(t, s, "b"))->start.args.size(), 0u);
  });
}

TEST_F(SupBeyond, SUP105And106IntensityZero) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(
        t, Spec(Strategy::kOneForOne, 0, 5,
                {Child("c", "w1", {}, kTrans), Child("t", "w1", {}, kTemp), Child("p", "w1")}));
    co_await End(t, co_await PidOf(t, s, "c"), "shutdown");
    co_await End(t, co_await PidOf(t, s, "t"), "kill");
    EXPECT_EQ(co_await Show(t, s), "p c:undefined");
    co_await End(t, co_await PidOf(t, s, "p"), "normal");
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
  });
}

TEST_F(SupBeyond, SUP107IntensityWindow) {
  Run([&](Self& t) -> Task<void> {
    for (int ms : {1900, 3100}) {
      Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 2, {Child("c", "w1")}), "");
      co_await End(t, co_await PidOf(t, s, "c"), "abnormal");
      co_await t.Sleep(absl::Milliseconds(ms));
      co_await End(t, co_await PidOf(t, s, "c"), "abnormal");
      EXPECT_EQ(rt_->IsAlive(s), ms == 3100);
    }
  });
}

TEST_F(SupBeyond, SUP109OneForAllSecondChildNeverRestarts) {
  Run([&](Self& t) -> Task<void> {
    Pid s =
        co_await Start(t, Spec(Strategy::kOneForAll, 2, 3600, {R("a"), R("b", kPerm, "for_ever")}));
    co_await End(t, co_await PidOf(t, s, "a"), "abnormal");
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
    EXPECT_EQ(std::count(world_.trace.begin(), world_.trace.end(), "fail b"), 2);
  });
}

TEST_F(SupBeyond, SUP110OneForAllOrder) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(
        t, Spec(Strategy::kOneForAll, 5, 5, {R("a"), R("b"), R("t", kTemp), R("c")}));
    EXPECT_THAT(co_await TraceOf(t, s, "b", "kill"),
                ElementsAre("terminate c shutdown", "terminate t shutdown", "terminate a shutdown",
                            "init a", "init b", "init c"));
    EXPECT_EQ(co_await Show(t, s), "c b a");
  });
}

TEST_F(SupBeyond, SUP111RestForOneOrder) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(
        t, Spec(Strategy::kRestForOne, 5, 5, {R("a"), R("b"), R("t", kTemp), R("c")}));
    EXPECT_THAT(co_await TraceOf(t, s, "b", "kill"),
                ElementsAre("terminate c shutdown", "terminate t shutdown", "init b", "init c"));
    EXPECT_EQ(co_await Show(t, s), "c b a");
  });
}

TEST_F(SupBeyond, SUP112And113GroupRestartRevives) {
  Run([&](Self& t) -> Task<void> {
    Pid s =
        co_await Start(t, Spec(Strategy::kOneForAll, 5, 5, {R("a"), R("b", kTrans), R("c")}), "");
    co_await Terminate(t, s, "b");
    co_await End(t, co_await PidOf(t, s, "a"), "kill");
    EXPECT_EQ(co_await Show(t, s), "c b a");
    s = co_await Start(t, Spec(Strategy::kRestForOne, 5, 5, {R("a"), R("b", kTrans)}), "");
    co_await End(t, co_await PidOf(t, s, "b"), "normal");
    EXPECT_EQ(co_await Show(t, s), "b:undefined a");
    co_await End(t, co_await PidOf(t, s, "a"), "kill");
    EXPECT_EQ(co_await Show(t, s), "b a");
  });
}

TEST_F(SupBeyond, SUP114OneForAllRetryStartsOver) {
  Run([&](Self& t) -> Task<void> {
    Pid s =
        co_await Start(t, Spec(Strategy::kOneForAll, 5, 5, {R("a"), R("b", kPerm, "1"), R("c")}));
    EXPECT_THAT(co_await TraceOf(t, s, "a", "kill"),
                ElementsAre("terminate c shutdown", "terminate b shutdown", "init a", "fail b",
                            "terminate a shutdown", "init a", "init b", "init c"));
  });
}

TEST_F(SupBeyond, SUP115RestForOneRetryLeavesEarlierOnes) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(
        t, Spec(Strategy::kRestForOne, 5, 5, {R("z"), R("a"), R("b", kPerm, "2"), R("c")}));
    EXPECT_THAT(co_await TraceOf(t, s, "a", "kill"),
                ElementsAre("terminate c shutdown", "terminate b shutdown", "init a", "fail b",
                            "fail b", "init b", "init c"));
  });
}

TEST_F(SupBeyond, SUP116TerminateBeforeTheExitSwallowsIt) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 0, 5, {Child("c", "w1")}));
    Pid c = co_await PidOf(t, s, "c");
    EXPECT_TRUE((co_await sys::Suspend(t, s)).ok());
    SupervisorRequest request;
    request.op = SupervisorRequest::Op::kTerminateChild;
    request.child = std::string("c");
    Ref asked = t.SendRequest(s, Payload::Local(std::move(request)));
    co_await End(t, c, "abnormal");
    EXPECT_TRUE((co_await sys::Resume(t, s)).ok());
    CallReply reply = co_await t.AwaitReply(asked, t.Now() + absl::Seconds(1));
    EXPECT_EQ(reply.payload.As<OpResult>()->code, Code::kOk);
    EXPECT_EQ(co_await Show(t, s), "c:undefined");
  });
}

TEST_F(SupBeyond, SUP117TerminateAfterTheExitStopsTheNewOne) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5, {R("c")}));
    Pid c = co_await PidOf(t, s, "c");
    EXPECT_TRUE((co_await sys::Suspend(t, s)).ok());
    world_.trace.clear();
    co_await End(t, c, "kill");
    SupervisorRequest request;
    request.op = SupervisorRequest::Op::kTerminateChild;
    request.child = std::string("c");
    Ref asked = t.SendRequest(s, Payload::Local(std::move(request)));
    EXPECT_TRUE((co_await sys::Resume(t, s)).ok());
    CallReply reply = co_await t.AwaitReply(asked, t.Now() + absl::Seconds(1));
    EXPECT_EQ(reply.payload.As<OpResult>()->code, Code::kOk);
    EXPECT_THAT(world_.trace, ElementsAre("init c", "terminate c shutdown"));
    EXPECT_EQ(co_await Show(t, s), "c:undefined");
  });
}

TEST_F(SupBeyond, SUP118UnlinkedChildIsNotMissed) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5, {Child("c", "unlinked")}));
    Pid c = co_await PidOf(t, s, "c");
    co_await End(t, c, "kill");
    EXPECT_EQ(co_await PidOf(t, s, "c"), c);
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 0, 0, 1));
    EXPECT_EQ((co_await Terminate(t, s, "c")).code, Code::kOk);
    EXPECT_THAT(reports_.shutdown_errors, ElementsAre(ExitReason::NoProc()));
  });
}

TEST_F(SupBeyond, SUP119BusyChildIsKilledInTime) {
  Run([&](Self& t) -> Task<void> {
    Pid s =
        co_await Start(t, Spec(Strategy::kOneForOne, 1, 5, {Child("c", "w1", {}, kPerm, Ms(100))}));
    t.Send(co_await PidOf(t, s, "c"), Word("sleep"));
    Instant before = t.Now();
    EXPECT_EQ((co_await Terminate(t, s, "c")).code, Code::kOk);
    EXPECT_EQ(t.Now() - before, absl::Milliseconds(100));
    EXPECT_THAT(reports_.shutdown_errors, ElementsAre(ExitReason::Killed()));
  });
}

TEST_F(SupBeyond, SUP120SequentialAndParallelStops) {
  Run([&](Self& t) -> Task<void> {
    std::vector<ChildSpec> five;
    for (char c = 'a'; c <= 'e'; ++c) five.push_back(Child(std::string(1, c), "w2", {"300"}));
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5, five), "");
    Instant before = t.Now();
    co_await Shutdown(t, s);
    EXPECT_EQ(t.Now() - before, absl::Milliseconds(1500));
    s = co_await Start(t, Spec(Strategy::kSimpleOneForOne, 1, 5, {Child("x", "w2", {"300"})}), "");
    for (int i = 0; i < 5; ++i) co_await StartDynamic(t, s);
    before = t.Now();
    co_await Shutdown(t, s);
    EXPECT_EQ(t.Now() - before, absl::Milliseconds(300));
  });
}

TEST_F(SupBeyond, SUP121ShutdownWaitsForAChildInInit) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5));
    SupervisorRequest request;
    request.spec = std::make_shared<const ChildSpec>(Child("c", "slow", {"600"}));
    request.op = SupervisorRequest::Op::kStartChild;
    Instant before = t.Now();
    Ref asked = t.SendRequest(s, Payload::Local(std::move(request)));
    co_await t.Sleep(absl::Milliseconds(50));
    t.Exit(s, ExitReason::Shutdown());
    CallReply reply = co_await t.AwaitReply(asked, Instant::Infinite());
    CO_ASSERT(reply.outcome == CallReply::Outcome::kReply);
    EXPECT_EQ(reply.payload.As<OpResult>()->code, Code::kOk);
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
    EXPECT_EQ(t.Now() - before, absl::Milliseconds(600));
  });
}

TEST_F(SupBeyond, SUP122TerminatedOnesCountAsGoneForAllSignificant) {
  Run([&](Self& t) -> Task<void> {
    ChildSpec a = Child("a", "w1", {}, kTrans), b = Child("b", "w1", {}, kTrans);
    a.significant = b.significant = true;
    Pid s =
        co_await Start(t, Spec(Strategy::kOneForOne, 1, 5, {a, b}, AutoShutdown::kAllSignificant));
    co_await Terminate(t, s, "a");
    co_await ExpectNoExit(t, {s});
    co_await End(t, co_await PidOf(t, s, "b"), "normal");
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
  });
}

TEST_F(SupBeyond, SUP123SiblingStopDoesNotShutDown) {
  Run([&](Self& t) -> Task<void> {
    ChildSpec a = Child("a", "w1", {}, kTemp);
    a.significant = true;
    Pid s = co_await Start(
        t, Spec(Strategy::kOneForAll, 1, 5, {a, Child("b", "w1")}, AutoShutdown::kAnySignificant));
    co_await End(t, co_await PidOf(t, s, "b"), "kill");
    co_await ExpectNoExit(t, {s});
    EXPECT_EQ(co_await Show(t, s), "b");
  });
}

TEST_F(SupBeyond, SUP124OldPidOfARestartedDynamicChild) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kSimpleOneForOne, 1, 5, {Child("x", "w1")}));
    OpResult p = co_await StartDynamic(t, s);
    co_await End(t, p.pid, "kill");
    Pid p2 = (co_await Wc(t, s)).front().pid;
    EXPECT_EQ((co_await Terminate(t, s, p.pid)).code, Code::kOk);
    EXPECT_TRUE(rt_->IsAlive(p2));
    EXPECT_NE(co_await GetSpec(t, s, p.pid), nullptr);
  });
}

TEST_F(SupBeyond, SUP125ChildrenOfAKilledSupervisor) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5, {R("a")}));
    t.Exit(s, ExitReason::Kill());
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Killed());
    co_await Settle(t);
    EXPECT_THAT(world_.trace, ElementsAre("init a", "terminate a killed"));
  });
}

TEST_F(SupBeyond, SUP126StrangersAndParents) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5));
    Pid stranger{0, 0, 0x9'0000'0009};
    rt_->Exit(s, ExitReason::Error("boo"), stranger);
    co_await ExpectNoExit(t, {s});
    t.Exit(s, ExitReason::Normal());
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Normal());
  });
}

TEST_F(SupBeyond, SUP127OperationsNeverCount) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5));
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ((co_await StartChild(t, s, Child("c", "w1"))).code, Code::kOk);
      EXPECT_EQ((co_await Terminate(t, s, "c")).code, Code::kOk);
      EXPECT_EQ((co_await Restart(t, s, "c")).code, Code::kOk);
      EXPECT_EQ((co_await Terminate(t, s, "c")).code, Code::kOk);
      EXPECT_EQ((co_await Delete(t, s, "c")).code, Code::kOk);
    }
  });
}

TEST_F(SupBeyond, SUP129GivenUpChildSupervisor) {
  Run([&](Self& t) -> Task<void> {
    for (RestartType restart : {kPerm, kTrans, kTemp}) {
      ChildSpec c = Child("C", "", {}, restart, ShutdownPolicy::Infinity(), ChildType::kSupervisor);
      c.supervisor = std::make_shared<const SupervisorSpec>(
          Spec(Strategy::kOneForOne, 0, 5, {Child("w", "w1")}));
      Pid p = co_await Start(t, Spec(Strategy::kOneForOne, 5, 5, {c}), "");
      Pid inner = co_await PidOf(t, p, "C");
      co_await End(t, co_await PidOf(t, inner, "w"), "abnormal");
      EXPECT_EQ(co_await Show(t, p), restart == kPerm    ? "C"
                                     : restart == kTrans ? "C:undefined"
                                                         : "");
      EXPECT_FALSE(rt_->IsAlive(inner));
    }
  });
}

TEST_F(SupBeyond, SUP130DynamicRestartThatIgnores) {
  int starts = 0;
  modules_.AddFunction("ignore_later",
                       [&](Self& self, StartSpec spec, StartContext c) -> Task<StartResult> {
                         if (starts++ > 0) return StartResult::Ignored();
                         spec.module = "w1";
                         spec.args.clear();
                         return StartModule(self, std::move(spec), std::move(c));
                       });
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kSimpleOneForOne, 1, 5, {Child("x", "ignore_later")}));
    OpResult r = co_await StartDynamic(t, s);
    co_await End(t, r.pid, "abnormal");
    EXPECT_EQ(co_await Show(t, s), "");
    EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
  });
}

}  // namespace
}  // namespace banyan
