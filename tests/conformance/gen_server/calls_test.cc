// Calls and casts: GS-013, GS-018, GS-020, GS-027, GS-047, GS-109 to GS-115, GS-127.
// spec/gen_server.md 4, 9.
#include <ctime>

#include "common/base/error.h"
#include "tests/conformance/gen_server/server.h"

namespace banyan {
namespace {

class GsCalls : public GenServerTest {};

TEST_F(GsCalls, GS013CallsAndDelayedAnswers) {
  // delayed_answer MS: a time-out later; call_within MS: next_call asks whether it came in time.
  std::optional<CallFrom> waiting;
  script_.call = [&](S& s, std::string word, CallFrom from) -> Task<CallResult> {
    if (word == "next_call") return S::Reply(Word(s.state == "call_within" ? "ok" : "false"));
    const size_t space = word.find(' ');
    if (space == std::string::npos) return S::Reply(Word("ok"));
    const absl::Duration after = absl::Milliseconds(std::stoi(word.substr(space)));
    s.state = word.substr(0, space);
    if (s.state == "call_within") return S::Reply(Word("ok")).Timeout(after);
    waiting = from;
    return CallResult(S::NoReply()).Timeout(after);
  };
  script_.info = [&](S& s, Message m) -> Task<Step> {
    if (!S::IsIdleTimeout(m)) return S::NoReply();
    if (waiting) s.self().Answer(*std::exchange(waiting, std::nullopt), Word("delayed"));
    s.state = "";
    return S::NoReply();
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    auto call = [&t, p](std::string word, absl::Duration timeout) -> Task<std::string> {
      absl::StatusOr<Payload> r = co_await t.Call(p, Word(word), timeout);
      co_return r.ok() ? TextOf(*r) : ErrorReason(r.status());
    };
    const absl::Duration k5s = absl::Seconds(5);
    EXPECT_EQ(co_await call("started_p", k5s), "ok");
    EXPECT_EQ(co_await call("delayed_answer 1", k5s), "delayed");
    for (int pause_ms : {500, 1500}) {
      EXPECT_EQ(co_await call("call_within 1000", k5s), "ok");
      co_await t.Sleep(absl::Milliseconds(pause_ms));
      EXPECT_EQ(co_await call("next_call", k5s), pause_ms < 1000 ? "ok" : "false");
    }
    EXPECT_EQ(co_await call("delayed_answer 1", absl::Milliseconds(30)), "delayed");
    EXPECT_EQ(co_await call("delayed_answer 30", absl::Milliseconds(1)), "CALL_TIMEOUT");
    co_await t.Sleep(absl::Seconds(1));
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

// CPU time, not the clock: others use this machine too.
double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

TEST_F(GsCalls, GS047CallsDoNotLookThroughTheMailbox) {
  Run([&](Self& t) -> Task<void> {
    constexpr int kCalls = 2000;
    constexpr size_t kQueued = 50000;
    Pid p = co_await StartOk(t);
    auto cost = [&t, p]() -> Task<double> {
      const double before = CpuSeconds();
      for (int i = 0; i < kCalls; ++i) EXPECT_TRUE((co_await t.Call(p, Word("x"))).ok());
      co_return CpuSeconds() - before;
    };
    const double empty = co_await cost();
    for (size_t i = 0; i < kQueued; ++i) t.Send(t.pid(), Word("queued"));
    const double full = co_await cost();
    EXPECT_EQ(t.mailbox_length(), kQueued);
    EXPECT_LT(full, empty * 10);
  });
}

TEST_F(GsCalls, GS115AZeroTimeoutIsATimeout) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    for (absl::Duration d : {absl::ZeroDuration(), -absl::Seconds(1)}) {
      absl::StatusOr<Payload> r = co_await t.Call(p, Word("x"), d);
      EXPECT_EQ(ErrorReason(r.status()), "CALL_TIMEOUT");
    }
    co_await t.Sleep(absl::Milliseconds(1));
    EXPECT_THAT(script_.trace, testing::ElementsAre("call x", "call x")) << "handled all the same";
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

TEST_F(GsCalls, GS018And020CastsAndMessages) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    t.Cast(p, Word("a"));
    t.Send(p, Word("b"));
    absl::StatusOr<Payload> r = co_await t.Call(p, Word("c"));
    EXPECT_EQ(TextOf(*r), "c");
    EXPECT_THAT(script_.trace, testing::ElementsAre("cast a", "info b", "call c"));
  });
}

TEST_F(GsCalls, GS113And127OneReplyByWhoeverHasTheFrom) {
  Run([&](Self& t) -> Task<void> {
    std::optional<CallFrom> waiting;
    script_.call = [&](S&, std::string, CallFrom from) -> Task<CallResult> {
      waiting = from;
      return S::NoReply();
    };
    Pid p = co_await StartOk(t);
    ProcessMain other = [&](Self& self) -> Task<ExitReason> {
      co_await self.Sleep(absl::Seconds(1));
      self.Answer(*waiting, Word("from another"));
      self.Answer(*waiting, Word("second"));
      co_return ExitReason::Normal();
    };
    (void)t.Spawn(std::move(other), {});
    absl::StatusOr<Payload> r = co_await t.Call(p, Word("x"));
    EXPECT_EQ(TextOf(*r), "from another") << "GS-127";
    co_await t.Sleep(absl::Seconds(1));
    EXPECT_EQ(t.mailbox_length(), 0u) << "GS-113";
  });
}

TEST_F(GsCalls, CallbacksMayWait) {
  Run([&](Self& t) -> Task<void> {
    script_.call = [](S& s, std::string word, CallFrom) -> Task<CallResult> {
      co_await s.self().Sleep(absl::Seconds(1));
      co_return S::Reply(Word(word + "!"));
    };
    Pid p = co_await StartOk(t);
    Instant before = t.Now();
    Ref one = t.SendRequest(p, Word("one"));
    absl::StatusOr<Payload> two = co_await t.Call(p, Word("two"));
    EXPECT_EQ(TextOf(*two), "two!");
    EXPECT_EQ(t.Now() - before, absl::Seconds(2)) << "one callback at a time";
    CallReply first = co_await t.AwaitReply(one, t.Now());
    EXPECT_EQ(TextOf(first.payload), "one!");
  });
}

TEST_F(GsCalls, GS109And110TerminateRunsBeforeTheReply) {
  Run([&](Self& t) -> Task<void> {
    script_.call = [](S&, std::string, CallFrom) -> Task<CallResult> {
      return S::StopReply(ExitReason::Normal(), Word("rep"));
    };
    script_.terminate = [](S& s, ExitReason) -> Task<void> {
      co_await s.self().Sleep(absl::Milliseconds(200));
    };
    Pid p = co_await StartOk(t);
    Instant before = t.Now();
    absl::StatusOr<Payload> r = co_await t.Call(p, Word("x"));
    EXPECT_EQ(TextOf(*r), "rep");
    EXPECT_EQ(t.Now() - before, absl::Milliseconds(200));
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Normal());
    script_.terminate = [](S& s, ExitReason) -> Task<void> {
      co_await s.self().ExitSelf(ExitReason::Error("tcrash"));
    };
    p = co_await StartOk(t);
    r = co_await t.Call(p, Word("x"));
    EXPECT_TRUE(r.ok()) << r.status();
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Error("tcrash"));
    script_.terminate = [](S&, ExitReason) -> Task<void> { throw std::runtime_error("tcrash"); };
    p = co_await StartOk(t);
    r = co_await t.Call(p, Word("x"));
    EXPECT_TRUE(r.ok()) << r.status();
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Error("std::runtime_error", "tcrash"));
  });
}

TEST_F(GsCalls, GS111And112StopWithAndWithoutAnEarlyReply) {
  Run([&](Self& t) -> Task<void> {
    script_.call = [](S& s, std::string word, CallFrom from) -> Task<CallResult> {
      if (word == "early") s.self().Answer(from, Word("early"));
      return S::Stop(ExitReason::Normal());
    };
    Pid p = co_await StartOk(t);
    absl::StatusOr<Payload> r = co_await t.Call(p, Word("early"));
    EXPECT_EQ(TextOf(*r), "early");
    p = co_await StartOk(t);
    r = co_await t.Call(p, Word("x"));
    EXPECT_EQ(ErrorReason(r.status()), "CALLEE_EXITED");
    EXPECT_TRUE(GetErrorInfo(r.status())->exit_reason->is_normal());
  });
}

TEST_F(GsCalls, GS114LateRepliesNeverArrive) {
  Run([&](Self& t) -> Task<void> {
    script_.call = [](S& s, std::string, CallFrom) -> Task<CallResult> {
      co_await s.self().Sleep(absl::Milliseconds(150));
      s.state = "advanced";
      co_return S::Reply(Word("late"));
    };
    Pid p = co_await StartOk(t);
    absl::StatusOr<Payload> r = co_await t.Call(p, Word("x"), absl::Milliseconds(30));
    EXPECT_EQ(ErrorReason(r.status()), "CALL_TIMEOUT");
    co_await t.Sleep(absl::Seconds(1));
    EXPECT_EQ(t.mailbox_length(), 0u);
    absl::StatusOr<Payload> state = co_await sys::GetState(t, p);
    EXPECT_EQ(TextOf(*state), "advanced");
  });
}

TEST_F(GsCalls, GS027AndNoprocAndExceptions) {
  Run([&](Self& t) -> Task<void> {
    absl::StatusOr<Payload> r = co_await t.Call(t.pid(), Word("x"));
    EXPECT_EQ(ErrorReason(r.status()), "CALLING_SELF");
    script_.call = [](S&, std::string, CallFrom) -> Task<CallResult> {
      throw std::out_of_range("gone");
    };
    Pid p = co_await StartOk(t);
    r = co_await t.Call(p, Word("x"));
    EXPECT_EQ(ErrorReason(r.status()), "CALLEE_EXITED");
    EXPECT_EQ(*GetErrorInfo(r.status())->exit_reason,
              ExitReason::Error("std::out_of_range", "gone"));
    EXPECT_THAT(script_.trace, testing::Contains("terminate error std::out_of_range: gone"));
    r = co_await t.Call(p, Word("x"));
    EXPECT_EQ(ErrorReason(r.status()), "NOPROC");
    t.Cast(p, Word("to nobody"));
    r = co_await t.CallName("nobody", Word("x"));
    EXPECT_EQ(ErrorReason(r.status()), "NAME_NOT_REGISTERED");
  });
}

TEST_F(GsCalls, CallsFromOutsideExpire) {
  Pid p;
  Run([&](Self& t) -> Task<void> {
    script_.call = [](S& s, std::string word, CallFrom) -> Task<CallResult> {
      if (word == "slow") co_await s.self().Sleep(absl::Seconds(10));
      co_return S::Reply(Word("done"));
    };
    p = co_await StartOk(t);
    std::optional<absl::Status> slow, waiting;
    rt_->Call(p, Word("slow"), Instant::Infinite(),
              [&](absl::StatusOr<Payload> r, Pid) { slow = r.status(); });
    rt_->Call(p, Word("waiting"), t.Now() + absl::Seconds(1),
              [&](absl::StatusOr<Payload> r, Pid) { waiting = r.status(); });
    co_await t.Sleep(absl::Seconds(20));
    CO_ASSERT(slow && waiting);
    EXPECT_TRUE(slow->ok());
    EXPECT_FALSE(waiting->ok());
    EXPECT_THAT(script_.trace, testing::ElementsAre("call slow")) << "the expired one was not run";
  });
}

}  // namespace
}  // namespace banyan
