// enter_loop: GS-032, GS-033, GS-035. spec/gen_server.md 12.
#include "server/behaviours/enter_loop.h"

#include "tests/conformance/gen_server/server.h"

namespace banyan {
namespace {

class GsEnterLoop : public GenServerTest {
 protected:
  // A process that acknowledges its start and becomes the server.
  Task<StartResult> Enter(Self& t, StartOptions start, EnterOptions enter = {}) {
    StartBody body = [this, enter](Self& self, StartAck ack) -> Task<ExitReason> {
      self.SetTrapExit(true);
      ack.Started();
      co_return co_await EnterLoop(self, std::move(ack), std::make_unique<S>(&script_), enter);
    };
    return StartProcess(t, std::move(body), std::move(start));
  }
  static EnterOptions As(std::string name) {
    EnterOptions o;
    o.name = std::move(name);
    return o;
  }
};

TEST_F(GsEnterLoop, GS032BecomesAServer) {
  script_.init = [](S&, auto) -> Task<Init> {
    ADD_FAILURE() << "init must not run";
    return S::Ok();
  };
  Run([&](Self& t) -> Task<void> {
    for (const char* name : {"", "server"}) {
      script_.trace.clear();
      StartResult r = co_await Enter(t, Linked(name), As(name));
      CO_ASSERT(r.started());
      absl::StatusOr<Payload> reply = co_await t.Call(r.pid, Word("started_p"));
      EXPECT_EQ(TextOf(*reply), "started_p");
      absl::StatusOr<Payload> state = co_await sys::GetState(t, r.pid);
      EXPECT_EQ(TextOf(*state), "state");
      EXPECT_TRUE((co_await sys::Stop(t, r.pid, ExitReason::Error("stopped"))).ok());
      EXPECT_EQ(co_await ExitOf(t, r.pid), ExitReason::Error("stopped"));
      EXPECT_THAT(script_.trace, testing::ElementsAre("call started_p", "terminate error stopped"));
    }
  });
}

TEST_F(GsEnterLoop, GS032ComesFirstWhatItAskedFor) {
  Run([&](Self& t) -> Task<void> {
    EnterOptions enter;
    enter.first = banyan::Next::Wait(absl::Milliseconds(100));
    co_await Enter(t, Linked(), enter);
    co_await t.Sleep(absl::Milliseconds(99));
    EXPECT_THAT(script_.trace, testing::IsEmpty());
    co_await t.Sleep(absl::Seconds(1));
    EXPECT_THAT(script_.trace, testing::ElementsAre("timeout"));
    script_.trace.clear();
    enter.first = banyan::Next::Continue(Word("go"));
    StartResult r = co_await Enter(t, Linked(), enter);
    t.Send(r.pid, Word("m"));
    co_await t.Sleep(absl::Milliseconds(1));
    EXPECT_THAT(script_.trace, testing::ElementsAre("continue go", "info m"));
  });
}

TEST_F(GsEnterLoop, GS032NameNotRegistered) {
  Run([&](Self& t) -> Task<void> {
    StartResult r = co_await Enter(t, Linked(), As("server"));
    EXPECT_TRUE(r.started());
    std::optional<ExitReason> end = co_await ExitOf(t, r.pid);
    EXPECT_EQ(end->type(), "process_not_registered");
    EXPECT_THAT(script_.trace, testing::IsEmpty()) << "no terminate";
  });
}

TEST_F(GsEnterLoop, GS032AStartThatWasNotAcknowledgedIsNow) {
  Run([&](Self& t) -> Task<void> {
    StartBody body = [this](Self& self, StartAck ack) {
      return EnterLoop(self, std::move(ack), std::make_unique<S>(&script_));
    };
    StartResult r = co_await StartProcess(t, body, Linked());
    EXPECT_TRUE(r.started());
    EXPECT_TRUE((co_await t.Call(r.pid, Word("x"))).ok());
  });
}

// OTP finds the parent by name; here it is a pid, whether it has a name or not.
TEST_F(GsEnterLoop, GS033TheStarterIsTheParent) {
  Run([&](Self& t) -> Task<void> {
    EXPECT_TRUE(t.Register("parent"));
    for (bool link : {true, false}) {
      script_.trace.clear();
      StartOptions start = Linked();
      start.link = link;
      StartResult r = co_await Enter(t, start);
      t.Exit(r.pid, ExitReason::Shutdown());
      co_await t.Sleep(absl::Milliseconds(1));
      EXPECT_FALSE(rt_->IsAlive(r.pid));
      EXPECT_THAT(script_.trace, testing::ElementsAre("terminate shutdown"));
    }
  });
}

TEST_F(GsEnterLoop, GS035NameOfAnother) {
  Run([&](Self& t) -> Task<void> {
    EXPECT_TRUE(t.Register("server"));
    StartResult r = co_await Enter(t, Linked(), As("server"));
    std::optional<ExitReason> end = co_await ExitOf(t, r.pid);
    EXPECT_EQ(end->type(), "process_not_registered");
    EXPECT_EQ(rt_->Whereis("server"), t.pid());
  });
}

}  // namespace
}  // namespace banyan
