// sys with state machines: ST-046 to ST-048, ST-050.
#include "common/base/error.h"
#include "tests/conformance/gen_statem/machine.h"

namespace banyan {
namespace {

using testing::ElementsAre;

class StSys : public GenStatemTest {
 protected:
  static Task<M::StateAndData> StateOf(Self& t, Pid p) {
    absl::StatusOr<Payload> state = co_await sys::GetState(t, p);
    EXPECT_TRUE(state.ok()) << state.status();
    const auto* pair = state.ok() ? state->As<M::StateAndData>() : nullptr;
    EXPECT_TRUE(pair);
    co_return pair ? *pair : M::StateAndData();
  }
};

TEST_F(StSys, ST046SuspendedTimersGoOn) {
  script_.on["go"] = Do([] { return M::KeepState().StateTimeout(Ms(20)); });
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    t.Cast(p, Word("go"));
    co_await t.Sleep(Ms(5));
    EXPECT_TRUE((co_await sys::Suspend(t, p)).ok());
    co_await t.Sleep(Ms(60));
    t.Cast(p, Word("z"));
    co_await t.Sleep(Ms(1));
    EXPECT_THAT(Callbacks(), ElementsAre("go@a")) << "nothing while suspended";
    EXPECT_TRUE((co_await sys::Resume(t, p)).ok());
    co_await t.Sleep(Ms(1));
  });
  EXPECT_THAT(Callbacks(), ElementsAre("go@a", "state_timeout@a", "z@a"));
}

TEST_F(StSys, ST046SystemRequestsAreNoEvents) {
  script_.on["go"] = Do([] { return M::KeepState().Timeout(Ms(20)); });
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    const Instant before = t.Now();
    t.Cast(p, Word("go"));
    co_await t.Sleep(Ms(15));
    co_await StateOf(t, p);
    while (Callbacks().size() < 2 && t.Now() < before + absl::Seconds(1)) co_await t.Sleep(Ms(1));
    EXPECT_EQ(t.Now() - before, Ms(20)) << "the event timeout goes on";
  });
}

TEST_F(StSys, ST047ReplaceStateEntersNothing) {
  script_.state_enter = true;
  script_.on["1@a"] = Postponed();
  script_.on["go"] = Do([] { return M::KeepState().StateTimeout(Ms(20)); });
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    t.Cast(p, Word("1"));
    t.Cast(p, Word("go"));
    auto replace = [](const Payload& state) -> absl::StatusOr<Payload> {
      M::StateAndData pair = *state.As<M::StateAndData>();
      return Payload::Local(M::StateAndData("zz", pair.second + 1));
    };
    absl::StatusOr<Payload> replaced = co_await sys::ReplaceState(t, p, replace);
    EXPECT_TRUE(replaced.ok());
    EXPECT_EQ(co_await StateOf(t, p), M::StateAndData("zz", 1));
    auto junk = [](const Payload&) -> absl::StatusOr<Payload> { return Word("junk"); };
    absl::StatusOr<Payload> refused = co_await sys::ReplaceState(t, p, junk);
    EXPECT_EQ(ErrorReason(refused.status()), "STATE_INVALID");
    co_await t.Sleep(Ms(30));
    EXPECT_EQ(co_await StateOf(t, p), M::StateAndData("zz", 1));
  });
  EXPECT_THAT(Callbacks(), ElementsAre("enter(a)@a", "1@a", "go@a", "state_timeout@zz"))
      << "timers and postponed events are untouched";
}

TEST_F(StSys, ST048CodeChange) {
  script_.code_change = [](M& m, std::string extra) -> Task<absl::StatusOr<M::StateAndData>> {
    if (extra == "crash") throw std::runtime_error("crash");
    if (extra == "junk") return MakeError("STATE_INVALID", "junk");
    return M::StateAndData(m.state() + "2", m.data() + 1);
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    absl::Status running = co_await sys::ChangeCode(t, p, {.extra = Word("ok")});
    EXPECT_EQ(ErrorReason(running), "NOT_SUSPENDED");
    EXPECT_TRUE((co_await sys::Suspend(t, p)).ok());
    absl::Status crash = co_await sys::ChangeCode(t, p, {.extra = Word("crash")});
    EXPECT_EQ(ErrorReason(crash), "CODE_CHANGE_FAILED");
    absl::Status junk = co_await sys::ChangeCode(t, p, {.extra = Word("junk")});
    EXPECT_EQ(ErrorReason(junk), "STATE_INVALID");
    EXPECT_EQ(co_await StateOf(t, p), M::StateAndData("a", 0));
    // The callback mode is asked for again: now there are enter calls, but none for the change.
    script_.state_enter = true;
    EXPECT_TRUE((co_await sys::ChangeCode(t, p, {.extra = Word("ok")})).ok());
    EXPECT_EQ(co_await StateOf(t, p), M::StateAndData("a2", 1));
    EXPECT_TRUE((co_await sys::Resume(t, p)).ok());
    script_.on["go"] = To("b");
    t.Cast(p, Word("go"));
    co_await t.Sleep(Ms(1));
  });
  EXPECT_THAT(Callbacks(), ElementsAre("go@a2", "enter(a2)@b"));
}

TEST_F(StSys, StatusShowsStateDataPostponedTimeoutsAndModules) {
  script_.on["1"] = Postponed();
  script_.on["go"] = Do([&] {
    return M::KeepState()
        .StateTimeout(absl::Hours(1))
        .NamedTimeout("n", absl::Hours(1))
        .PushCallbackModule(std::make_unique<ScriptModule>(&script_, "M2"));
  });
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    t.Cast(p, Word("1"));
    t.Cast(p, Word("go"));
    absl::StatusOr<SysStatus> status = co_await sys::GetStatus(t, p);
    CO_ASSERT(status.ok());
    EXPECT_EQ(status->engine, "state machine");
    EXPECT_EQ(status->view.state_name, "a");
    CO_ASSERT(status->view.state.As<int>());
    EXPECT_EQ(*status->view.state.As<int>(), 0);
    EXPECT_EQ(status->view.items["postponed"], "cast \"1\"");
    EXPECT_EQ(status->view.items["timeouts"], "state_timeout, {timeout,n}");
    EXPECT_EQ(status->view.items["modules"], "banyan::ScriptModule, banyan::ScriptMachine");
  });
}

std::vector<std::string> Lines(const std::vector<SysEvent>& log) {
  std::vector<std::string> lines;
  for (const SysEvent& e : log) {
    SysEvent shown = e;
    shown.peer = Pid{};  // differs from run to run
    lines.push_back(FormatSysEvent(shown));
  }
  return lines;
}

TEST_F(StSys, ST050SystemEventsInOrder) {
  script_.on["p"] = Postponed();
  script_.on["x"] = Do([](const StatemEvent& e) {
    return M::KeepState()
        .Reply(e.from(), Word("r"))
        .NextEvent(Word("i"))
        .StateTimeout(absl::ZeroDuration(), Word("s"));
  });
  script_.on["go"] = Do([&] {
    return M::NextState("b").PushCallbackModule(std::make_unique<ScriptModule>(&script_, "M2"));
  });
  Run([&](Self& t) -> Task<void> {
    StartOptions logged = Linked();
    logged.debug = {DebugOption::Log(30), DebugOption::Statistics()};
    Pid p = co_await StartOk(t, logged);
    t.Cast(p, Word("p"));
    EXPECT_TRUE((co_await gen_statem::Call(t, p, Word("x"))).ok());
    absl::StatusOr<std::vector<SysEvent>> log = co_await sys::GetLog(t, p);
    CO_ASSERT(log.ok());
    EXPECT_THAT(
        Lines(*log),
        ElementsAre(
            "enter banyan::ScriptMachine state a", "consume internal state a next a",
            "in cast \"p\" state a", "postpone cast \"p\" state a next a", "in call \"x\" state a",
            "out \"r\"", "in internal \"i\" state a", "consume call \"x\" state a next a",
            "start_timer state_timeout \"s\" in 0 state a", "consume internal \"i\" state a next a",
            "in state_timeout \"s\" state a", "consume state_timeout \"s\" state a next a"));
    absl::StatusOr<std::optional<SysStatistics>> counts = co_await sys::GetStatistics(t, p);
    CO_ASSERT(counts.ok() && *counts);
    EXPECT_EQ((*counts)->messages_in, 4u) << "inserted events and timeouts count";
    EXPECT_EQ((*counts)->messages_out, 1u);
    t.Cast(p, Word("go"));
    co_await t.Sleep(Ms(1));
    log = co_await sys::GetLog(t, p);
    CO_ASSERT(log.ok());
    std::vector<std::string> lines = Lines(*log);
    EXPECT_THAT(
        std::vector(lines.begin() + 12, lines.end()),
        ElementsAre("in cast \"go\" state a", "module banyan::ScriptModule state b",
                    "consume cast \"go\" state a next b", "postpone cast \"p\" state b next b"));
  });
}

}  // namespace
}  // namespace banyan
