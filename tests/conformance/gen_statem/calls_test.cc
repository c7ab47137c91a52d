// Calls: ST-038 to ST-040.
#include "common/base/error.h"
#include "tests/conformance/gen_statem/machine.h"

namespace banyan {
namespace {

using testing::ElementsAre;

class StCalls : public GenStatemTest {};

TEST_F(StCalls, ST038APostponedCallIsAnsweredInAnotherState) {
  script_.on["x@a"] = Postponed();
  script_.on["x@b"] =
      Do([](const StatemEvent& e) { return M::KeepState().Reply(e.from(), Word("y")); });
  script_.on["go"] = To("b");
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    Ref call = t.SendRequest(p, Word("x"));
    co_await t.Sleep(absl::Minutes(1));
    t.Cast(p, Word("go"));
    CallReply reply = co_await t.AwaitReply(call, Instant::Infinite());
    EXPECT_EQ(TextOf(reply.payload), "y");
  });
  EXPECT_THAT(Callbacks(), ElementsAre("call x@a", "go@a", "call x@b"));
}

TEST_F(StCalls, ST038TheCallersOwnErrorAndSeveralReplies) {
  std::vector<CallFrom> waiting;
  script_.on["wait"] = Do([&](const StatemEvent& e) {
    waiting.push_back(e.from());
    return M::KeepState();
  });
  script_.on["go"] = Do([&] {
    return M::KeepState()
        .Reply(waiting[0], Word("first"))
        .ReplyError(waiting[1], MakeError("STATE_INVALID", "no such thing"));
  });
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    Ref one = t.SendRequest(p, Word("wait"));
    Ref two = t.SendRequest(p, Word("wait"));
    t.Cast(p, Word("go"));
    CallReply first = co_await t.AwaitReply(one, Instant::Infinite());
    EXPECT_EQ(TextOf(first.payload), "first");
    CallReply second = co_await t.AwaitReply(two, Instant::Infinite());
    EXPECT_EQ(ErrorReason(second.status), "STATE_INVALID");
  });
}

TEST_F(StCalls, ST039CallsThatAreNotAnswered) {
  script_.on["stop"] = [](Self&, const StatemEvent&) -> Task<R> {
    return R(M::Stop(ExitReason::Error("why")));
  };
  script_.on["late"] = [](Self& self, const StatemEvent& e) -> Task<R> {
    co_await self.Sleep(absl::Milliseconds(50));
    co_return M::KeepState().Reply(e.from(), Word("late"));
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    absl::StatusOr<Payload> late = co_await gen_statem::Call(t, p, Word("late"), Ms(30));
    EXPECT_EQ(ErrorReason(late.status()), "CALL_TIMEOUT");
    co_await t.Sleep(absl::Seconds(1));
    EXPECT_EQ(t.mailbox_length(), 0u) << "the late reply is dropped";
    // The call of a postponed event and that of the event at hand hear of the end.
    script_.on["x"] = Postponed();
    Ref postponed = t.SendRequest(p, Word("x"));
    absl::StatusOr<Payload> stopped = co_await gen_statem::Call(t, p, Word("stop"));
    EXPECT_EQ(ErrorReason(stopped.status()), "CALLEE_EXITED");
    EXPECT_EQ(*GetErrorInfo(stopped.status())->exit_reason, ExitReason::Error("why"));
    CallReply end = co_await t.AwaitReply(postponed, Instant::Infinite());
    EXPECT_EQ(end.outcome, CallReply::Outcome::kDown);
    EXPECT_EQ(end.reason, ExitReason::Error("why"));
    absl::StatusOr<Payload> dead = co_await gen_statem::Call(t, p, Word("x"));
    EXPECT_EQ(ErrorReason(dead.status()), "NOPROC");
    t.Cast(p, Word("to nobody"));
  });
}

TEST_F(StCalls, ST040StopAndReply) {
  std::vector<std::string> order;
  script_.on["x"] = [](Self&, const StatemEvent& e) -> Task<R> {
    return R(M::Stop().Reply(e.from(), Word("bye")));
  };
  // The reply is on its way before terminate, which takes long.
  script_.terminate = [&](M& m, ExitReason) -> Task<void> {
    co_await m.self().Sleep(absl::Seconds(1));
    order.push_back("terminated");
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    absl::StatusOr<Payload> answer = co_await gen_statem::Call(t, p, Word("x"));
    EXPECT_TRUE(answer.ok());
    order.push_back("replied");
    if (answer.ok()) EXPECT_EQ(TextOf(*answer), "bye");
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Normal());
  });
  EXPECT_THAT(script_.trace, ElementsAre("call x@a", "terminate normal@a"));
  EXPECT_THAT(order, ElementsAre("replied", "terminated"));
}

}  // namespace
}  // namespace banyan
