// SUP-030 to SUP-042: strategies and restart intensity. spec/supervisor.md 19.5.
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

class SupStrategy : public SupervisorTest {
 protected:
  static Task<Pid> First(Self& t, Pid s) {
    std::vector<ChildEntry> wc = co_await Wc(t, s);
    co_return wc.empty() ? Pid{} : wc.front().pid;
  }

  // SUP-034, SUP-042: T gives the verdicts. Who announced itself, and its pid.
  static Task<std::pair<std::string, Pid>> Announcement(Self& t, std::string verdict) {
    std::optional<Message> m = co_await t.ReceiveIf([](const Message& m) { return m.is_info(); },
                                                    t.Now() + absl::Seconds(10));
    if (!m) co_return std::pair<std::string, Pid>("nobody", Pid{});
    auto who = *m->payload().As<std::pair<std::string, Pid>>();
    t.Send(who.second, Word(std::move(verdict)));
    co_return who;
  }

  // A supervisor of two W3 whose starts T judges. T must not wait for the start itself.
  Pid StartJudged(Self& t, Strategy strategy) {
    world_.judge = t.pid();
    auto spec = std::make_shared<const SupervisorSpec>(Spec(
        strategy, 3, 3600, {Child("child1", "w3", {"child1"}), Child("child2", "w3", {"child2"})}));
    ProcessMain helper = [spec](Self& self) -> Task<ExitReason> {
      StartResult s = co_await StartSupervisor(self, spec, {});
      EXPECT_TRUE(s.started());
      co_await self.ReceiveIf([](const Message& m) { return TextOf(m.payload()) == "stop"; });
      SupervisorClient client(s.pid);
      auto wc = co_await client.CountChildren(self);
      EXPECT_TRUE(wc.ok());
      co_return ExitReason::Normal();
    };
    absl::StatusOr<SpawnResult> p = t.Spawn(std::move(helper), {.trap_exit = true});
    return p->pid;
  }
};

TEST_F(SupStrategy, SUP030OneForOne) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    OpResult c1 = co_await StartChild(t, s, Child("c1", "w1"));
    OpResult c2 = co_await StartChild(t, s, Child("c2", "w1"));
    co_await End(t, c1.pid, "abnormal");
    EXPECT_EQ(co_await Show(t, s), "c2 c1");
    EXPECT_EQ(co_await PidOf(t, s, "c2"), c2.pid);
    EXPECT_NE(co_await PidOf(t, s, "c1"), c1.pid);
    EXPECT_THAT(co_await Cc(t, s), Counts(2, 2, 0, 2));
    co_await End(t, c2.pid, "abnormal");
    co_await End(t, co_await First(t, s), "abnormal");
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
  });
}

TEST_F(SupStrategy, SUP031OneForOneEscalation) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 4, 3600));
    OpResult c1 = co_await StartChild(t, s, Child("c1", "w1", {"error"}));
    OpResult c2 = co_await StartChild(t, s, Child("c2", "w1"));
    t.Link(c2.pid);
    co_await End(t, c1.pid, "abnormal");
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, c2.pid), ExitReason::Shutdown());
  });
}

TEST_F(SupStrategy, SUP032OneForAll) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForAll, 2, 3600));
    OpResult c1 = co_await StartChild(t, s, Child("c1", "w1"));
    OpResult c2 = co_await StartChild(t, s, Child("c2", "w1"));
    t.Link(c2.pid);
    co_await End(t, c1.pid, "abnormal");
    EXPECT_EQ(co_await ExitOf(t, c2.pid), ExitReason::Shutdown());
    EXPECT_EQ(co_await Show(t, s), "c2 c1");
    EXPECT_NE(co_await PidOf(t, s, "c1"), c1.pid);
    EXPECT_NE(co_await PidOf(t, s, "c2"), c2.pid);
    EXPECT_THAT(co_await Cc(t, s), Counts(2, 2, 0, 2));
    co_await End(t, co_await First(t, s), "abnormal");
    co_await End(t, co_await First(t, s), "abnormal");
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
  });
}

TEST_F(SupStrategy, SUP033OneForAllEscalation) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForAll, 4, 3600));
    OpResult c1 = co_await StartChild(t, s, Child("c1", "w1"));
    OpResult c2 = co_await StartChild(t, s, Child("c2", "w1", {"error"}));
    t.Link(c2.pid);
    co_await End(t, c1.pid, "abnormal");
    EXPECT_EQ(co_await ExitOf(t, c2.pid), ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
  });
}

TEST_F(SupStrategy, SUP034OneForAllOtherChildFailsRestart) {
  Run([&](Self& t) -> Task<void> {
    Pid helper = StartJudged(t, Strategy::kOneForAll);
    auto c1 = co_await Announcement(t, "ok");
    EXPECT_EQ(c1.first, "child1");
    EXPECT_EQ((co_await Announcement(t, "ok")).first, "child2");
    t.Send(c1.second, Word("die"));
    auto again = co_await Announcement(t, "ok");
    EXPECT_EQ(again.first, "child1");
    Ref down = t.Monitor(again.second);
    EXPECT_EQ((co_await Announcement(t, "fail")).first, "child2");
    // The restarted child1 is stopped before anybody is started again.
    std::optional<Message> m = co_await t.Receive();
    EXPECT_TRUE(m->is_down() && m->ref() == down);
    EXPECT_EQ(m->reason(), ExitReason::Shutdown());
    EXPECT_EQ((co_await Announcement(t, "ok")).first, "child1");
    EXPECT_EQ((co_await Announcement(t, "ok")).first, "child2");
    t.Send(helper, Word("stop"));
    EXPECT_EQ(co_await DownOf(t, helper), ExitReason::Normal());
  });
}

TEST_F(SupStrategy, SUP035SimpleOneForOne) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kSimpleOneForOne, 2, 3600, {Child("x", "w1")}));
    OpResult p1 = co_await StartDynamic(t, s);
    OpResult p2 = co_await StartDynamic(t, s);
    co_await End(t, p1.pid, "abnormal");
    std::vector<ChildEntry> wc = co_await Wc(t, s);
    CO_ASSERT(wc.size() == 2);
    EXPECT_TRUE(wc[0].pid == p2.pid || wc[1].pid == p2.pid);
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 2, 0, 2));
    co_await End(t, p2.pid, "abnormal");
    co_await End(t, co_await First(t, s), "abnormal");
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
  });
}

TEST_F(SupStrategy, SUP036SimpleOneForOneStopsInParallel) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(
        t, Spec(Strategy::kSimpleOneForOne, 2, 3600, {Child("x", "w2", {}, kPerm, Ms(2000))}));
    for (const char* ms : {"1000", "1000", "5000"}) co_await StartDynamic(t, s, {ms});
    const Instant before = t.Now();
    EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
    EXPECT_EQ(t.Now() - before, absl::Seconds(2));
  });
}

TEST_F(SupStrategy, SUP037SimpleOneForOneExtraInfo) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(
        t, Spec(Strategy::kSimpleOneForOne, 2, 3600, {Child("x", "w1", {"extra", "extra_info"})}));
    OpResult p1 = co_await StartDynamic(t, s);
    OpResult p2 = co_await StartDynamic(t, s);
    EXPECT_EQ(TextOf(p1.info), "extra_info");
    EXPECT_EQ(TextOf(p2.info), "extra_info");
    co_await End(t, p1.pid, "abnormal");
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 2, 0, 2));
    co_await End(t, p2.pid, "abnormal");
    co_await End(t, co_await First(t, s), "abnormal");
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
  });
}

TEST_F(SupStrategy, SUP038SimpleOneForOneEscalation) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kSimpleOneForOne, 4, 3600, {Child("x", "w1")}));
    OpResult c1 = co_await StartDynamic(t, s, {"error"});
    OpResult c2 = co_await StartDynamic(t, s);
    t.Link(c2.pid);
    // Every start of this template counts as the same child, so the restart of c1 fails.
    co_await End(t, c1.pid, "abnormal");
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, c2.pid), ExitReason::Shutdown());
  });
}

TEST_F(SupStrategy, SUP039TemporaryDynamicChildrenKeepNoArguments) {
  Run([&](Self& t) -> Task<void> {
    Pid s =
        co_await Start(t, Spec(Strategy::kSimpleOneForOne, 2, 3600, {Child("x", "w1", {}, kTemp)}));
    OpResult first = co_await StartDynamic(t, s);
    co_await End(t, first.pid, "abnormal");
    auto big = std::make_shared<std::vector<int>>(50'000);
    std::weak_ptr<std::vector<int>> kept = big;
    std::vector<Payload> args{Word("extra"), Payload::Local(std::move(big))};
    absl::StatusOr<OpResult> r = co_await SupervisorClient(s).StartChild(t, std::move(args));
    CO_ASSERT(r.ok() && r->code == Code::kOk);
    r->info = {};
    co_await Settle(t);
    EXPECT_TRUE(kept.expired());
    EXPECT_TRUE(rt_->IsAlive(r->pid));
  });
}

TEST_F(SupStrategy, SUP040RestForOne) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kRestForOne, 2, 3600));
    OpResult c1 = co_await StartChild(t, s, Child("c1", "w1"));
    OpResult c2 = co_await StartChild(t, s, Child("c2", "w1"));
    OpResult c3 = co_await StartChild(t, s, Child("c3", "w1"));
    t.Link(c1.pid);
    t.Link(c3.pid);
    co_await End(t, c2.pid, "abnormal");
    EXPECT_EQ(co_await ExitOf(t, c3.pid), ExitReason::Shutdown());
    EXPECT_EQ(co_await Show(t, s), "c3 c2 c1");
    EXPECT_EQ(co_await PidOf(t, s, "c1"), c1.pid);
    EXPECT_NE(co_await PidOf(t, s, "c2"), c2.pid);
    EXPECT_NE(co_await PidOf(t, s, "c3"), c3.pid);
    EXPECT_THAT(co_await Cc(t, s), Counts(3, 3, 0, 3));
    co_await End(t, co_await PidOf(t, s, "c3"), "abnormal");
    co_await End(t, co_await PidOf(t, s, "c2"), "abnormal");
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
  });
}

TEST_F(SupStrategy, SUP041RestForOneEscalation) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kRestForOne, 4, 3600));
    OpResult c1 = co_await StartChild(t, s, Child("c1", "w1"));
    OpResult c2 = co_await StartChild(t, s, Child("c2", "w1", {"error"}));
    t.Link(c2.pid);
    co_await End(t, c1.pid, "abnormal");
    EXPECT_EQ(co_await ExitOf(t, c2.pid), ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
  });
}

TEST_F(SupStrategy, SUP042RestForOneOtherChildFailsRestart) {
  Run([&](Self& t) -> Task<void> {
    Pid helper = StartJudged(t, Strategy::kRestForOne);
    auto c1 = co_await Announcement(t, "ok");
    EXPECT_EQ((co_await Announcement(t, "ok")).first, "child2");
    t.Send(c1.second, Word("die"));
    EXPECT_EQ((co_await Announcement(t, "ok")).first, "child1");
    EXPECT_EQ((co_await Announcement(t, "fail")).first, "child2");
    EXPECT_EQ((co_await Announcement(t, "ok")).first, "child2");
    t.Send(helper, Word("stop"));
    EXPECT_EQ(co_await DownOf(t, helper), ExitReason::Normal());
  });
}

}  // namespace
}  // namespace banyan
