// Timeouts, continuations, sys requests in between: GS-022, GS-036, GS-045, GS-046, GS-116 to
// GS-118, GS-132. spec/gen_server.md 5, 6, 11.
#include "common/base/error.h"
#include "tests/conformance/gen_server/server.h"

namespace banyan {
namespace {

class GsTimeouts : public GenServerTest {};

TEST_F(GsTimeouts, GS022And116ContinueRunsBeforeAnyMessage) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S& s, auto) -> Task<Init> {
      s.self().Send(s.self().pid(), Word("queued"));
      return S::Ok().Continue(Word("1"));
    };
    script_.resume = [](S&, std::string word) -> Task<Step> {
      if (word == "1") return S::NoReply().Continue(Word("2"));
      return S::NoReply().Timeout(absl::ZeroDuration());
    };
    Pid p = co_await StartOk(t);
    co_await t.Sleep(absl::Milliseconds(1));
    EXPECT_THAT(script_.trace, testing::ElementsAre("continue 1", "continue 2", "info queued"))
        << "GS-116";
    script_.resume = [](S&, std::string) -> Task<Step> { return S::Stop(ExitReason::Normal()); };
    script_.call = [](S&, std::string, CallFrom) -> Task<CallResult> {
      return S::Reply(Word("ok")).Continue(Word("stop"));
    };
    EXPECT_TRUE((co_await t.Call(p, Word("x"))).ok());
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Normal());
  });
}

TEST_F(GsTimeouts, GS022EveryCallbackMayContinue) {
  Run([&](Self& t) -> Task<void> {
    // As in OTP's suite: what the callback sends itself comes after the continuation.
    auto post = [](S& s) { s.self().Send(s.self().pid(), Word("after_continue")); };
    std::optional<CallFrom> waiting;
    script_.call = [&](S& s, std::string word, CallFrom from) -> Task<CallResult> {
      post(s);
      if (word == "reply") return S::Reply(Word("ok")).Continue(Word("go"));
      waiting = from;
      return CallResult(S::NoReply()).Continue(Word("go"));
    };
    script_.cast = [&](S& s, std::string) -> Task<Step> {
      post(s);
      return S::NoReply().Continue(Word("go"));
    };
    script_.info = [&](S& s, Message m) -> Task<Step> {
      if (TextOf(m.payload()) == "after_continue") return S::NoReply();
      if (TextOf(m.payload()) == "continue_stop") return S::NoReply().Continue(Word("stop"));
      post(s);
      return S::NoReply().Continue(Word("go"));
    };
    script_.resume = [&](S& s, std::string word) -> Task<Step> {
      if (word == "stop") return S::Stop(ExitReason::Normal());
      if (waiting) s.self().Answer(*std::exchange(waiting, std::nullopt), Word("late"));
      return S::NoReply();
    };
    Pid p = co_await StartOk(t);
    EXPECT_EQ(TextOf(*co_await t.Call(p, Word("reply"))), "ok");
    EXPECT_EQ(TextOf(*co_await t.Call(p, Word("noreply"))), "late");
    t.Cast(p, Word("c"));
    t.Send(p, Word("i"));
    co_await t.Sleep(absl::Milliseconds(1));
    EXPECT_THAT(script_.trace,
                testing::ElementsAre("call reply", "continue go", "info after_continue",
                                     "call noreply", "continue go", "info after_continue", "cast c",
                                     "continue go", "info i", "continue go", "info after_continue",
                                     "info after_continue"));
    t.Send(p, Word("continue_stop"));
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Normal());
  });
}

// The memory of an idle process is what it is; what can be seen is that each wakes and works.
TEST_F(GsTimeouts, GS036AServerThatHibernatesWakesForEverything) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S&, auto) -> Task<Init> { return S::Ok().Hibernate(); };
    script_.call = [](S&, std::string, CallFrom) -> Task<CallResult> {
      return S::Reply(Word("true")).Hibernate();
    };
    script_.cast = [](S&, std::string) -> Task<Step> { return S::NoReply().Hibernate(); };
    script_.info = [](S&, Message) -> Task<Step> { return S::NoReply().Hibernate(); };
    Pid p = co_await StartOk(t);
    EXPECT_EQ(TextOf(*co_await t.Call(p, Word("hibernate"))), "true");
    t.Cast(p, Word("now"));
    t.Send(p, Word("later"));
    EXPECT_TRUE((co_await sys::Suspend(t, p)).ok());
    EXPECT_TRUE((co_await sys::Resume(t, p)).ok());
    EXPECT_EQ(TextOf(*co_await t.Call(p, Word("again"))), "true");
    EXPECT_THAT(script_.trace,
                testing::ElementsAre("call hibernate", "cast now", "info later", "call again"));
  });
}

TEST_F(GsTimeouts, IdleTimeoutFiresOnce) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S&, auto) -> Task<Init> { return S::Ok().Timeout(absl::Milliseconds(100)); };
    co_await StartOk(t);
    co_await t.Sleep(absl::Seconds(10));
    EXPECT_THAT(script_.trace, testing::ElementsAre("timeout"));
  });
}

TEST_F(GsTimeouts, GS118AMessageCancelsTheTimeout) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S&, auto) -> Task<Init> { return S::Ok().Timeout(absl::Milliseconds(100)); };
    Pid p = co_await StartOk(t);
    co_await t.Sleep(absl::Milliseconds(50));
    t.Send(p, Word("m"));
    co_await t.Sleep(absl::Seconds(10));
    EXPECT_THAT(script_.trace, testing::ElementsAre("info m"));
  });
}

TEST_F(GsTimeouts, GS117ASystemRequestStartsItAgain) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S&, auto) -> Task<Init> { return S::Ok().Timeout(absl::Milliseconds(100)); };
    Pid p = co_await StartOk(t);
    co_await t.Sleep(absl::Milliseconds(70));
    EXPECT_TRUE((co_await sys::GetState(t, p)).ok());
    co_await t.Sleep(absl::Milliseconds(99));
    EXPECT_THAT(script_.trace, testing::IsEmpty());
    co_await t.Sleep(absl::Milliseconds(2));
    EXPECT_THAT(script_.trace, testing::ElementsAre("timeout"));
  });
}

TEST_F(GsTimeouts, ZeroTimeoutLetsQueuedMessagesWin) {
  Run([&](Self& t) -> Task<void> {
    script_.cast = [](S&, std::string) -> Task<Step> {
      return S::NoReply().Timeout(absl::ZeroDuration());
    };
    Pid p = co_await StartOk(t);
    t.Cast(p, Word("1"));
    t.Cast(p, Word("2"));
    co_await t.Sleep(absl::Milliseconds(1));
    EXPECT_THAT(script_.trace, testing::ElementsAre("cast 1", "cast 2", "timeout"));
  });
}

TEST_F(GsTimeouts, GS045And046And132StateIsReadAndReplaced) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t, Linked("server"));
    auto replaced =
        co_await sys::ReplaceState(t, p, [](const Payload& s) { return Word(TextOf(s) + "2"); });
    EXPECT_EQ(TextOf(*replaced), "state2");
    auto failing = co_await sys::ReplaceState(
        t, p, [](const Payload&) -> absl::StatusOr<Payload> { throw std::runtime_error("fail"); });
    EXPECT_EQ(ErrorReason(failing.status()), "STATE_INVALID");
    EXPECT_TRUE((co_await sys::Suspend(t, p)).ok());
    EXPECT_TRUE((co_await sys::Suspend(t, p)).ok());
    auto state = co_await sys::GetState(t, p);
    EXPECT_EQ(TextOf(*state), "state2");
    Ref call = t.SendRequest(p, Word("x"));
    co_await t.Sleep(absl::Seconds(1));
    EXPECT_THAT(script_.trace, testing::IsEmpty()) << "GS-132";
    EXPECT_TRUE((co_await sys::Resume(t, p)).ok());
    CallReply reply = co_await t.AwaitReply(call, t.Now() + absl::Seconds(1));
    EXPECT_EQ(TextOf(reply.payload), "x");
    absl::Status change = co_await sys::ChangeCode(t, p, {});
    EXPECT_EQ(ErrorReason(change), "NOT_SUSPENDED");
  });
}

TEST_F(GsTimeouts, SuspendedServersEndWithTheirParent) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S& s, auto) -> Task<Init> {
      s.self().SetTrapExit(true);
      return S::Ok();
    };
    Pid p = co_await StartOk(t);
    EXPECT_TRUE((co_await sys::Suspend(t, p)).ok());
    t.Cast(p, Word("stays queued"));
    t.Exit(p, ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Shutdown());
    EXPECT_THAT(script_.trace, testing::ElementsAre("terminate shutdown"));
  });
}

}  // namespace
}  // namespace banyan
