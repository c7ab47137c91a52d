#include <gmock/gmock.h>

#include "common/base/error.h"
#include "two_nodes.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class RemoteLinks : public TwoNodes {
 protected:
  // An actor on `a` links and monitors one on `b`.
  void Bind(const std::shared_ptr<Log>& from, const std::shared_ptr<Log>& to) {
    Run(*a, from, [pid = b->Export(to->pid)](Self& self) -> Task<void> {
      self.Link(pid);
      self.Monitor(pid);
      co_return;
    });
    Settle();
  }
};

TEST_F(RemoteLinks, SIG100DeadTargetIsNoproc) {
  auto to = Spawn(*b);
  b->runtime.Exit(to->pid, ExitReason::Kill());
  Settle();
  auto from = Spawn(*a, true);
  Bind(from, to);
  EXPECT_THAT(from->lines, UnorderedElementsAre("EXIT noproc", "DOWN noproc"));
}

TEST_F(RemoteLinks, ExitAndDownCross) {
  auto from = Spawn(*a, true);
  auto to = Spawn(*b);
  Bind(from, to);
  b->runtime.Send(to->pid, Text("exit boom"));
  Settle();
  EXPECT_THAT(from->lines, UnorderedElementsAre("EXIT error boom", "DOWN error boom"));
}

TEST_F(RemoteLinks, ANonTrappingPeerDiesWithTheReason) {
  auto from = Spawn(*a);
  auto to = Spawn(*b);
  Bind(from, to);
  a->runtime.Send(from->pid, Text("exit boom"));
  Settle();
  EXPECT_TRUE(to->ended);
  EXPECT_EQ(to->end.type(), "boom");
}

TEST_F(RemoteLinks, SIG102CutFiresLinksAndMonitorsOnce) {
  auto from = Spawn(*a, true);
  auto to = Spawn(*b, true);
  Bind(from, to);
  Cut();
  EXPECT_THAT(from->lines, UnorderedElementsAre("EXIT noconnection", "DOWN noconnection"));
  EXPECT_THAT(to->lines, ElementsAre("EXIT noconnection"));
  EXPECT_THAT(Links(*a, from->pid), IsEmpty());
  EXPECT_THAT(Links(*b, to->pid), IsEmpty());
}

TEST_F(RemoteLinks, SIG103AndSIG104TheOneThatDoesNotTrapDies) {
  auto x = Spawn(*a);
  auto t = Spawn(*b, true);
  auto y = Spawn(*a, true);
  auto r = Spawn(*b);
  Bind(x, t);
  Bind(y, r);
  Cut();
  EXPECT_TRUE(x->ended);
  EXPECT_EQ(x->end.kind(), ExitReason::Kind::kNoConnection);
  EXPECT_THAT(t->lines, ElementsAre("EXIT noconnection"));
  EXPECT_TRUE(r->ended);
  EXPECT_EQ(r->end.kind(), ExitReason::Kind::kNoConnection);
  EXPECT_FALSE(y->ended);
}

TEST_F(RemoteLinks, SIG105NothingComesAfterACutAndAHeal) {
  auto from = Spawn(*a, true);
  auto to = Spawn(*b, true);
  Bind(from, to);
  Cut();
  a->runtime.Send(b->Export(to->pid), Text("heal"));
  Settle();
  b->runtime.Send(to->pid, Text("exit later"));
  Settle();
  EXPECT_THAT(from->lines, UnorderedElementsAre("EXIT noconnection", "DOWN noconnection"));
  EXPECT_THAT(to->lines, ElementsAre("EXIT noconnection", "msg heal"));
}

TEST_F(RemoteLinks, SIG107NoSecondDownByACut) {
  auto from = Spawn(*a, true);
  auto to = Spawn(*b);
  Bind(from, to);
  b->runtime.Send(to->pid, Text("exit x"));
  Settle();
  Cut();
  EXPECT_EQ(from->lines.size(), 2u);
}

TEST_F(RemoteLinks, SIG108PendingCallsEndAtOnce) {
  auto to = Spawn(*b);
  auto caller = Spawn(*a);
  absl::Status inside, outside;
  Run(*a, caller, [&, pid = b->Export(to->pid)](Self& self) -> Task<void> {
    inside = (co_await self.Call(pid, Text("mute"), absl::InfiniteDuration())).status();
  });
  a->runtime.Call(b->Export(to->pid), Text("mute"), Instant::Infinite(),
                  [&](absl::StatusOr<Payload> r, Pid) { outside = r.status(); });
  Settle();
  EXPECT_TRUE(inside.ok());
  Cut();
  EXPECT_EQ(ErrorReason(inside), "NOCONNECTION");
  EXPECT_EQ(ErrorReason(outside), "NOCONNECTION");
}

TEST_F(RemoteLinks, SIG061TheLateReplyAfterAHealIsNotSeen) {
  auto to = Spawn(*b);
  auto caller = Spawn(*a);
  CallFrom pending;
  Run(*b, to, [&](Self& self) -> Task<void> {
    Message m = *(co_await self.Receive());
    pending = m.call_from();
  });
  absl::Status got;
  Run(*a, caller, [&, pid = b->Export(to->pid)](Self& self) -> Task<void> {
    got = (co_await self.Call(pid, Text("q"), absl::InfiniteDuration())).status();
  });
  Settle();
  Cut();
  EXPECT_EQ(ErrorReason(got), "NOCONNECTION");
  Run(*b, to, [&](Self& self) -> Task<void> {
    self.Answer(pending, Text("late"));
    co_return;
  });
  Settle();
  EXPECT_TRUE(caller->lines.empty());
  EXPECT_FALSE(caller->ended);
  EXPECT_GE(a->runtime.counters().late_replies.load(), 1u);
}

TEST_F(RemoteLinks, SIG111SilenceEndsTheSessionOnBothSides) {
  auto from = Spawn(*a, true);
  auto to = Spawn(*b, true);
  Bind(from, to);
  network.Block("a:1", "b:1");
  time.RunFor(absl::Seconds(6));
  EXPECT_THAT(from->lines, IsEmpty());
  time.RunFor(absl::Seconds(3));
  EXPECT_THAT(from->lines, UnorderedElementsAre("EXIT noconnection", "DOWN noconnection"));
  EXPECT_THAT(to->lines, ElementsAre("EXIT noconnection"));
}

TEST_F(RemoteLinks, OneWaySilenceEndsItOnBothSides) {
  auto from = Spawn(*a, true);
  auto to = Spawn(*b, true);
  Bind(from, to);
  network.BlockOneWay("b:1", "a:1");
  time.RunFor(absl::Seconds(9));
  EXPECT_EQ(from->Count("EXIT noconnection"), 1u);
  time.RunFor(absl::Seconds(9));
  EXPECT_THAT(to->lines, ElementsAre("EXIT noconnection"));
}

TEST_F(RemoteLinks, PingsKeepAQuietSession) {
  auto from = Spawn(*a, true);
  auto to = Spawn(*b, true);
  Bind(from, to);
  time.RunFor(absl::Minutes(30));
  EXPECT_THAT(from->lines, IsEmpty());
  EXPECT_EQ(a->router->stats().sessions_opened, 1u);
}

TEST_F(RemoteLinks, SIG113AnUnreachableNode) {
  auto to = Spawn(*b);
  const Pid pid = b->Export(to->pid);
  auto from = Spawn(*a, true);
  network.Isolate("b:1");
  absl::Status call;
  auto caller = Spawn(*a);
  Run(*a, from, [pid](Self& self) -> Task<void> {
    self.Send(pid, Text("x"));
    self.Link(pid);
    self.Monitor(pid);
    co_return;
  });
  Run(*a, caller, [&, pid](Self& self) -> Task<void> {
    call = (co_await self.Call(pid, Text("x"), absl::Minutes(1))).status();
  });
  time.RunFor(absl::Seconds(6));
  EXPECT_EQ(from->Count("EXIT noconnection"), 1u);
  EXPECT_EQ(from->Count("DOWN noconnection"), 1u);
  EXPECT_EQ(ErrorReason(call), "NOT_DELIVERED");
  EXPECT_FALSE(from->ended);
}

TEST_F(RemoteLinks, SIG114AFormerLifeIsNoproc) {
  auto to = Spawn(*b);
  const Pid old = b->Export(to->pid);
  b = MakeNode("b:1", {2, 2});
  Introduce();
  auto from = Spawn(*a, true);
  absl::Status call;
  Run(*a, from, [&, old](Self& self) -> Task<void> {
    self.Monitor(old);
    self.Link(old);
    self.Send(old, Text("x"));
    self.Exit(old, ExitReason::Kill());
    call = (co_await self.Call(old, Text("x"))).status();
  });
  Settle();
  EXPECT_THAT(from->lines, UnorderedElementsAre("DOWN noproc", "EXIT noproc"));
  EXPECT_EQ(ErrorReason(call), "NOPROC");
}

TEST_F(RemoteLinks, SIG120LinkUnlinkLink) {
  auto from = Spawn(*a, true);
  auto to = Spawn(*b);
  Run(*a, from, [pid = b->Export(to->pid)](Self& self) -> Task<void> {
    self.Link(pid);
    self.Unlink(pid);
    self.Link(pid);
    co_return;
  });
  Settle();
  b->runtime.Send(to->pid, Text("exit w"));
  Settle();
  EXPECT_THAT(from->lines, ElementsAre("EXIT error w"));
}

TEST_F(RemoteLinks, SIG121NoExitAfterUnlink) {
  auto from = Spawn(*a, true);
  for (int i = 0; i < 200; ++i) {
    auto to = Spawn(*b);
    Run(*a, from, [pid = b->Export(to->pid)](Self& self) -> Task<void> {
      self.Link(pid);
      self.Exit(pid, ExitReason::Error("stop"));
      self.Unlink(pid);
      co_return;
    });
    if (i % 20 == 0) Settle();
  }
  Settle();
  EXPECT_THAT(from->lines, IsEmpty());
  EXPECT_THAT(Links(*a, from->pid), IsEmpty());
}

TEST_F(RemoteLinks, SIG122ConcurrentLinksAndUnlinksAgree) {
  auto x = Spawn(*a, true);
  auto y = Spawn(*b, true);
  SeededRandom random(7);
  auto act = [&](TestNode& node, const std::shared_ptr<Log>& log, Pid to) {
    const uint64_t what = random.Below(3);
    Run(node, log, [what, to](Self& self) -> Task<void> {
      if (what == 0) self.Link(to);
      if (what == 1) self.Unlink(to);
      if (what == 2) {
        self.Unlink(to);
        self.Link(to);
      }
      co_return;
    });
  };
  for (int round = 0; round < 1000; ++round) {
    for (uint64_t i = random.Below(4); i-- > 0;) {
      act(*a, x, b->Export(y->pid));
      if (random.Below(2) == 0)
        time.RunFor(absl::Microseconds(static_cast<int64_t>(random.Below(2000))));
      act(*b, y, a->Export(x->pid));
    }
    time.RunFor(absl::Milliseconds(20));
    ASSERT_EQ(Links(*a, x->pid).size(), Links(*b, y->pid).size()) << "round " << round;
  }
  EXPECT_THAT(x->lines, IsEmpty());
  EXPECT_THAT(y->lines, IsEmpty());
}

TEST_F(RemoteLinks, LinksAgreeAfterCutsAtAnyMoment) {
  auto x = Spawn(*a, true);
  auto y = Spawn(*b, true);
  SeededRandom random(11);
  for (int round = 0; round < 300; ++round) {
    for (uint64_t i = 1 + random.Below(4); i-- > 0;) {
      TestNode& node = random.Below(2) ? *a : *b;
      const bool on_a = &node == a.get();
      const Pid to = on_a ? b->Export(y->pid) : a->Export(x->pid);
      Run(node, on_a ? x : y, [to, link = random.Below(2) == 0](Self& self) -> Task<void> {
        if (link)
          self.Link(to);
        else
          self.Unlink(to);
        co_return;
      });
      time.RunFor(absl::Microseconds(static_cast<int64_t>(random.Below(3000))));
      if (random.Below(3) == 0) network.Break("a:1", "b:1");
      time.RunFor(absl::Microseconds(static_cast<int64_t>(random.Below(3000))));
    }
    time.RunFor(absl::Seconds(6));  // also a dial that gave way to another
    ASSERT_EQ(Links(*a, x->pid).size(), Links(*b, y->pid).size()) << "round " << round;
  }
}

TEST_F(RemoteLinks, SIG123KillOfALinkedRemote) {
  auto from = Spawn(*a, true);
  auto to = Spawn(*b);
  Run(*a, from, [pid = b->Export(to->pid)](Self& self) -> Task<void> {
    self.Link(pid);
    self.Exit(pid, ExitReason::Kill());
    co_return;
  });
  Settle();
  EXPECT_THAT(from->lines, ElementsAre("EXIT killed"));
}

TEST_F(RemoteLinks, ADeathWithManyLinksIsAFewFrames) {
  auto hub = Spawn(*a);
  std::vector<std::shared_ptr<Log>> ends;
  for (int i = 0; i < 3000; ++i) ends.push_back(Spawn(*b, true));
  Run(*a, hub, [&](Self& self) -> Task<void> {
    for (const auto& end : ends) self.Link(b->Export(end->pid));
    co_return;
  });
  Settle();
  const uint64_t before = a->router->stats().frames_sent;
  a->runtime.Send(hub->pid, Text("exit hub"));
  Settle();
  for (const auto& end : ends) ASSERT_THAT(end->lines, ElementsAre("EXIT error hub"));
  EXPECT_LT(a->router->stats().frames_sent - before, 20u);
}

// spawn_link, made on the other node's behalf: the link is there before the first instruction.
TEST_F(RemoteLinks, AProcessThatIsLinkedAtItsSpawnEndsAtOnceAndIsHeard) {
  auto parent = Spawn(*a, true);
  SpawnOptions linked;
  linked.link_to = a->Export(parent->pid);
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(
        b->runtime
            .Spawn([](Self&) -> Task<ExitReason> { co_return ExitReason::Error("q"); }, linked)
            .ok());
  }
  Settle();
  EXPECT_EQ(parent->Count("EXIT error q"), 200u);
  EXPECT_EQ(parent->lines.size(), 200u);
}

TEST_F(RemoteLinks, AProcessThatIsLinkedAtItsSpawnEndsWithTheOther) {
  auto parent = Spawn(*a);
  auto child = std::make_shared<Log>();
  SpawnOptions linked;
  linked.trap_exit = true;
  linked.link_to = a->Export(parent->pid);
  child->pid = *b->runtime.Spawn([child](Self& self) { return ScriptedBody(self, child); }, linked);
  Settle();
  EXPECT_THAT(Links(*b, child->pid), ElementsAre(a->Export(parent->pid)));
  EXPECT_THAT(Links(*a, parent->pid), ElementsAre(b->Export(child->pid)));
  a->runtime.Send(parent->pid, Text("exit boom"));
  Settle();
  EXPECT_THAT(child->lines, ElementsAre("EXIT error boom"));
}

TEST_F(RemoteLinks, ALinkAtTheSpawnToADeadProcessIsNoproc) {
  auto parent = Spawn(*a);
  a->runtime.Exit(parent->pid, ExitReason::Kill());
  Settle();
  for (TestNode* node : {a.get(), b.get()}) {
    auto child = std::make_shared<Log>();
    SpawnOptions linked;
    linked.trap_exit = true;
    linked.link_to = node == a.get() ? parent->pid : a->Export(parent->pid);
    child->pid =
        *node->runtime.Spawn([child](Self& self) { return ScriptedBody(self, child); }, linked);
    Settle();
    EXPECT_THAT(child->lines, ElementsAre("EXIT noproc"));
    EXPECT_THAT(Links(*node, child->pid), IsEmpty());
  }
}

TEST_F(RemoteLinks, DemonitorStopsTheDown) {
  auto from = Spawn(*a);
  auto to = Spawn(*b);
  Run(*a, from, [pid = b->Export(to->pid)](Self& self) -> Task<void> {
    Ref ref = self.Monitor(pid);
    self.Demonitor(ref);
    co_return;
  });
  Settle();
  b->runtime.Exit(to->pid, ExitReason::Kill());
  Settle();
  EXPECT_THAT(from->lines, IsEmpty());
}

}  // namespace
}  // namespace banyan::testing
