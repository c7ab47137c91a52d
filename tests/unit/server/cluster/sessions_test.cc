#include <algorithm>

#include <gmock/gmock.h>

#include "common/base/error.h"
#include "two_nodes.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class Sessions : public TwoNodes {};

TEST_F(Sessions, NoneWithoutASignal) {
  time.RunFor(absl::Minutes(1));
  EXPECT_EQ(network.OpenStreams("a:1", "b:1"), 0u);
}

TEST_F(Sessions, TwoDialsAtOnceBecomeOne) {
  auto x = Spawn(*a);
  auto y = Spawn(*b);
  a->runtime.Send(b->Export(y->pid), Text("1"));
  b->runtime.Send(a->Export(x->pid), Text("2"));
  Settle();
  EXPECT_THAT(y->lines, ElementsAre("msg 1"));
  EXPECT_THAT(x->lines, ElementsAre("msg 2"));
  time.RunFor(absl::Seconds(10));
  EXPECT_EQ(network.OpenStreams("a:1", "b:1"), 1u);
  EXPECT_EQ(a->router->stats().sessions_opened, 1u);
  EXPECT_EQ(b->router->stats().sessions_opened, 1u);
  EXPECT_EQ(a->router->stats().sessions_closed, 0u);
}

TEST_F(Sessions, TwoDialsWithAnyDelayBecomeOne) {
  for (int64_t us = 0; us <= 6000; us += 250) {
    a.reset();
    b.reset();
    a = MakeNode("a:1", {1, 1});
    b = MakeNode("b:1", {2, 1});
    Introduce();
    auto x = Spawn(*a, true);
    auto y = Spawn(*b, true);
    Run(*a, x, [pid = b->Export(y->pid)](Self& self) -> Task<void> {
      self.Link(pid);
      co_return;
    });
    time.RunFor(absl::Microseconds(us));
    Run(*b, y, [pid = a->Export(x->pid)](Self& self) -> Task<void> {
      self.Link(pid);
      co_return;
    });
    time.RunFor(absl::Seconds(6));
    ASSERT_THAT(x->lines, IsEmpty()) << us;
    ASSERT_THAT(y->lines, IsEmpty()) << us;
    ASSERT_EQ(Links(*a, x->pid).size(), 1u) << us;
    ASSERT_EQ(Links(*b, y->pid).size(), 1u) << us;
  }
}

TEST_F(Sessions, ADeadPeerIsClosedAndRefused) {
  auto x = Spawn(*a, true);
  auto y = Spawn(*b, true);
  Run(*a, x, [pid = b->Export(y->pid)](Self& self) -> Task<void> {
    self.Link(pid);
    co_return;
  });
  Settle();
  a->router->SetPeerGone({2, 1});
  Settle();
  EXPECT_THAT(x->lines, ElementsAre("EXIT noconnection"));
  EXPECT_THAT(y->lines, ElementsAre("EXIT noconnection"));
  b->runtime.Send(a->Export(x->pid), Text("again"));
  time.RunFor(absl::Seconds(10));
  EXPECT_EQ(x->lines.size(), 1u);
}

TEST_F(Sessions, AFormerLifeIsRefused) {
  a->router->SetPeer({2, 5}, "elsewhere:1");
  auto x = Spawn(*a);
  auto y = Spawn(*b, true);
  Run(*b, y, [pid = a->Export(x->pid)](Self& self) -> Task<void> {
    self.Link(pid);
    co_return;
  });
  time.RunFor(absl::Seconds(3));
  EXPECT_THAT(y->lines, ElementsAre("EXIT noconnection"));
}

TEST_F(Sessions, ADialToAFormerLifeIsRefused) {
  b.reset();
  b = MakeNode("b:1", {2, 2});
  b->router->SetPeer(a->id, a->address);
  auto x = Spawn(*a, true);
  Run(*a, x, [](Self& self) -> Task<void> {
    self.Link(Pid{2, 1, 1});
    co_return;
  });
  time.RunFor(absl::Seconds(3));
  EXPECT_THAT(x->lines, ElementsAre("EXIT noconnection"));
}

TEST_F(Sessions, AnotherClusterIsRefused) {
  b->router->SetIdentity("other", {2, 1});
  auto x = Spawn(*a, true);
  auto y = Spawn(*b);
  Run(*a, x, [pid = b->Export(y->pid)](Self& self) -> Task<void> {
    self.Link(pid);
    co_return;
  });
  time.RunFor(absl::Seconds(3));
  EXPECT_THAT(x->lines, ElementsAre("EXIT noconnection"));
}

TEST_F(Sessions, AnUnknownPeerIsTakenOnceTheViewTells) {
  auto c = MakeNode("c:1", {3, 1});
  c->router->SetPeer(a->id, a->address);
  auto x = Spawn(*a);
  c->runtime.Send(a->Export(x->pid), Text("hi"));
  time.RunFor(absl::Seconds(1));
  EXPECT_THAT(x->lines, IsEmpty());
  a->router->SetPeer(c->id, c->address);
  Settle();
  EXPECT_THAT(x->lines, ElementsAre("msg hi"));
}

TEST_F(Sessions, AnUnknownPeerIsRefusedAfterTwoSeconds) {
  auto c = MakeNode("c:1", {3, 1});
  c->router->SetPeer(a->id, a->address);
  auto x = Spawn(*a);
  absl::Status got;
  c->runtime.Call(a->Export(x->pid), Text("hi"), Instant::Infinite(),
                  [&](absl::StatusOr<Payload> r, Pid) { got = r.status(); });
  time.RunFor(absl::Seconds(3));
  EXPECT_EQ(ErrorReason(got), "NOT_DELIVERED");
}

TEST_F(Sessions, S3TheAcceptorTearsDownBeforeItAnswersANewHello) {
  auto x = Spawn(*a, true);
  auto y = Spawn(*b, true);
  Run(*b, y, [pid = a->Export(x->pid)](Self& self) -> Task<void> {
    self.Link(pid);
    co_return;
  });
  Settle();
  // b loses the session alone: what it says of that never reaches a.
  network.BlockOneWay("a:1", "b:1");
  network.BlockOneWay("b:1", "a:1");
  b->router->DropSessionForTest(1);
  time.RunFor(absl::Milliseconds(10));
  EXPECT_THAT(y->lines, ElementsAre("EXIT noconnection"));
  EXPECT_THAT(x->lines, IsEmpty());
  network.HealAll();
  b->runtime.Send(a->Export(x->pid), Text("anew"));
  Settle();
  EXPECT_THAT(x->lines, ElementsAre("EXIT noconnection", "msg anew"));
  EXPECT_THAT(Links(*a, x->pid), IsEmpty());
}

// S2: all that hangs on the old session hears of its end before the next begins, in however many
// turns.
TEST_F(Sessions, ALongTeardownEndsBeforeTheNextSession) {
  a.reset();
  options.teardown_slice = 3;
  a = MakeNode("a:1", {1, 1});
  Introduce();
  auto y = Spawn(*b);
  std::vector<std::shared_ptr<Log>> linked;
  for (int i = 0; i < 20; ++i) {
    linked.push_back(Spawn(*a, true));
    Run(*a, linked.back(), [pid = b->Export(y->pid)](Self& self) -> Task<void> {
      self.Link(pid);
      co_return;
    });
  }
  Settle();
  const auto told = [&] {
    return static_cast<size_t>(std::count_if(linked.begin(), linked.end(),
                                             [](const auto& l) { return l->Count("EXIT") == 1; }));
  };
  b->router->DropSessionForTest(1);
  b->runtime.Send(a->Export(linked[0]->pid), Text("x"));  // dials at once
  ASSERT_TRUE(
      time.RunUntil([&] { return a->router->stats().sessions_opened == 2; }, absl::Seconds(10)));
  // Those of the last slice are about to act on it, and half of the one before.
  EXPECT_GE(told() + options.teardown_slice + options.teardown_slice / 2, 20u);
  Settle();
  EXPECT_EQ(told(), 20u);
  EXPECT_EQ(linked[0]->Count("msg x"), 1u);
}

TEST_F(Sessions, ACrashOfThePeerIsSeenAtOnce) {
  auto x = Spawn(*a, true);
  auto y = Spawn(*b);
  Run(*a, x, [pid = b->Export(y->pid)](Self& self) -> Task<void> {
    self.Link(pid);
    co_return;
  });
  Settle();
  b.reset();
  time.RunFor(absl::Milliseconds(200));
  EXPECT_THAT(x->lines, ElementsAre("EXIT noconnection"));
}

TEST_F(Sessions, LeavingALifeClosesAllAndFailsWhatComes) {
  auto x = Spawn(*a, true);
  auto y = Spawn(*b, true);
  Run(*a, x, [pid = b->Export(y->pid)](Self& self) -> Task<void> {
    self.Link(pid);
    co_return;
  });
  Settle();
  a->router->ClearIdentity();
  Settle();
  EXPECT_THAT(x->lines, ElementsAre("EXIT noconnection"));
  EXPECT_THAT(y->lines, ElementsAre("EXIT noconnection"));
  Run(*a, x, [pid = b->Export(y->pid)](Self& self) -> Task<void> {
    self.Monitor(pid);
    co_return;
  });
  Settle();
  EXPECT_THAT(x->lines, ElementsAre("EXIT noconnection", "DOWN noconnection"));
}

TEST_F(Sessions, IdleOnesCloseOrderly) {
  options.idle_close = absl::Minutes(10);
  auto y = Spawn(*b);
  a->runtime.Send(b->Export(y->pid), Text("x"));
  Settle();
  EXPECT_EQ(network.OpenStreams("a:1", "b:1"), 1u);
  time.RunFor(absl::Minutes(15));
  EXPECT_EQ(network.OpenStreams("a:1", "b:1"), 0u);
  a->runtime.Send(b->Export(y->pid), Text("y"));
  Settle();
  EXPECT_THAT(y->lines, ElementsAre("msg x", "msg y"));
}

TEST_F(Sessions, WhatHungOnOneThatIsIdleDoesNotKeepIt) {
  auto x = Spawn(*a, true), y = Spawn(*b, true);
  const Pid far = b->Export(y->pid);
  Ref ref = 0;
  Run(*a, x, [far, &ref](Self& self) -> Task<void> {
    std::ignore = co_await self.Call(far, Text("c"));
    std::ignore = co_await self.Call(far, Text("mute"), absl::Seconds(1));
    self.Link(far);
    self.Unlink(far);
    ref = self.Monitor(far);
  });
  time.RunFor(absl::Minutes(40));
  EXPECT_EQ(network.OpenStreams("a:1", "b:1"), 1u) << "there is a monitor";
  Run(*a, x, [&ref](Self& self) -> Task<void> {
    self.Demonitor(ref);
    co_return;
  });
  time.RunFor(absl::Minutes(9));
  EXPECT_EQ(network.OpenStreams("a:1", "b:1"), 1u);
  time.RunFor(absl::Minutes(6));
  EXPECT_EQ(network.OpenStreams("a:1", "b:1"), 0u);
  EXPECT_FALSE(x->ended || y->ended);
  EXPECT_EQ(x->Count("DOWN") + x->Count("EXIT") + y->Count("EXIT"), 0u);
}

TEST_F(Sessions, ALinkKeepsAnIdleOne) {
  auto x = Spawn(*a, true), y = Spawn(*b, true);
  Run(*a, x, [far = b->Export(y->pid)](Self& self) -> Task<void> {
    self.Link(far);
    co_return;
  });
  time.RunFor(absl::Hours(1));
  EXPECT_EQ(network.OpenStreams("a:1", "b:1"), 1u);
}

TEST_F(Sessions, ACallFromOutsideKeepsAnIdleOne) {
  auto y = Spawn(*b);
  std::string said;
  a->runtime.Call(b->Export(y->pid), Text("mute"), time.Now() + absl::Hours(1),
                  [&said](absl::StatusOr<Payload> r, Pid) { said = ErrorReason(r.status()); });
  time.RunFor(absl::Minutes(59));
  EXPECT_EQ(said, "");
  time.RunFor(absl::Minutes(2));
  EXPECT_EQ(said, "CALL_TIMEOUT");
  time.RunFor(absl::Minutes(15));
  EXPECT_EQ(network.OpenStreams("a:1", "b:1"), 0u);
}

TEST_F(Sessions, HooksTellUpAndDown) {
  auto y = Spawn(*b);
  a->runtime.Send(b->Export(y->pid), Text("x"));
  Settle();
  Cut();
  EXPECT_THAT(a->sessions, ElementsAre(Pair(b->id, true), Pair(b->id, false)));
}

TEST_F(Sessions, OverloadClosesLoudly) {
  a.reset();
  options.message_bytes_hard = 10'000;
  a = MakeNode("a:1", {1, 1});
  Introduce();
  auto x = Spawn(*a, true);
  auto y = Spawn(*b);
  Run(*a, x, [pid = b->Export(y->pid)](Self& self) -> Task<void> {
    self.Link(pid);
    co_return;
  });
  Settle();
  Run(*a, x, [pid = b->Export(y->pid)](Self& self) -> Task<void> {
    for (int i = 0; i < 200; ++i) self.Send(pid, Text("x"));
    co_return;
  });
  Settle();
  EXPECT_EQ(x->Count("EXIT noconnection"), 1u);
}

}  // namespace
}  // namespace banyan::testing
