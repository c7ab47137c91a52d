// SIG-001 to SIG-033: processes, links and exits within one runtime.
#include <stdexcept>

#include "tests/conformance/signals/signals_fixture.h"

namespace banyan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Exits : public SignalsTest {};

TEST_F(Exits, SIG001NormalIsIgnoredByOneThatDoesNotTrap) {
  auto v = Start();
  ExitFromOutside(v, ExitReason::Normal());
  EXPECT_TRUE(Alive(v));
  EXPECT_THAT(*v->log, IsEmpty());
}

TEST_F(Exits, SIG002NormalIsAMessageToOneThatTraps) {
  auto v = Start(true);
  ExitFromOutside(v, ExitReason::Normal());
  EXPECT_THAT(*v->log, ElementsAre(Exited({}, "normal")));
}

TEST_F(Exits, SIG003NormalToOneselfEndsOneThatDoesNotTrap) {
  auto v = Start();
  Do(v, [](Self& self) -> Task<void> {
    self.Exit(self.pid(), ExitReason::Normal());
    co_return;
  });
  ASSERT_TRUE(v->down);
  EXPECT_EQ(*v->down, ExitReason::Normal());
}

TEST_F(Exits, SIG004NormalToOneselfIsAMessageToOneThatTraps) {
  auto v = Start(true);
  Do(v, [](Self& self) -> Task<void> {
    self.Exit(self.pid(), ExitReason::Normal());
    co_return;
  });
  EXPECT_TRUE(Alive(v));
  EXPECT_THAT(*v->log, ElementsAre(Exited(v->pid, "normal")));
}

TEST_F(Exits, SIG005AnotherReasonEndsOrIsAMessage) {
  auto plain = Start();
  auto trapping = Start(true);
  ExitFromOutside(plain, Err("foo"));
  ExitFromOutside(trapping, Err("foo"));
  EXPECT_EQ(plain->down, Err("foo"));
  EXPECT_FALSE(trapping->down);
  EXPECT_THAT(*trapping->log, ElementsAre(Exited({}, "error foo")));
}

TEST_F(Exits, SIG006KillCannotBeTrappedKilledCan) {
  for (bool trap : {false, true}) {
    auto v = Start(trap);
    ExitFromOutside(v, ExitReason::Kill());
    EXPECT_EQ(v->down, ExitReason::Killed());
  }
  auto plain = Start();
  auto trapping = Start(true);
  ExitFromOutside(plain, ExitReason::Killed());
  ExitFromOutside(trapping, ExitReason::Killed());
  EXPECT_EQ(plain->down, ExitReason::Killed());
  EXPECT_THAT(*trapping->log, ElementsAre(Exited({}, "killed")));
}

// What the end of a linked peer does: reason it ends with, what the peer's link sends.
struct LinkCase {
  const char* id;
  ExitReason end;
  bool kill;         // ended by exit(kill) from outside rather than by itself
  const char* seen;  // the message to a trapping peer
  bool plain_dies;
  ExitReason plain_reason;
};

TEST_F(Exits, SIG008To012WhatALinkSends) {
  const LinkCase cases[] = {
      {"SIG-008", ExitReason::Normal(), false, "normal", false, {}},
      {"SIG-009", ExitReason::Shutdown(), false, "shutdown", true, ExitReason::Shutdown()},
      {"SIG-010", ExitReason::Kill(), false, "kill", true, ExitReason::Kill()},
      {"SIG-011", {}, true, "killed", true, ExitReason::Killed()},
      {"SIG-012", Err("boom"), false, "error boom", true, Err("boom")},
  };
  for (const LinkCase& c : cases) {
    SCOPED_TRACE(c.id);
    for (bool trap : {false, true}) {
      auto v = Start(trap);
      auto q = Start();
      Link(v, q);
      if (c.kill) {
        ExitFromOutside(q, ExitReason::Kill());
      } else {
        Finish(q, c.end);
      }
      if (trap) {
        EXPECT_THAT(*v->log, ElementsAre(Exited(q->pid, c.seen)));
        EXPECT_TRUE(Alive(v));
      } else if (c.plain_dies) {
        EXPECT_EQ(v->down, c.plain_reason);
      } else {
        EXPECT_TRUE(Alive(v));
        EXPECT_EQ(LinkCount(v), 0u);
      }
    }
  }
}

TEST_F(Exits, SIG013AnUncaughtExceptionIsTheCrashReason) {
  auto v = Start(true);
  auto q = Start();
  Link(v, q);
  Do(q, [](Self&) -> Task<void> {
    throw std::out_of_range("at");
    co_return;
  });
  ASSERT_TRUE(q->down);
  EXPECT_EQ(q->down->type(), "std::out_of_range");
  EXPECT_EQ(q->down->message(), "at");
  EXPECT_THAT(*v->log, ElementsAre(Exited(q->pid, "error std::out_of_range: at")));
}

TEST_F(Exits, SIG014EndingOneselfWithKillStaysKill) {
  for (bool trap : {false, true}) {
    auto v = Start(trap);
    Finish(v, ExitReason::Kill());
    EXPECT_EQ(v->down, ExitReason::Kill());
  }
}

TEST_F(Exits, SIG015AChainEndsWithTheSameReason) {
  auto a = Start(), b = Start(), c = Start();
  Link(a, b);
  Link(b, c);
  Finish(a, Err("boom"));
  for (auto& p : {a, b, c}) EXPECT_EQ(p->down, Err("boom"));
}

TEST_F(Exits, SIG016NormalStopsAtTheFirstLink) {
  auto c1 = Start(), c2 = Start();
  Link(c2, c1);
  Finish(c2, ExitReason::Normal());
  EXPECT_TRUE(Alive(c1));
  EXPECT_EQ(LinkCount(c1), 0u);
}

TEST_F(Exits, SIG017ASignalSentByHandLeavesTheLink) {
  auto v = Start(true), q = Start();
  Link(v, q);
  Do(q, [to = v->pid](Self& self) -> Task<void> {
    self.Exit(to, Err("zap"));
    co_return;
  });
  EXPECT_THAT(*v->log, ElementsAre(Exited(q->pid, "error zap")));
  EXPECT_EQ(LinkCount(v), 1u);
  EXPECT_EQ(LinkCount(q), 1u);
}

TEST_F(Exits, SIG018LinkingThriceIsOneLink) {
  auto v = Start(true), q = Start();
  for (int i = 0; i < 3; ++i) Link(v, q);
  Finish(q, Err("y"));
  EXPECT_THAT(*v->log, ElementsAre(Exited(q->pid, "error y")));
}

TEST_F(Exits, SIG019OneUnlinkTakesIt) {
  auto v = Start(true), q = Start();
  for (int i = 0; i < 3; ++i) Link(v, q);
  Do(v, [to = q->pid](Self& self) -> Task<void> {
    self.Unlink(to);
    co_return;
  });
  EXPECT_EQ(LinkCount(v), 0u);
  EXPECT_EQ(LinkCount(q), 0u);
  Finish(q, Err("x"));
  EXPECT_THAT(*v->log, IsEmpty());
}

TEST_F(Exits, SIG020EitherSideMayUnlink) {
  auto a = Start(), b = Start();
  Link(a, b);
  Do(b, [to = a->pid](Self& self) -> Task<void> {
    self.Unlink(to);
    co_return;
  });
  Finish(a, Err("r"));
  EXPECT_TRUE(Alive(b));
}

TEST_F(Exits, SIG021LinkToADeadOneIsAnErrorToOneThatDoesNotTrap) {
  auto d = Start();
  Finish(d, ExitReason::Normal());
  auto v = Start();
  bool linked = true;
  Do(v, [&, to = d->pid](Self& self) -> Task<void> {
    linked = self.Link(to);
    co_return;
  });
  EXPECT_FALSE(linked);
  EXPECT_TRUE(Alive(v));
}

TEST_F(Exits, SIG022LinkToADeadOneIsAMessageToOneThatTraps) {
  auto d = Start();
  Finish(d, ExitReason::Normal());
  auto v = Start(true);
  bool linked = false;
  Do(v, [&, to = d->pid](Self& self) -> Task<void> {
    linked = self.Link(to);
    co_return;
  });
  EXPECT_TRUE(linked);
  EXPECT_THAT(*v->log, ElementsAre(Exited(d->pid, "noproc")));
}

TEST_F(Exits, SIG023LinkToOneselfDoesNothing) {
  auto v = Start();
  Link(v, v);
  EXPECT_EQ(LinkCount(v), 0u);
}

Script SpawnMany(int n, SpawnOptions options, std::string reason) {
  return [=](Self& self) -> Task<void> {
    for (int i = 0; i < n; ++i) {
      EXPECT_TRUE(
          self.Spawn([reason](Self&) -> Task<ExitReason> { return Err(reason); }, options).ok());
    }
    co_return;
  };
}

TEST_F(Exits, SIG024EachSpawnLinkYieldsOneExit) {
  auto v = Start(true);
  Do(v, SpawnMany(200, {.link = true}, "q"));
  EXPECT_EQ(v->log->size(), 200u);
  for (const std::string& m : *v->log) EXPECT_THAT(m, ::testing::EndsWith("error q"));
}

TEST_F(Exits, SIG025EachSpawnMonitorYieldsOneDown) {
  auto v = Start();
  Do(v, SpawnMany(200, {.monitor = true}, "q"));
  EXPECT_EQ(v->log->size(), 200u);
  for (const std::string& m : *v->log) EXPECT_THAT(m, ::testing::EndsWith("error q"));
}

TEST_F(Exits, SIG026LinkAndMonitorYieldOneOfEach) {
  auto v = Start(true);
  Do(v, SpawnMany(1, {.link = true, .monitor = true}, "both"));
  EXPECT_THAT(*v->log, ::testing::UnorderedElementsAre(::testing::StartsWith("EXIT"),
                                                       ::testing::StartsWith("DOWN")));
}

TEST_F(Exits, SIG027NoExitAfterUnlinkAndFlush) {
  auto v = Start(true);
  Do(v, [](Self& self) -> Task<void> {
    for (int i = 0; i < 300; ++i) {
      auto child = self.Spawn(
          [](Self& me) -> Task<ExitReason> {
            co_await me.Receive();
            co_return Err("late");
          },
          {.link = true});
      self.Send(child->pid, {});
      if (i % 2) co_await self.Yield();  // half of the children end before the unlink
      self.Unlink(child->pid);
      self.TakeIf([&](const Message& m) { return m.is_exit() && m.from() == child->pid; });
    }
  });
  EXPECT_THAT(*v->log, IsEmpty());
  EXPECT_EQ(LinkCount(v), 0u);
}

TEST_F(Exits, SIG028AQueuedExitStaysWhenTrappingEnds) {
  auto v = Start(true), q = Start();
  Link(v, q);
  std::string seen;
  Do(v, [&](Self& self) -> Task<void> {
    self.Send(q->pid, Payload::Local(End{Err("gone")}));
    auto peek = [](const Message& m) { return m.is_timeout(); };
    self.StartTimer(absl::Milliseconds(1));
    co_await self.ReceiveIf(peek);
    self.SetTrapExit(false);
    auto m = co_await self.Receive();
    seen = Show(*m);
  });
  time_.RunFor(absl::Seconds(1));
  EXPECT_EQ(seen, Exited(q->pid, "error gone"));
  EXPECT_TRUE(Alive(v));
}

TEST_F(Exits, SIG029AProcessThatWaitsIsEndedAllTheSame) {
  auto silent = Start();
  auto v = Start();
  bool returned = false, unwound = false;
  Do(v, [&](Self& self) -> Task<void> {
    struct Unwind {
      bool* flag;
      ~Unwind() { *flag = true; }
    } unwind{&unwound};
    auto r = co_await self.Call(silent->pid, Text("?"), absl::InfiniteDuration());
    returned = true;
  });
  ExitFromOutside(v, Err("foo"));
  EXPECT_EQ(v->down, Err("foo"));
  EXPECT_FALSE(returned);
  EXPECT_TRUE(unwound);
}

TEST_F(Exits, SIG030TheNameIsFreeBeforeTheDown) {
  auto v = Start(false, "n");
  std::optional<Pid> at_down = v->pid;
  rt_.Monitor(v->pid, [&](Pid, ExitReason) { at_down = rt_.Whereis("n"); });
  ExitFromOutside(v, Err("x"));
  EXPECT_FALSE(at_down);
  auto w = Start();
  EXPECT_TRUE(rt_.Register("n", w->pid));
}

TEST_F(Exits, SIG032MessagesBeforeTheExit) {
  auto v = Start(true), child = Start();
  Link(v, child);
  Do(child, [to = v->pid](Self& self) -> Task<void> {
    self.Send(to, Text("m1"));
    self.Send(to, Text("m2"));
    co_await self.ExitSelf(Err("z"));
  });
  EXPECT_THAT(*v->log, ElementsAre("m1", "m2", Exited(child->pid, "error z")));
}

TEST_F(Exits, SIG033KilledGoesOverLinksAsKilled) {
  auto v = Start(), trapping = Start(true), plain = Start();
  Link(trapping, v);
  Link(plain, v);
  ExitFromOutside(v, ExitReason::Kill());
  EXPECT_THAT(*trapping->log, ElementsAre(Exited(v->pid, "killed")));
  EXPECT_EQ(plain->down, ExitReason::Killed());
}

}  // namespace
}  // namespace banyan
