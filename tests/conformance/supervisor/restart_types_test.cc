// SUP-043 to SUP-054: restart types, unlinked children, trees. spec/supervisor.md 19.6, 19.7.
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

class SupRestart : public SupervisorTest {
 protected:
  // S(one_for_one,2,3600)[], no trap; c1 ends in each of these ways, and is then listed as `shown`.
  void Case(RestartType restart, std::vector<std::string> endings, std::string shown) {
    RunAs(false, [&](Self& t) -> Task<void> {
      Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
      for (size_t i = 0; i < endings.size(); ++i) {
        OpResult r;
        if (i == 0 || restart == kTemp)
          r = co_await StartChild(t, s, Child("c1", "w1", {}, restart));
        if (i > 0 && restart == kTrans && shown != "c1") r = co_await Restart(t, s, "c1");
        EXPECT_EQ(r.code, Code::kOk);
        Pid before = co_await PidOf(t, s, "c1");
        co_await End(t, before, endings[i]);
        EXPECT_EQ(co_await Show(t, s), shown) << endings[i];
        EXPECT_NE(co_await PidOf(t, s, "c1"), before);
        ChildCounts want{shown.empty() ? 0u : 1u, shown == "c1" ? 1u : 0u, 0,
                         shown.empty() ? 0u : 1u};
        EXPECT_EQ(co_await Cc(t, s), want);
      }
    });
  }
};

TEST_F(SupRestart, SUP043PermanentNormal) { Case(kPerm, {"normal"}, "c1"); }
TEST_F(SupRestart, SUP044TransientNormal) { Case(kTrans, {"normal"}, "c1:undefined"); }
TEST_F(SupRestart, SUP045TemporaryNormal) { Case(kTemp, {"normal"}, ""); }
TEST_F(SupRestart, SUP046PermanentShutdown) { Case(kPerm, {"shutdown", "shutdown_test"}, "c1"); }
TEST_F(SupRestart, SUP047TransientShutdown) {
  Case(kTrans, {"shutdown", "shutdown_test"}, "c1:undefined");
}
TEST_F(SupRestart, SUP048TemporaryShutdown) { Case(kTemp, {"shutdown", "shutdown_test"}, ""); }
TEST_F(SupRestart, SUP050PermanentAbnormal) { Case(kPerm, {"abnormal"}, "c1"); }
TEST_F(SupRestart, SUP051TransientAbnormal) { Case(kTrans, {"abnormal"}, "c1"); }
TEST_F(SupRestart, SUP052TemporaryAbnormal) { Case(kTemp, {"abnormal"}, ""); }

TEST_F(SupRestart, SUP049FailedTreeSaysWhichChild) {
  Run([&](Self& t) -> Task<void> {
    StartResult r = co_await TryStart(
        t, Spec(Strategy::kOneForAll, 0, 1, {Child("server", "w1", {"raise"}, kPerm, Ms(2000))}));
    EXPECT_EQ(r.reason, ExitReason::FailedToStartChild(
                            "server", ExitReason::Error("banyan::FunctionClause",
                                                        "no function clause matching")))
        << r.reason.ToString();
  });
}

TEST_F(SupRestart, SUP053UnlinkedChildIsTerminated) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    OpResult c = co_await StartChild(t, s, Child("c1", "wu"));
    t.Send(s, Word("foo"));
    OpResult r = co_await Terminate(t, s, "c1");
    EXPECT_EQ(r.code, Code::kOk);
    EXPECT_FALSE(rt_->IsAlive(c.pid));
    for (const ProcessSnapshot& p : rt_->List()) EXPECT_EQ(p.mailbox_length, 0u);
  });
}

TEST_F(SupRestart, SUP054Tree) {
  Run([&](Self& t) -> Task<void> {
    auto nested = [](std::string id, RestartType restart, std::vector<ChildSpec> children) {
      ChildSpec c = Child(id, "", {}, restart, ShutdownPolicy::Infinity(), ChildType::kSupervisor);
      c.start.name = id;
      c.supervisor = std::make_shared<const SupervisorSpec>(
          Spec(Strategy::kOneForOne, 4, 3600, std::move(children)));
      return c;
    };
    Pid top = co_await Start(t, Spec(Strategy::kOneForAll, 4, 3600,
                                     {nested("sup1", kPerm, {Child("c1", "w1"), Child("c2", "w1")}),
                                      nested("sup2", kPerm, {}), nested("sup3", kTrans, {})}));
    OpResult r = co_await Terminate(t, top, "sup3");
    EXPECT_EQ(r.code, Code::kOk);
    Pid sup1 = co_await PidOf(t, top, "sup1");
    Pid sup2 = co_await PidOf(t, top, "sup2");
    EXPECT_THAT(co_await Cc(t, top), Counts(3, 2, 3, 0));
    EXPECT_THAT(co_await Cc(t, sup1), Counts(2, 2, 0, 2));
    EXPECT_THAT(co_await Cc(t, sup2), Counts(0, 0, 0, 0));
    OpResult c3 = co_await StartChild(t, sup2, Child("c3", "w1", {"error"}));
    OpResult c4 = co_await StartChild(t, sup2, Child("c4", "w1"));
    co_await End(t, c4.pid, "abnormal");
    EXPECT_NE(co_await PidOf(t, sup2, "c4"), c4.pid);
    EXPECT_EQ(co_await PidOf(t, sup2, "c3"), c3.pid);
    co_await End(t, c3.pid, "abnormal");
    co_await t.Sleep(absl::Seconds(1));
    EXPECT_THAT(co_await Cc(t, top), Counts(3, 3, 3, 0));
    EXPECT_NE(co_await PidOf(t, top, "sup1"), sup1);
    EXPECT_EQ(co_await Show(t, co_await PidOf(t, top, "sup1")), "c2 c1");
    EXPECT_EQ(co_await Show(t, co_await PidOf(t, top, "sup2")), "");
    EXPECT_EQ(rt_->Whereis("sup3"), co_await PidOf(t, top, "sup3"));
  });
}

}  // namespace
}  // namespace banyan
