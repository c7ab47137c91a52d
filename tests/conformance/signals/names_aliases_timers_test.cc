// SIG-031 to SIG-074: what is asked of a dying process, monitors of names, reply addresses, timers.
#include "tests/conformance/signals/signals_fixture.h"

namespace banyan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Addresses : public SignalsTest {
 protected:
  void MonitorName(const ProbePtr& watcher, const std::string& name) {
    Do(watcher, [=](Self& self) -> Task<void> {
      self.Monitor({name, ""});
      co_return;
    });
  }
  // An alias of `owner` whose answer is a message.
  Ref Open(const ProbePtr& owner) {
    Ref alias = 0;
    Do(owner, [&](Self& self) -> Task<void> {
      alias = self.OpenAliasToMailbox();
      co_return;
    });
    return alias;
  }
  void Close(const ProbePtr& owner, Ref alias) {
    Do(owner, [=](Self& self) -> Task<void> {
      self.CloseAlias(alias);
      co_return;
    });
  }
  void AnswerTo(const ProbePtr& sender, const ProbePtr& owner, Ref alias, std::string text) {
    Do(sender, [=, to = owner->pid](Self& self) -> Task<void> {
      self.Answer({to, alias, self.pid()}, Text(text));
      co_return;
    });
  }
};

TEST_F(Addresses, SIG031AKilledOneIsDeadToWhoAsksAfterwards) {
  auto v = Start(true), asker = Start();
  bool answered = false, alive = true;
  rt_.Exit(v->pid, ExitReason::Kill());
  rt_.Inspect(v->pid, [&](std::optional<ProcessSnapshot> s) {
    answered = true;
    alive = s.has_value();
  });
  Settle();
  EXPECT_TRUE(answered);
  EXPECT_FALSE(alive);
  auto w = Start(true);
  Do(asker, [to = w->pid](Self& self) -> Task<void> {
    self.Exit(to, ExitReason::Kill());
    self.Monitor(to);
    co_return;
  });
  EXPECT_THAT(*asker->log, ElementsAre(Downed(w->pid, "noproc")));
}

TEST_F(Addresses, SIG041NobodyHasTheName) {
  auto v = Start();
  MonitorName(v, "x");
  EXPECT_TRUE(Alive(v));
  EXPECT_THAT(*v->log, ElementsAre(Downed("x", "noproc")));
}

TEST_F(Addresses, SIG042AMonitorSetByNameOutlivesTheName) {
  auto p = Start(false, "n"), v = Start();
  MonitorName(v, "n");
  Do(v, [to = p->pid](Self& self) -> Task<void> {
    self.Monitor(to);
    co_return;
  });
  ASSERT_TRUE(rt_.Unregister("n"));
  Finish(p, Err("bye"));
  EXPECT_THAT(*v->log, ElementsAre(Downed("n", "error bye"), Downed(p->pid, "error bye")));
}

TEST_F(Addresses, SIG043AMonitorSetByNameDoesNotMoveWithIt) {
  auto p = Start(false, "n"), p2 = Start(), v = Start();
  MonitorName(v, "n");
  ASSERT_TRUE(rt_.Unregister("n"));
  ASSERT_TRUE(rt_.Register("n", p2->pid));
  Finish(p2, Err("other"));
  EXPECT_THAT(*v->log, IsEmpty());
  Finish(p, Err("own"));
  EXPECT_THAT(*v->log, ElementsAre(Downed("n", "error own")));
}

TEST_F(Addresses, SIG050TheRefTellsMonitorsApart) {
  auto dead = Start(), v = Start();
  Finish(dead, ExitReason::Normal());
  Ref first = 0, second = 0, seen = 0;
  Do(v, [&](Self& self) -> Task<void> {
    first = self.Monitor(dead->pid);
    second = self.Monitor(dead->pid);
    std::optional<Message> m =
        co_await self.ReceiveIf([&](const Message& x) { return x.is_down() && x.ref() == second; });
    seen = m->ref();
  });
  EXPECT_EQ(seen, second);
  EXPECT_NE(first, second);
  EXPECT_THAT(*v->log, ElementsAre(Downed(dead->pid, "noproc")));
}

TEST_F(Addresses, SIG055NothingComesThroughAClosedAlias) {
  auto v = Start(), sender = Start();
  const Ref alias = Open(v);
  Close(v, alias);
  Close(v, alias);
  AnswerTo(sender, v, alias, "late");
  EXPECT_THAT(*v->log, IsEmpty());
  EXPECT_EQ(rt_.counters().late_replies.load(), 1u);
}

TEST_F(Addresses, SIG056AnAliasTakesOneAnswer) {
  auto v = Start(), sender = Start();
  const Ref alias = Open(v);
  AnswerTo(sender, v, alias, "r1");
  AnswerTo(sender, v, alias, "r2");
  EXPECT_THAT(*v->log, ElementsAre("r1"));
}

TEST_F(Addresses, SIG056AnotherProcessCannotCloseIt) {
  auto v = Start(), sender = Start();
  const Ref alias = Open(v);
  Close(sender, alias);
  AnswerTo(sender, v, alias, "r1");
  EXPECT_THAT(*v->log, ElementsAre("r1"));
}

TEST_F(Addresses, SIG059AnAliasIsOpenWhateverBecomesOfMonitors) {
  auto v = Start(), sender = Start();
  const Ref alias = Open(v);
  Do(v, [to = sender->pid](Self& self) -> Task<void> {
    self.Demonitor(self.Monitor(to));
    co_return;
  });
  AnswerTo(sender, v, alias, "r");
  EXPECT_THAT(*v->log, ElementsAre("r"));
}

TEST_F(Addresses, SIG068ATimeThatIsOverIsDueAtOnce) {
  auto v = Start();
  Do(v, [](Self& self) -> Task<void> {
    self.StartTimer(absl::Milliseconds(-1));
    self.StartTimer(self.Now() - absl::Milliseconds(5) - self.Now());
    EXPECT_EQ(self.mailbox_length(), 0u) << "a timer goes through the mailbox, never past it";
    co_return;
  });
  EXPECT_THAT(*v->log, ElementsAre("timeout", "timeout"));
}

TEST_F(Addresses, SIG070ATimerIsItsProcesssOwn) {
  auto a = Start(), b = Start();
  Ref timer = 0;
  Do(a, [&](Self& self) -> Task<void> {
    timer = self.StartTimer(absl::Seconds(1));
    co_return;
  });
  bool cancelled = true;
  Do(b, [&](Self& self) -> Task<void> {
    cancelled = self.CancelTimer(timer);
    co_return;
  });
  EXPECT_FALSE(cancelled);
  time_.RunFor(absl::Seconds(2));
  EXPECT_THAT(*a->log, ElementsAre("timeout"));
  EXPECT_THAT(*b->log, IsEmpty());
}

// OTP's timer to a name is a process's timer and a send by name when it is due.
TEST_F(Addresses, SIG071ANameIsLookedUpWhenTheMessageIsSent) {
  auto v = Start(), sender = Start();
  Do(sender, [](Self& self) -> Task<void> {
    co_await self.Sleep(absl::Seconds(1));
    EXPECT_TRUE(self.SendName("later", Payload::Any("test/text", "due")));
  });
  ASSERT_TRUE(rt_.Register("later", v->pid));
  time_.RunFor(absl::Seconds(2));
  EXPECT_THAT(*v->log, ElementsAre("due"));
}

TEST_F(Addresses, SIG074CancellingTellsAtOnce) {
  auto v = Start();
  bool first = false, second = true;
  Do(v, [&](Self& self) -> Task<void> {
    Ref timer = self.StartTimer(absl::Seconds(5));
    first = self.CancelTimer(timer);
    second = self.CancelTimer(timer);
    co_return;
  });
  EXPECT_TRUE(first);
  EXPECT_FALSE(second);
  time_.RunFor(absl::Seconds(10));
  EXPECT_THAT(*v->log, IsEmpty());
}

}  // namespace
}  // namespace banyan
