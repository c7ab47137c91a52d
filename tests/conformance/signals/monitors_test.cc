// SIG-040 to SIG-082: monitors, reply addresses, timers and names within one runtime.
#include "tests/conformance/signals/signals_fixture.h"

namespace banyan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Monitors : public SignalsTest {
 protected:
  Ref MonitorFrom(const ProbePtr& watcher, Pid target) {
    Ref ref = 0;
    Do(watcher, [&](Self& self) -> Task<void> {
      ref = self.Monitor(target);
      co_return;
    });
    return ref;
  }
};

TEST_F(Monitors, SIG040ADeadOneIsNoproc) {
  auto d = Start(), v = Start();
  Finish(d, Err("x"));
  MonitorFrom(v, d->pid);
  EXPECT_THAT(*v->log, ElementsAre(Downed(d->pid, "noproc")));
}

TEST_F(Monitors, SIG040AReusedSlotIsAnotherProcess) {
  auto d = Start(), v = Start();
  Finish(d, Err("x"));
  auto next = Start();
  ASSERT_EQ(next->pid.slot(), d->pid.slot());
  MonitorFrom(v, d->pid);
  EXPECT_THAT(*v->log, ElementsAre(Downed(d->pid, "noproc")));
  EXPECT_TRUE(Alive(next));
}

TEST_F(Monitors, SIG044OneselfNeverFires) {
  auto v = Start();
  EXPECT_NE(MonitorFrom(v, v->pid), 0u);
  EXPECT_THAT(*v->log, IsEmpty());
}

TEST_F(Monitors, SIG045EachOfThreeFires) {
  auto p = Start(), v = Start();
  Ref a = MonitorFrom(v, p->pid), b = MonitorFrom(v, p->pid), c = MonitorFrom(v, p->pid);
  EXPECT_TRUE(a != b && b != c && a != c);
  Finish(p, Err("x"));
  EXPECT_EQ(v->log->size(), 3u);
  EXPECT_TRUE(Alive(v));
}

TEST_F(Monitors, SIG046NothingAfterDemonitor) {
  auto p = Start(), v = Start();
  Ref ref = MonitorFrom(v, p->pid);
  bool active = false;
  Do(v, [&](Self& self) -> Task<void> {
    active = self.Demonitor(ref);
    co_return;
  });
  Finish(p, Err("x"));
  EXPECT_TRUE(active);
  EXPECT_THAT(*v->log, IsEmpty());
}

TEST_F(Monitors, SIG047FlushTakesADownThatIsThere) {
  auto p = Start(), other = Start(), v = Start();
  bool fired = true, first = false, second = true;
  Do(v, [&](Self& self) -> Task<void> {
    Ref ref = self.Monitor(p->pid), alive = self.Monitor(other->pid);
    self.Send(p->pid, Payload::Local(End{Err("x")}));
    co_await self.Sleep(absl::Milliseconds(1));
    fired = self.Demonitor(ref, true);
    first = self.Demonitor(alive);
    second = self.Demonitor(alive);
  });
  time_.RunFor(absl::Seconds(1));
  EXPECT_FALSE(fired);
  EXPECT_TRUE(first);
  EXPECT_FALSE(second);
  EXPECT_THAT(*v->log, IsEmpty());
}

TEST_F(Monitors, SIG049AnotherCannotTakeItAway) {
  auto p = Start(), v = Start(), stranger = Start();
  Ref ref = MonitorFrom(v, p->pid);
  Do(stranger, [&](Self& self) -> Task<void> {
    self.Demonitor(ref);
    co_return;
  });
  Finish(p, Err("x"));
  EXPECT_THAT(*v->log, ElementsAre(Downed(p->pid, "error x")));
}

TEST_F(Monitors, SIG057OnlyTheFirstReplyCounts) {
  auto server = Start(), client = Start();
  std::string got;
  Do(server, [&](Self& self) -> Task<void> {
    auto m = co_await self.ReceiveIf([](const Message& x) { return x.is_call(); });
    self.Answer(m->call_from(), Text("one"));
    self.Answer(m->call_from(), Text("two"));
  });
  Do(client, [&](Self& self) -> Task<void> {
    auto r = co_await self.Call(server->pid, Text("?"));
    got = r->bytes();
  });
  EXPECT_EQ(got, "one");
  EXPECT_THAT(*client->log, IsEmpty());
  EXPECT_EQ(rt_.counters().late_replies.load(), 1u);
}

TEST_F(Monitors, SIG058AReplyAfterTheTimeoutIsDropped) {
  auto server = Start(), client = Start();
  absl::Status status;
  Do(server, [&](Self& self) -> Task<void> {
    auto m = co_await self.ReceiveIf([](const Message& x) { return x.is_call(); });
    co_await self.Sleep(absl::Seconds(10));
    self.Answer(m->call_from(), Text("late"));
  });
  Do(client, [&](Self& self) -> Task<void> {
    status = (co_await self.Call(server->pid, Text("?"), absl::Seconds(5))).status();
  });
  time_.RunFor(absl::Seconds(20));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(*client->log, IsEmpty());
  EXPECT_EQ(rt_.counters().late_replies.load(), 1u);
}

TEST_F(Monitors, SIG060TheEndOfTheCalleeClosesTheCall) {
  auto server = Start(), client = Start();
  absl::Status status;
  Do(client, [&](Self& self) -> Task<void> {
    status = (co_await self.Call(server->pid, Text("?"))).status();
  });
  Finish(server, Err("boom"));
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("error boom"));
}

TEST_F(Monitors, SIG065ATimerIsAMessage) {
  auto v = Start();
  Do(v, [](Self& self) -> Task<void> {
    self.StartTimer(absl::Milliseconds(50));
    co_return;
  });
  time_.RunFor(absl::Milliseconds(49));
  EXPECT_THAT(*v->log, IsEmpty());
  time_.RunFor(absl::Milliseconds(1));
  EXPECT_THAT(*v->log, ElementsAre("timeout"));
}

TEST_F(Monitors, SIG066ACancelledTimerNeverFires) {
  auto v = Start();
  bool first = false, second = true;
  Do(v, [&](Self& self) -> Task<void> {
    Ref t = self.StartTimer(absl::Seconds(5));
    first = self.CancelTimer(t);
    second = self.CancelTimer(t);
    co_return;
  });
  time_.RunFor(absl::Seconds(10));
  EXPECT_TRUE(first);
  EXPECT_FALSE(second);
  EXPECT_THAT(*v->log, IsEmpty());
}

TEST_F(Monitors, SIG067CancellingAFiredTimerLeavesTheMessage) {
  auto v = Start();
  bool cancelled = true;
  Do(v, [&](Self& self) -> Task<void> {
    Ref t = self.StartTimer(absl::ZeroDuration());
    co_await self.Sleep(absl::Milliseconds(20));
    cancelled = self.CancelTimer(t, /*flush=*/false);
  });
  time_.RunFor(absl::Seconds(1));
  EXPECT_FALSE(cancelled);
  EXPECT_THAT(*v->log, ElementsAre("timeout"));
}

TEST_F(Monitors, SIG072ATimerGoesWithItsProcess) {
  auto v = Start();
  Do(v, [](Self& self) -> Task<void> {
    self.StartTimer(absl::Seconds(5));
    co_return;
  });
  Finish(v, ExitReason::Normal());
  EXPECT_EQ(time_.pending(), 0u);
}

TEST_F(Monitors, SIG080ATakenNameIsRefused) {
  auto p = Start(false, "a"), q = Start(), dead = Start();
  Finish(dead, ExitReason::Normal());
  EXPECT_FALSE(rt_.Register("a", q->pid));
  EXPECT_FALSE(rt_.Register("c", dead->pid));
  EXPECT_TRUE(rt_.Register("a", p->pid));
  auto taken = rt_.Spawn(ProbeMain(p->log), {.name = "a"});
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(Monitors, SIG081UnknownNames) {
  EXPECT_FALSE(rt_.Unregister("nobody"));
  EXPECT_FALSE(rt_.Whereis("nobody"));
}

TEST_F(Monitors, SIG082SendingToNobody) {
  auto v = Start(), dead = Start();
  Finish(dead, ExitReason::Normal());
  bool sent = true;
  Do(v, [&](Self& self) -> Task<void> {
    sent = self.SendName("nobody", Text("m"));
    self.Send(dead->pid, Text("m"));
    self.Send(Pid::Local(999999, 7), Text("m"));
    co_return;
  });
  EXPECT_FALSE(sent);
  EXPECT_TRUE(Alive(v));
}

}  // namespace
}  // namespace banyan
