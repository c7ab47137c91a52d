// Timeouts: ST-008 to ST-025. Delays are virtual time.
#include "tests/conformance/gen_statem/machine.h"

namespace banyan {
namespace {

using testing::ElementsAre;

class StTimeouts : public GenStatemTest {
 protected:
  // Notes when it runs, in ms since the start of the test.
  template <typename F>
  MachineScript::Step At(int64_t* ms, F make) {
    return [this, ms, make](Self& self, const StatemEvent&) -> Task<R> {
      *ms = absl::ToInt64Milliseconds(self.Now() - start_);
      return R(make());
    };
  }
  // "go" takes 30 ms and then returns what `make` makes.
  template <typename F>
  void SlowGo(F make) {
    script_.on["go"] = [make](Self& self, const StatemEvent&) -> Task<R> {
      co_await self.Sleep(absl::Milliseconds(30));
      co_return make();
    };
  }
  // Casts `first`, and `second` 10 ms later.
  std::vector<std::string> TraceOfTwo(std::string first, std::string second) {
    Run([&](Self& t) -> Task<void> {
      Pid p = co_await StartOk(t);
      t.Cast(p, Word(first));
      co_await t.Sleep(Ms(10));
      t.Cast(p, Word(second));
      co_await t.Sleep(absl::Seconds(1));
    });
    return Callbacks();
  }

  const Instant start_ = time_.Now();
};

TEST_F(StTimeouts, ST008ZeroTimeoutsComeAfterRetriedAndBeforeTheMailbox) {
  script_.on["1@a"] = Postponed();
  SlowGo([] {
    return M::NextState("b")
        .StateTimeout(absl::ZeroDuration())
        .NamedTimeout("n", absl::ZeroDuration())
        .NextEvent(Word("ins"));
  });
  EXPECT_THAT(
      TraceOf({"1", "go", "2", "3"}),
      ElementsAre("1@a", "go@a", "ins@b", "1@b", "state_timeout@b", "{timeout,n}@b", "2@b", "3@b"));
}

TEST_F(StTimeouts, ST009ZeroTimeoutsComeInTheirOrder) {
  script_.on["go"] = Do([] {
    return M::KeepState()
        .NamedTimeout("x", absl::ZeroDuration())
        .StateTimeout(absl::ZeroDuration())
        .NamedTimeout("y", absl::ZeroDuration())
        .Timeout(absl::ZeroDuration());
  });
  EXPECT_THAT(TraceOf({"go", "2"}),
              ElementsAre("go@a", "{timeout,x}@a", "state_timeout@a", "{timeout,y}@a", "2@a"));
}

TEST_F(StTimeouts, ST009OneSetAgainMovesToTheEnd) {
  script_.on["go"] = Do([] {
    return M::KeepState()
        .NamedTimeout("x", absl::ZeroDuration(), Word("1"))
        .StateTimeout(absl::ZeroDuration())
        .NamedTimeout("x", absl::ZeroDuration(), Word("2"));
  });
  EXPECT_THAT(TraceOf({"go"}), ElementsAre("go@a", "state_timeout@a", "{timeout,x} 2@a"));
}

TEST_F(StTimeouts, ST010AZeroEventTimeoutComesBeforeTheMailbox) {
  SlowGo([] { return M::KeepState().Timeout(absl::ZeroDuration()); });
  EXPECT_THAT(TraceOf({"go", "2"}), ElementsAre("go@a", "timeout@a", "2@a"));
}

TEST_F(StTimeouts, ST011AnInsertedEventEndsTheEventTimeout) {
  script_.on["go"] =
      Do([] { return M::KeepState().Timeout(absl::ZeroDuration()).NextEvent(Word("i")); });
  EXPECT_THAT(TraceOf({"go"}), ElementsAre("go@a", "i@a"));
}

TEST_F(StTimeouts, ST012AnEventEndsTheEventTimeout) {
  script_.on["go"] = Do([] { return M::KeepState().Timeout(Ms(60)); });
  EXPECT_THAT(TraceOf({"go", "2"}), ElementsAre("go@a", "2@a"));
}

TEST_F(StTimeouts, ST013TheEventTimeoutComesWhenNothingElseDoes) {
  int64_t at = 0;
  script_.on["go"] = Do([] { return M::KeepState().Timeout(Ms(20), Word("late")); });
  script_.on["late"] = At(&at, [] { return M::KeepState(); });
  EXPECT_THAT(TraceOf({"go"}), ElementsAre("go@a", "timeout late@a"));
  EXPECT_EQ(at, 20);
}

TEST_F(StTimeouts, ST014ARetriedEventEndsTheEventTimeout) {
  script_.on["1@a"] = Postponed();
  script_.on["go"] = Do([] { return M::NextState("b").Timeout(Ms(40)); });
  EXPECT_THAT(TraceOf({"1", "go"}), ElementsAre("1@a", "go@a", "1@b"));
}

TEST_F(StTimeouts, ST015EventsDoNotEndTheStateTimeout) {
  script_.on["go"] = Do([] { return M::KeepState().StateTimeout(Ms(40)); });
  EXPECT_THAT(TraceOf({"go", "2", "3"}), ElementsAre("go@a", "2@a", "3@a", "state_timeout@a"));
}

TEST_F(StTimeouts, ST016AChangeOfStateEndsTheStateTimeout) {
  script_.on["go"] = Do([] { return M::KeepState().StateTimeout(Ms(40)); });
  script_.on["x"] = To("b");
  EXPECT_THAT(TraceOf({"go", "x"}), ElementsAre("go@a", "x@a"));
}

TEST_F(StTimeouts, ST017SetWithTheChangeItBelongsToTheNewState) {
  script_.on["go"] = Do([] { return M::NextState("b").StateTimeout(Ms(20)); });
  EXPECT_THAT(TraceOf({"go"}), ElementsAre("go@a", "state_timeout@b"));
}

TEST_F(StTimeouts, ST018RepeatingTheStateDoesNotEndIt) {
  script_.state_enter = true;
  script_.on["go"] = Do([] { return M::KeepState().StateTimeout(Ms(40)); });
  script_.on["rep"] = Do([] { return M::RepeatState(); });
  EXPECT_THAT(TraceOf({"go", "rep"}),
              ElementsAre("enter(a)@a", "go@a", "rep@a", "enter(a)@a", "state_timeout@a"));
}

TEST_F(StTimeouts, ST019NamedTimeoutsSurviveTheStateAndAreReplacedByName) {
  script_.on["go"] = Do([] {
    return M::KeepState().NamedTimeout("n", Ms(60), Word("old")).NamedTimeout("m", Ms(30));
  });
  script_.on["x"] = Do([] { return M::NextState("b").NamedTimeout("n", Ms(20), Word("new")); });
  EXPECT_THAT(TraceOf({"go", "x"}),
              ElementsAre("go@a", "x@a", "{timeout,n} new@b", "{timeout,m}@b"));
}

TEST_F(StTimeouts, ST020TheLastSettingOfATransitionCounts) {
  script_.on["go"] = Do([] {
    return M::KeepState()
        .NamedTimeout("n", Ms(10), Word("first"))
        .NamedTimeout("n", Ms(30), Word("second"))
        .StateTimeout(Ms(10))
        .CancelStateTimeout();
  });
  EXPECT_THAT(TraceOf({"go"}), ElementsAre("go@a", "{timeout,n} second@a"));
}

TEST_F(StTimeouts, ST021Cancelling) {
  script_.on["go"] =
      Do([] { return M::KeepState().NamedTimeout("n", Ms(30)).StateTimeout(Ms(30)); });
  script_.on["c"] = Do([] {
    return M::KeepState()
        .CancelNamedTimeout("n")
        .StateTimeout(absl::InfiniteDuration())
        .CancelNamedTimeout("unknown");
  });
  EXPECT_THAT(TraceOf({"go", "c"}), ElementsAre("go@a", "c@a"));
}

TEST_F(StTimeouts, ST021ATimeoutThatHasExpiredCanStillBeCancelled) {
  script_.on["go"] =
      Do([] { return M::KeepState().NamedTimeout("n", Ms(10)).StateTimeout(Ms(10)); });
  // Both expire into the mailbox while this waits.
  script_.on["c"] = [](Self& self, const StatemEvent&) -> Task<R> {
    co_await self.Sleep(absl::Milliseconds(20));
    co_return M::KeepState().CancelNamedTimeout("n").StateTimeout(absl::Milliseconds(30));
  };
  EXPECT_THAT(TraceOf({"go", "c", "2"}), ElementsAre("go@a", "c@a", "2@a", "state_timeout@a"));
}

TEST_F(StTimeouts, ST021AZeroTimeoutThatIsDueCanBeCancelledOrReplaced) {
  script_.on["go"] = Do([] {
    return M::KeepState()
        .NamedTimeout("n", absl::ZeroDuration())
        .NamedTimeout("m", absl::ZeroDuration())
        .NextEvent(Word("c"));
  });
  script_.on["c"] = Do([] {
    return M::KeepState().CancelNamedTimeout("n").NamedTimeout("m", Ms(20), Word("late"));
  });
  EXPECT_THAT(TraceOf({"go", "2"}), ElementsAre("go@a", "c@a", "2@a", "{timeout,m} late@a"));
}

TEST_F(StTimeouts, ST022AnUpdateChangesTheContentNotTheTime) {
  int64_t at = 0;
  script_.on["go"] = Do([] { return M::KeepState().StateTimeout(Ms(40), Word("s")); });
  script_.on["u"] = Do([] { return M::KeepState().UpdateStateTimeout(Word("s2")); });
  script_.on["s2"] = At(&at, [] { return M::KeepState(); });
  EXPECT_THAT(TraceOfTwo("go", "u"), ElementsAre("go@a", "u@a", "state_timeout s2@a"));
  EXPECT_EQ(at, 40);
}

TEST_F(StTimeouts, ST023AnUpdateOfNothingComesAtOnce) {
  SlowGo([] { return M::KeepState().UpdateStateTimeout(Word("s2")); });
  EXPECT_THAT(TraceOf({"go", "2"}), ElementsAre("go@a", "state_timeout s2@a", "2@a"));
}

TEST_F(StTimeouts, ST024AnUpdateWithAChangeOfStateFindsTheOldOneGone) {
  int64_t at = 0;
  script_.on["go"] = Do([] { return M::KeepState().StateTimeout(absl::Seconds(5), Word("s")); });
  script_.on["u"] = Do([] { return M::NextState("b").UpdateStateTimeout(Word("s2")); });
  script_.on["s2"] = At(&at, [] { return M::KeepState(); });
  EXPECT_THAT(TraceOf({"go", "u"}), ElementsAre("go@a", "u@a", "state_timeout s2@b"));
  EXPECT_EQ(at, 0);
}

TEST_F(StTimeouts, ST025AbsoluteTimes) {
  int64_t at = 0;
  script_.on["go"] = [](Self& self, const StatemEvent&) -> Task<R> {
    return M::KeepState().NamedTimeoutAt("n", self.Now() + absl::Milliseconds(20), Word("s"));
  };
  script_.on["s"] = At(&at, [] { return M::KeepState(); });
  EXPECT_THAT(TraceOf({"go"}), ElementsAre("go@a", "{timeout,n} s@a"));
  EXPECT_EQ(at, 20);
}

TEST_F(StTimeouts, ST025AnAbsoluteTimeThatIsPastGoesThroughTheTimers) {
  script_.on["go"] = [](Self& self, const StatemEvent&) -> Task<R> {
    co_await self.Sleep(absl::Milliseconds(30));
    co_return M::KeepState()
        .StateTimeoutAt(self.Now() - absl::Seconds(1))
        .TimeoutAt(Instant::Infinite());
  };
  EXPECT_THAT(TraceOf({"go", "2"}), ElementsAre("go@a", "2@a", "state_timeout@a"));
}

TEST_F(StTimeouts, EachKindCanBeSetUpdatedAndCancelled) {
  script_.on["go"] = Do([] {
    return M::KeepState()
        .Timeout(Ms(10), Word("t"))
        .UpdateTimeout(Word("t2"));  // the last: at once
  });
  script_.on["t2"] = Do([] { return M::KeepState().Timeout(Ms(10)).CancelTimeout(); });
  script_.on["named"] = Do([] { return M::KeepState().NamedTimeout("n", Ms(10), Word("n1")); });
  script_.on["upd"] = Do([] { return M::KeepState().UpdateNamedTimeout("n", Word("n2")); });
  EXPECT_THAT(TraceOf({"go", "named", "upd"}),
              ElementsAre("go@a", "timeout t2@a", "named@a", "upd@a", "{timeout,n} n2@a"));
}

TEST_F(StTimeouts, TimersOfTheModulesOwnAreInfo) {
  script_.on["go"] = [](Self& self, const StatemEvent&) -> Task<R> {
    self.StartTimer(absl::Milliseconds(5), Word("mine"));
    return M::KeepState().StateTimeout(absl::Milliseconds(10));
  };
  EXPECT_THAT(TraceOf({"go"}), ElementsAre("go@a", "info mine@a", "state_timeout@a"));
}

}  // namespace
}  // namespace banyan
