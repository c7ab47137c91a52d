// SUP-070 to SUP-080: retries, what is kept, bystanders. spec/supervisor.md 19.9.
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

class SupRetry : public SupervisorTest {
 protected:
  static ChildSpec Kill(std::string id, std::string module) {
    return Child(std::move(id), std::move(module), {}, kPerm, ShutdownPolicy::BrutalKill());
  }
};

TEST_F(SupRetry, SUP070CountsSupervisors) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(
        t, Spec(Strategy::kSimpleOneForOne, 2, 3600,
                {Child("x", "w1", {}, kTemp, ShutdownPolicy::Infinity(), ChildType::kSupervisor)}));
    for (int i = 0; i < 1000; ++i) co_await StartDynamic(t, s);
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 1000, 1000, 0));
  });
}

TEST_F(SupRetry, SUP071CountsRestartingChildren) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kSimpleOneForOne, 20, 10, {Kill("x", "wd")}));
    for (int i = 1; i <= 3; ++i) {
      co_await StartDynamic(t, s);
      EXPECT_THAT(co_await Cc(t, s), Counts(1, i, 0, i));
    }
    for (const ChildEntry& c : co_await Wc(t, s)) t.Cast(c.pid, Word("restart"));
    co_await t.Sleep(absl::Milliseconds(400));
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 3, 0, 3));
    world_.fail_start = true;
    std::vector<ChildEntry> wc = co_await Wc(t, s);
    t.Cast(wc[0].pid, Word("restart"));
    t.Cast(wc[1].pid, Word("restart"));
    co_await t.Sleep(absl::Seconds(4));
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 1, 0, 3));
    world_.fail_start = false;
    co_await t.Sleep(absl::Seconds(4));
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 3, 0, 3));
    int left = 3;
    for (const ChildEntry& c : co_await Wc(t, s)) {
      co_await Terminate(t, s, c.pid);
      --left;
      EXPECT_THAT(co_await Cc(t, s), Counts(1, left, 0, left));
    }
  });
}

TEST_F(SupRetry, SUP073StartArgumentsOfTemporaryChildrenAreNotKept) {
  Run([&](Self& t) -> Task<void> {
    for (Strategy strategy : {Strategy::kOneForOne, Strategy::kOneForAll, Strategy::kRestForOne}) {
      for (RestartType restart : {kPerm, kTrans, kTemp}) {
        auto big = std::make_shared<std::string>(1000, 'x');
        std::weak_ptr<std::string> kept = big;
        Pid s = co_await Start(t, Spec(strategy, 2, 3600), "");
        ChildSpec c = Child("c1", "w1", {"extra"}, restart);
        c.start.args.push_back(Payload::Local(std::move(big)));
        OpResult r = co_await StartChild(t, s, std::move(c));
        EXPECT_EQ(r.code, Code::kOk);
        r = {};
        co_await Settle(t);
        EXPECT_EQ(kept.expired(), restart == kTemp);
      }
    }
  });
}

TEST_F(SupRetry, SUP074SpecsOfTemporaryChildrenAreNotKept) {
  Run([&](Self& t) -> Task<void> {
    for (Strategy strategy : {Strategy::kOneForOne, Strategy::kOneForAll, Strategy::kRestForOne}) {
      for (std::string how : {"kill", "normal", "abnormal", "supervisor"}) {
        for (RestartType restart : {kPerm, kTrans, kTemp}) {
          Pid s = co_await Start(t, Spec(strategy, 2, 3600), "");
          OpResult c = co_await StartChild(t, s, Child("c", "w1", {}, restart));
          if (how == "supervisor") {
            co_await Terminate(t, s, "c");
          } else {
            co_await End(t, c.pid, how);
          }
          OpResult again = co_await StartChild(t, s, Child("c", "w1", {}, restart));
          const bool ended = how == "supervisor" || (restart == kTrans && how == "normal");
          Code want = restart == kTemp ? Code::kOk
                      : ended          ? Code::kAlreadyPresent
                                       : Code::kAlreadyStarted;
          EXPECT_EQ(again.code, want) << how;
          if (want == Code::kAlreadyPresent)
            EXPECT_EQ((co_await Restart(t, s, "c")).code, Code::kOk);
        }
      }
    }
  });
}

TEST_F(SupRetry, SUP076TemporaryBystanders) {
  Run([&](Self& t) -> Task<void> {
    for (Strategy strategy : {Strategy::kOneForAll, Strategy::kRestForOne}) {
      Pid s = co_await Start(
          t,
          Spec(strategy, 2, 300,
               {Child("c1", "w1", {}, kPerm, Ms(100)), Child("c2", "w1", {}, kTemp, Ms(100))}),
          "");
      co_await End(t, co_await PidOf(t, s, "c1"), "normal");
      co_await t.Sleep(absl::Milliseconds(350));
      EXPECT_EQ(co_await Show(t, s), "c1");
    }
  });
}

TEST_F(SupRetry, SUP078HangingRestartLoop) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 8, 10));
    ChildSpec spec = Kill("c1", "wd");
    spec.start.name = "wd_server";
    OpResult c1 = co_await StartChild(t, s, spec);
    world_.fail_start = true;
    Ref down = t.Monitor(c1.pid);
    t.Cast(c1.pid, Word("restart"));
    std::optional<Message> m =
        co_await t.ReceiveIf([down](const Message& m) { return m.ref() == down; });
    EXPECT_EQ(m->reason(), ExitReason::Error("error"));
    co_await t.Sleep(absl::Seconds(2));
    EXPECT_EQ((co_await StartChild(t, s, spec)).code, Code::kAlreadyPresent);
    EXPECT_EQ((co_await Restart(t, s, "c1")).code, Code::kRestarting);
    EXPECT_EQ((co_await Delete(t, s, "c1")).code, Code::kRestarting);
    EXPECT_EQ(co_await Show(t, s), "c1:restarting");
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 0, 0, 1));
    EXPECT_EQ((co_await Terminate(t, s, "c1")).code, Code::kOk);
    EXPECT_EQ(co_await Show(t, s), "c1:undefined");
    world_.fail_start = false;
    OpResult again = co_await Restart(t, s, "c1");
    EXPECT_EQ(again.code, Code::kOk);
    world_.fail_start = true;
    t.Cast(again.pid, Word("restart"));
    co_await t.Sleep(absl::Seconds(2));
    EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
    EXPECT_FALSE(rt_->Whereis("sup_test"));
    EXPECT_FALSE(rt_->Whereis("wd_server"));
  });
}

TEST_F(SupRetry, SUP079HangingRestartLoopRestForOne) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kRestForOne, 8, 10));
    OpResult c1 = co_await StartChild(t, s, Kill("c1", "w1"));
    OpResult c2 = co_await StartChild(t, s, Kill("c2", "wd"));
    co_await StartChild(t, s, Kill("c3", "w1"));
    world_.fail_start = true;
    t.Cast(c2.pid, Word("restart"));
    co_await t.Sleep(absl::Seconds(2));
    EXPECT_EQ(co_await Show(t, s), "c3:undefined c2:restarting c1");
    EXPECT_EQ(co_await PidOf(t, s, "c1"), c1.pid);
    EXPECT_THAT(co_await Cc(t, s), Counts(3, 1, 0, 3));
    EXPECT_EQ((co_await Terminate(t, s, "c2")).code, Code::kOk);
    EXPECT_EQ(co_await Show(t, s), "c3:undefined c2:undefined c1");
    world_.fail_start = false;
    OpResult again = co_await Restart(t, s, "c2");
    EXPECT_EQ(again.code, Code::kOk);
    world_.fail_start = true;
    t.Cast(again.pid, Word("restart"));
    co_await t.Sleep(absl::Seconds(2));
    EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
  });
}

TEST_F(SupRetry, SUP080HangingRestartLoopSimple) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kSimpleOneForOne, 8, 10, {Kill("x", "wd")}));
    OpResult c = co_await StartDynamic(t, s);
    world_.fail_start = true;
    t.Cast(c.pid, Word("restart"));
    co_await t.Sleep(absl::Seconds(2));
    EXPECT_EQ((co_await Restart(t, s, c.pid)).code, Code::kSimpleOneForOne);
    EXPECT_EQ((co_await Delete(t, s, c.pid)).code, Code::kSimpleOneForOne);
    EXPECT_EQ(co_await Show(t, s), "-:restarting");
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 0, 0, 1));
    EXPECT_NE(co_await GetSpec(t, s, c.pid), nullptr);
    EXPECT_EQ((co_await Terminate(t, s, c.pid)).code, Code::kOk);
    EXPECT_EQ(co_await Show(t, s), "");
    world_.fail_start = false;
    OpResult again = co_await StartDynamic(t, s);
    EXPECT_EQ(again.code, Code::kOk);
    world_.fail_start = true;
    t.Cast(again.pid, Word("restart"));
    co_await t.Sleep(absl::Seconds(2));
    EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
  });
}

}  // namespace
}  // namespace banyan
