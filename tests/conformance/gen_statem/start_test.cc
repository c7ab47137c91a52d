// Starting: ST-041, ST-042, and the ways to start that all behaviours share.
#include "server/runtime/process_exit.h"
#include "tests/conformance/gen_statem/machine.h"

namespace banyan {
namespace {

using testing::ElementsAre;

class StStart : public GenStatemTest {
 protected:
  using Init = M::InitResult;
};

TEST_F(StStart, ST041HowInitMayEnd) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](M&) -> Task<Init> { return M::Ignore(); };
    StartResult ignored = co_await StartIt(t, Linked("door"));
    EXPECT_TRUE(ignored.ignored());
    EXPECT_FALSE(t.runtime().Whereis("door").has_value());

    script_.init = [](M&) -> Task<Init> { return Init(M::Stop(ExitReason::Error("why"))); };
    StartResult stopped = co_await StartIt(t, Linked("door"));
    EXPECT_EQ(stopped.reason, ExitReason::Error("why"));
    EXPECT_FALSE(t.runtime().Whereis("door").has_value());

    script_.init = [](M&) -> Task<Init> { throw std::runtime_error("ic"); };
    StartResult crashed = co_await StartIt(t, Linked("door"));
    EXPECT_EQ(crashed.reason.type(), "std::runtime_error");
    EXPECT_EQ(crashed.reason.message(), "ic");

    script_.init = [](M&) -> Task<Init> { throw ProcessExit(ExitReason::Error("bye")); };
    StartResult exited = co_await StartIt(t, Linked("door"));
    EXPECT_EQ(exited.reason, ExitReason::Error("bye"));
  });
  EXPECT_THAT(script_.trace, testing::IsEmpty()) << "no terminate, no callback";
}

TEST_F(StStart, INI001StepsAreUndoneUnlessInitEndsWithOk) {
  Run([&](Self& t) -> Task<void> {
    std::optional<Init> end;  // none: the second step fails
    script_.init = [&](M& m) -> Task<Init> {
      auto note = [&](std::string what) {
        script_.trace.push_back(std::move(what));
        return Task<void>();
      };
      co_await m.steps().Run("open", [=] { return note("open"); }, [=] { return note("close"); });
      co_await m.steps().Run("subscribe", [&]() -> Task<absl::Status> {
        if (end) return absl::OkStatus();
        return absl::UnavailableError("not there");
      });
      co_return *std::move(end);
    };
    StartResult failed = co_await StartIt(t, Linked("door"));
    EXPECT_EQ(failed.reason, ExitReason::Error("failed_step", "step \"subscribe\": not there"));
    EXPECT_THAT(script_.trace, ElementsAre("open", "close"));

    script_.trace.clear();
    end = M::Ignore();
    EXPECT_TRUE((co_await StartIt(t, Linked("door"))).ignored());
    EXPECT_THAT(script_.trace, ElementsAre("open", "close"));

    script_.trace.clear();
    end = M::Ok("a");
    EXPECT_TRUE((co_await StartIt(t, Linked("door"))).started());
    EXPECT_THAT(script_.trace, ElementsAre("open"));
  });
}

TEST_F(StStart, ST041TheStartWaitsForInitAndNoLonger) {
  script_.state_enter = true;
  script_.init = [](M& m) -> Task<Init> {
    co_await m.self().Sleep(absl::Milliseconds(50));
    co_return M::Ok("a");
  };
  script_.on["enter@a"] = [](Self& self, const StatemEvent&) -> Task<R> {
    co_await self.Sleep(absl::Seconds(1));
    co_return M::KeepState();
  };
  Run([&](Self& t) -> Task<void> {
    const Instant before = t.Now();
    Pid p = co_await StartOk(t, Linked("door"));
    EXPECT_EQ(t.Now() - before, Ms(50));
    EXPECT_EQ(t.runtime().Whereis("door"), p);
    StartResult again = co_await StartIt(t, Linked("door"));
    EXPECT_EQ(again.reason.type(), kAlreadyStarted);
    EXPECT_EQ(again.pid, p);
  });
}

TEST_F(StStart, ST042ACallbackModeThatFailsShowsAfterTheStart) {
  int calls = 0;
  script_.callback_mode = [&] {
    ++calls;
    throw std::logic_error("no mode");
  };
  Run([&](Self& t) -> Task<void> {
    StartResult r = co_await StartIt(t);
    EXPECT_TRUE(r.started());
    std::optional<ExitReason> end = co_await ExitOf(t, r.pid);
    CO_ASSERT(end.has_value());
    EXPECT_EQ(end->type(), "std::logic_error");
  });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(Callbacks(), std::vector<std::string>()) << "only terminate";
  EXPECT_EQ(script_.trace.size(), 1u);
}

TEST_F(StStart, StartsWithoutLinkWithMonitorAndWithATimeLimit) {
  Run([&](Self& t) -> Task<void> {
    StartOptions apart = Linked();
    apart.link = false;
    Pid free = co_await StartOk(t, apart);
    t.Monitor(free);
    t.Exit(free, ExitReason::Kill());
    std::optional<Message> killed = co_await Next(t);
    CO_ASSERT(killed.has_value());
    EXPECT_TRUE(killed->is_down() && killed->reason() == ExitReason::Killed());
    EXPECT_EQ(t.mailbox_length(), 0u) << "no 'EXIT' without a link";

    StartOptions watched = Linked();
    watched.link = false;
    watched.monitor = true;
    StartResult monitored = co_await StartIt(t, watched);
    EXPECT_NE(monitored.monitor, 0u);
    t.Exit(monitored.pid, ExitReason::Error("x"));
    std::optional<Message> down = co_await Next(t);
    EXPECT_TRUE(down && down->is_down() && down->ref() == monitored.monitor);

    script_.init = [](M& m) -> Task<Init> {
      co_await m.self().Sleep(absl::Seconds(10));
      co_return M::Ok("a");
    };
    StartOptions limited = Linked();
    limited.timeout = Ms(50);
    StartResult late = co_await StartIt(t, limited);
    EXPECT_EQ(late.reason, ExitReason::Timeout());
  });
}

TEST_F(StStart, EnterLoop) {
  script_.state_enter = true;
  Run([&](Self& t) -> Task<void> {
    StartBody body = [this](Self& self, StartAck ack) -> Task<ExitReason> {
      ack.Started();
      return gen_statem::EnterLoop(self, std::move(ack), std::make_unique<M>(&script_),
                                   M::Ok("z", 3).NextEvent(Word("first")));
    };
    StartResult r = co_await StartProcess(t, body, {});
    CO_ASSERT(r.started());
    t.Cast(r.pid, Word("1"));
    co_await t.Sleep(absl::Seconds(1));
    absl::StatusOr<Payload> state = co_await sys::GetState(t, r.pid);
    CO_ASSERT(state.ok());
    EXPECT_EQ(*state->As<M::StateAndData>(), M::StateAndData("z", 3));
  });
  EXPECT_THAT(Callbacks(), ElementsAre("enter(z)@z", "first@z", "1@z"));
}

}  // namespace
}  // namespace banyan
