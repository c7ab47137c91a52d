// The order of events: postponing, inserting, changing the state. ST-001 to ST-007.
#include "tests/conformance/gen_statem/machine.h"

namespace banyan {
namespace {

using testing::ElementsAre;

class StEvents : public GenStatemTest {};

TEST_F(StEvents, ST001PostponedEventsAreRetriedInOrder) {
  for (const char* n : {"1@a", "2@a", "3@a"}) script_.on[n] = Postponed();
  script_.on["go"] = To("b");
  EXPECT_THAT(TraceOf({"1", "2", "3", "go", "4"}),
              ElementsAre("1@a", "2@a", "3@a", "go@a", "1@b", "2@b", "3@b", "4@b"));
}

TEST_F(StEvents, ST002AnEventMayBePostponedAgain) {
  script_.on["1@a"] = script_.on["1@b"] = Postponed();
  script_.on["go"] = To("b");
  script_.on["go2"] = To("c");
  EXPECT_THAT(TraceOf({"1", "go", "go2"}), ElementsAre("1@a", "go@a", "1@b", "go2@b", "1@c"));
}

TEST_F(StEvents, ST003PostponedWithTheChangeItself) {
  script_.on["1@a"] = Do([] { return M::NextState("b").Postpone(); });
  EXPECT_THAT(TraceOf({"1", "2"}), ElementsAre("1@a", "1@b", "2@b"));
}

TEST_F(StEvents, ST003TheJustPostponedIsTheNewestOfThose) {
  script_.on["1@a"] = script_.on["2@a"] = Postponed();
  script_.on["go@a"] = Do([] { return M::NextState("b").Postpone(); });
  EXPECT_THAT(TraceOf({"1", "2", "go", "3"}),
              ElementsAre("1@a", "2@a", "go@a", "1@b", "2@b", "go@b", "3@b"));
}

TEST_F(StEvents, ST004TheSameStateIsNoChange) {
  script_.on["1@a"] = Postponed();
  script_.on["go"] = To("a");
  EXPECT_THAT(TraceOf({"1", "go"}), ElementsAre("1@a", "go@a"));
}

TEST_F(StEvents, ST005RepeatStateIsNoChange) {
  script_.state_enter = true;
  script_.on["1@a"] = Postponed();
  script_.on["go"] = Do([] { return M::RepeatState(); });
  EXPECT_THAT(TraceOf({"1", "go"}), ElementsAre("enter(a)@a", "1@a", "go@a", "enter(a)@a"));
}

TEST_F(StEvents, ST006InsertedEventsComeFirst) {
  std::vector<EventType> types;
  script_.on["1"] = Do([] {
    return M::KeepState()
        .NextEvent(Word("i1"))
        .NextEvent(StatemEvent::Cast(Word("i2")))
        .NextEvent(StatemEvent::Info(Word("i3")));
  });
  script_.on["i1"] = Do([](const StatemEvent& e) {
    EXPECT_EQ(e.type(), EventType::kInternal);
    return M::KeepState().NextEvent(Word("i1a"));
  });
  EXPECT_THAT(TraceOf({"1", "2"}), ElementsAre("1@a", "i1@a", "i1a@a", "i2@a", "info i3@a", "2@a"));
}

TEST_F(StEvents, ST006EventsOfAnyTypeCanBeInserted) {
  script_.on["1"] = Do([] {
    return M::KeepState()
        .NextEvent(StatemEvent::StateTimeout(Word("s")))
        .NextEvent(StatemEvent::Timeout(Word("t")))
        .NextEvent(StatemEvent::Timeout("n", Word("x")));
  });
  EXPECT_THAT(TraceOf({"1", "2"}),
              ElementsAre("1@a", "state_timeout s@a", "timeout t@a", "{timeout,n} x@a", "2@a"));
}

TEST_F(StEvents, ST006AnInsertedCallIsAnsweredAsAnyOther) {
  script_.on["x@a"] = Do([](const StatemEvent& e) {
    return M::NextState("b").NextEvent(StatemEvent::Call(e.from(), Word("y")));
  });
  script_.on["y"] =
      Do([](const StatemEvent& e) { return M::KeepState().Reply(e.from(), Word("z")); });
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    absl::StatusOr<Payload> answer = co_await gen_statem::Call(t, p, Word("x"));
    EXPECT_TRUE(answer.ok());
    if (answer.ok()) EXPECT_EQ(TextOf(*answer), "z");
  });
  EXPECT_THAT(Callbacks(), ElementsAre("call x@a", "call y@b"));
}

TEST_F(StEvents, ST007InsertedBeforeRetried) {
  script_.on["1@a"] = Postponed();
  script_.on["go"] = Do([] { return M::NextState("b").NextEvent(Word("ins")); });
  EXPECT_THAT(TraceOf({"1", "go", "2"}), ElementsAre("1@a", "go@a", "ins@b", "1@b", "2@b"));
}

TEST_F(StEvents, InsertedAndRetriedEventsKeepTheirOrderThroughSeveralChanges) {
  // While retried events wait in the queue the state changes again: what was postponed since comes
  // before them.
  for (const char* n : {"1@a", "2@a", "3@a", "1@b"}) script_.on[n] = Postponed();
  script_.on["go"] = To("b");
  script_.on["2@b"] = To("c");
  EXPECT_THAT(TraceOf({"1", "2", "3", "go", "4"}),
              ElementsAre("1@a", "2@a", "3@a", "go@a", "1@b", "2@b", "1@c", "3@c", "4@c"));
}

TEST_F(StEvents, TheLastPostponeCounts) {
  script_.on["1@a"] = Do([] { return M::KeepState().Postpone().Postpone(false); });
  script_.on["go"] = To("b");
  EXPECT_THAT(TraceOf({"1", "go"}), ElementsAre("1@a", "go@a"));
}

TEST_F(StEvents, CallbacksThatWaitKeepTheOrder) {
  auto slow = [](Self& self, const StatemEvent& e) -> Task<R> {
    co_await self.Sleep(absl::Milliseconds(10));
    co_return TextOf(e.content()) == "go" ? M::NextState("b").NextEvent(Word("ins"))
                                          : M::KeepState().Postpone();
  };
  script_.on["1@a"] = script_.on["2@a"] = script_.on["go"] = slow;
  EXPECT_THAT(TraceOf({"1", "2", "go", "3"}),
              ElementsAre("1@a", "2@a", "go@a", "ins@b", "1@b", "2@b", "3@b"));
}

TEST_F(StEvents, ALongRunOfInsertedEventsLetsOthersRunAndCanBeKilled) {
  int n = 0;
  script_.on["1"] = Do([&n] {
    ++n;
    return M::KeepState().NextEvent(Word("1"));
  });
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    t.Cast(p, Word("1"));
    while (n < 10'000) co_await t.Yield();
    script_.trace.clear();
    t.Exit(p, ExitReason::Kill());
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Killed());
  });
}

}  // namespace
}  // namespace banyan
