// The cases of one node once more with the two processes on two nodes: only noconnection and
// latency may differ (SIG R1).
#include <gmock/gmock.h>

#include "common/base/error.h"
#include "two_nodes.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class RemoteSignals : public TwoNodes {
 protected:
  // A process of `a` does `what` to one of `b`.
  void Do(const std::shared_ptr<Log>& from, const std::shared_ptr<Log>& to,
          std::function<void(Self&, Pid)> what) {
    Run(*a, from, [pid = b->Export(to->pid), what](Self& self) -> Task<void> {
      what(self, pid);
      co_return;
    });
    Settle();
  }
  void Link(const std::shared_ptr<Log>& from, const std::shared_ptr<Log>& to) {
    Do(from, to, [](Self& self, Pid pid) { self.Link(pid); });
  }
  void End(const std::shared_ptr<Log>& remote, const ExitReason& reason) {
    Run(*b, remote,
        [reason](Self& self) -> Task<void> { co_await self.ExitSelf(ExitReason(reason)); });
    Settle();
  }
};

// A reason sent by hand, and what becomes of who does not trap exits and of who does.
struct Sent {
  ExitReason reason;
  bool plain_dies;
  ExitReason plain_reason;
  const char* seen;  // null: it dies as well
};

TEST_F(RemoteSignals, SIG001To006WhatAnExitSignalDoes) {
  const ExitReason foo = ExitReason::Error("foo");
  const Sent cases[] = {
      {ExitReason::Normal(), false, {}, "EXIT normal"},
      {foo, true, foo, "EXIT error foo"},
      {ExitReason::Shutdown(), true, ExitReason::Shutdown(), "EXIT shutdown"},
      {ExitReason::Kill(), true, ExitReason::Killed(), nullptr},
      {ExitReason::Killed(), true, ExitReason::Killed(), "EXIT killed"},
  };
  for (const Sent& c : cases) {
    SCOPED_TRACE(c.reason.ToString());
    auto from = Spawn(*a), plain = Spawn(*b), trapping = Spawn(*b, true);
    for (const auto& to : {plain, trapping})
      Do(from, to, [&](Self& self, Pid pid) { self.Exit(pid, ExitReason(c.reason)); });
    EXPECT_EQ(plain->ended, c.plain_dies);
    if (c.plain_dies) EXPECT_EQ(plain->end, c.plain_reason);
    if (c.seen == nullptr) {
      EXPECT_EQ(trapping->end, ExitReason::Killed());
    } else {
      EXPECT_FALSE(trapping->ended);
      EXPECT_THAT(trapping->lines, ElementsAre(c.seen));
    }
    EXPECT_FALSE(from->ended);
  }
}

TEST_F(RemoteSignals, SIG008To012WhatALinkSends) {
  const ExitReason boom = ExitReason::Error("boom");
  const Sent cases[] = {
      {ExitReason::Normal(), false, {}, "EXIT normal"},
      {ExitReason::Shutdown(), true, ExitReason::Shutdown(), "EXIT shutdown"},
      {ExitReason::Kill(), true, ExitReason::Kill(), "EXIT kill"},
      {boom, true, boom, "EXIT error boom"},
  };
  for (const Sent& c : cases) {
    SCOPED_TRACE(c.reason.ToString());
    auto plain = Spawn(*a), trapping = Spawn(*a, true), q = Spawn(*b);
    Link(plain, q);
    Link(trapping, q);
    End(q, c.reason);
    EXPECT_EQ(plain->ended, c.plain_dies);
    if (c.plain_dies) EXPECT_EQ(plain->end, c.plain_reason);
    EXPECT_FALSE(trapping->ended);
    EXPECT_THAT(trapping->lines, ElementsAre(c.seen));
    EXPECT_THAT(Links(*a, trapping->pid), IsEmpty());
    if (!c.plain_dies) EXPECT_THAT(Links(*a, plain->pid), IsEmpty());
  }
}

TEST_F(RemoteSignals, SIG011And033KilledGoesOverLinksAsKilled) {
  auto plain = Spawn(*a), trapping = Spawn(*a, true), q = Spawn(*b);
  Link(plain, q);
  Link(trapping, q);
  b->runtime.Exit(q->pid, ExitReason::Kill());
  Settle();
  EXPECT_EQ(plain->end, ExitReason::Killed());
  EXPECT_THAT(trapping->lines, ElementsAre("EXIT killed"));
}

TEST_F(RemoteSignals, SIG015AChainOverNodesEndsWithTheSameReason) {
  auto first = Spawn(*a), second = Spawn(*b), third = Spawn(*a);
  Link(first, second);
  Link(third, second);
  a->runtime.Send(first->pid, Text("exit boom"));
  Settle();
  EXPECT_EQ(first->end.type(), "boom");
  EXPECT_EQ(second->end, first->end);
  EXPECT_EQ(third->end, first->end);
}

TEST_F(RemoteSignals, SIG017ASignalSentByHandLeavesTheLink) {
  auto q = Spawn(*a), v = Spawn(*b, true);
  Link(q, v);
  Do(q, v, [](Self& self, Pid pid) { self.Exit(pid, ExitReason::Error("zap")); });
  EXPECT_THAT(v->lines, ElementsAre("EXIT error zap"));
  EXPECT_EQ(Links(*a, q->pid).size(), 1u);
  EXPECT_EQ(Links(*b, v->pid).size(), 1u);
}

TEST_F(RemoteSignals, SIG018And019LinkingThriceIsOneLink) {
  auto v = Spawn(*a, true), q = Spawn(*b), r = Spawn(*b);
  for (const auto& to : {q, r})
    for (int i = 0; i < 3; ++i) Link(v, to);
  Do(v, r, [](Self& self, Pid pid) { self.Unlink(pid); });
  EXPECT_EQ(Links(*a, v->pid).size(), 1u);
  EXPECT_THAT(Links(*b, r->pid), IsEmpty());
  End(r, ExitReason::Error("x"));
  EXPECT_THAT(v->lines, IsEmpty());
  End(q, ExitReason::Error("y"));
  EXPECT_THAT(v->lines, ElementsAre("EXIT error y"));
}

TEST_F(RemoteSignals, SIG020EitherSideMayUnlink) {
  auto from = Spawn(*a), to = Spawn(*b);
  Link(from, to);
  Run(*b, to, [pid = a->Export(from->pid)](Self& self) -> Task<void> {
    self.Unlink(pid);
    co_return;
  });
  Settle();
  EXPECT_THAT(Links(*a, from->pid), IsEmpty());
  a->runtime.Send(from->pid, Text("exit r"));
  Settle();
  EXPECT_FALSE(to->ended);
}

TEST_F(RemoteSignals, SIG021LinkToADeadOneKillsWhoDoesNotTrap) {
  auto to = Spawn(*b), from = Spawn(*a);
  b->runtime.Exit(to->pid, ExitReason::Kill());
  Settle();
  bool linked = false;
  Do(from, to, [&](Self& self, Pid pid) { linked = self.Link(pid); });
  EXPECT_TRUE(linked) << "only the other node knows";
  EXPECT_EQ(from->end, ExitReason::NoProc());
}

TEST_F(RemoteSignals, SIG031AKilledOneIsDeadToWhoAsksAfterwards) {
  auto from = Spawn(*a), to = Spawn(*b, true);
  Do(from, to, [](Self& self, Pid pid) {
    self.Exit(pid, ExitReason::Kill());
    self.Monitor(pid);
  });
  EXPECT_THAT(from->lines, ElementsAre("DOWN noproc"));
  EXPECT_FALSE(b->runtime.IsAlive(to->pid));
}

TEST_F(RemoteSignals, SIG032MessagesBeforeTheExit) {
  auto parent = Spawn(*a, true), child = Spawn(*b);
  Link(parent, child);
  Run(*b, child, [pid = a->Export(parent->pid)](Self& self) -> Task<void> {
    self.Send(pid, Text("m1"));
    self.Send(pid, Text("m2"));
    co_await self.ExitSelf(ExitReason::Error("z"));
  });
  Settle();
  EXPECT_THAT(parent->lines, ElementsAre("msg m1", "msg m2", "EXIT error z"));
}

TEST_F(RemoteSignals, SIG045To047MonitorsFireOnceAndCanBeTakenBack) {
  auto from = Spawn(*a), to = Spawn(*b);
  std::vector<Ref> refs;
  Do(from, to, [&](Self& self, Pid pid) {
    for (int i = 0; i < 3; ++i) refs.push_back(self.Monitor(pid));
  });
  bool first = false, second = true;
  Do(from, to, [&](Self& self, Pid) {
    first = self.Demonitor(refs[1]);
    second = self.Demonitor(refs[1]);
  });
  EXPECT_TRUE(first);
  EXPECT_FALSE(second);
  End(to, ExitReason::Error("x"));
  EXPECT_THAT(from->lines, ElementsAre("DOWN error x", "DOWN error x"));
  EXPECT_FALSE(from->ended);
}

TEST_F(RemoteSignals, SIG057OnlyTheFirstReplyCounts) {
  auto caller = Spawn(*a), server = Spawn(*b);
  Run(*b, server, [](Self& self) -> Task<void> {
    auto m = co_await self.ReceiveIf([](const Message& x) { return x.is_call(); });
    self.Answer(m->call_from(), Text("one"));
    self.Answer(m->call_from(), Text("two"));
  });
  std::string got;
  Run(*a, caller, [&, pid = b->Export(server->pid)](Self& self) -> Task<void> {
    got = (co_await self.Call(pid, Text("?")))->bytes();
  });
  Settle();
  EXPECT_EQ(got, "one");
  EXPECT_THAT(caller->lines, IsEmpty());
}

TEST_F(RemoteSignals, SIG101SendsAndExitsToTheDeadAreSilent) {
  auto from = Spawn(*a), to = Spawn(*b);
  b->runtime.Exit(to->pid, ExitReason::Kill());
  Settle();
  Do(from, to, [](Self& self, Pid pid) {
    self.Send(pid, Text("x"));
    self.Exit(pid, ExitReason::Kill());
    Pid nobody = pid;
    nobody.id += 1000;
    self.Send(nobody, Text("x"));
    self.Monitor(nobody);
  });
  EXPECT_FALSE(from->ended);
  EXPECT_THAT(from->lines, ElementsAre("DOWN noproc"));
}

TEST_F(RemoteSignals, SIG110ACrashOfTheNode) {
  auto from = Spawn(*a, true), to = Spawn(*b);
  Do(from, to, [](Self& self, Pid pid) {
    self.Link(pid);
    self.Monitor(pid);
  });
  b.reset();
  Settle();
  EXPECT_THAT(from->lines, UnorderedElementsAre("EXIT noconnection", "DOWN noconnection"));
  ASSERT_EQ(a->sessions.size(), 2u);
  EXPECT_FALSE(a->sessions.back().second);
}

TEST_F(RemoteSignals, SIG112AfterTheSilenceTheLinkedOneIsDead) {
  auto from = Spawn(*a, true), to = Spawn(*b);
  Link(from, to);
  network.Block("a:1", "b:1");
  time.RunFor(absl::Seconds(30));
  EXPECT_THAT(from->lines, ElementsAre("EXIT noconnection"));
  network.Heal("a:1", "b:1");
  time.RunFor(absl::Seconds(10));
  EXPECT_TRUE(to->ended);
  EXPECT_EQ(to->end.kind(), ExitReason::Kind::kNoConnection);
  EXPECT_THAT(from->lines, ElementsAre("EXIT noconnection")) << "nothing more after the heal";
}

TEST_F(RemoteSignals, SIG118AMessageOverANewConnectionComesAfterItsNews) {
  auto from = Spawn(*b), to = Spawn(*a);
  std::vector<bool> at_message;
  const auto send = [&] {
    Run(*b, from, [pid = a->Export(to->pid)](Self& self) -> Task<void> {
      self.Send(pid, Text("m"));
      co_return;
    });
    Run(*a, to, [&](Self& self) -> Task<void> {
      co_await self.ReceiveIf([](const Message& m) { return m.payload().bytes() == "m"; });
      at_message.clear();
      for (const auto& [peer, up] : a->sessions) at_message.push_back(up);
    });
  };
  send();
  Settle();
  EXPECT_THAT(at_message, ElementsAre(true));
  network.Break("a:1", "b:1");
  send();
  Settle();
  time.RunFor(absl::Seconds(5));
  EXPECT_THAT(at_message, ElementsAre(true, false, true));
}

}  // namespace
}  // namespace banyan::testing
