// Statistics, log, trace, installed functions: SYS-030 to SYS-048, SYS-051. spec/sys.md 4, 5, 10.
#include <algorithm>
#include <fstream>

#include "tests/conformance/sys/subject.h"
#include "tests/support/temp_dir.h"

namespace banyan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class SysDebugging : public SysTest {
 protected:
  SysDebugging() {
    script_.cast = [](S& s, std::string word) -> Task<Step> {
      s.state = word;
      return S::NoReply();
    };
  }
  static Task<void> Set(Self& t, Pid p, DebugOption option) {
    absl::Status status = co_await sys::Debug(t, p, std::move(option));
    EXPECT_TRUE(status.ok()) << status;
  }
  // The log without pids: "in cast 1", "noreply", "out k".
  static Task<std::vector<std::string>> LogOf(Self& t, Pid p) {
    absl::StatusOr<std::vector<SysEvent>> log = co_await sys::GetLog(t, p);
    EXPECT_TRUE(log.ok()) << log.status();
    std::vector<std::string> lines;
    for (const SysEvent& e : *log) lines.push_back(Short(e));
    co_return lines;
  }
  static std::string Short(const SysEvent& e) {
    std::string line(SysEventKindName(e.kind));
    if (!e.type.empty()) line += " " + e.type;
    if (!e.content.empty()) line += " " + TextOf(e.content);
    return line;
  }
  static Task<std::optional<SysStatistics>> StatisticsOf(Self& t, Pid p) {
    absl::StatusOr<std::optional<SysStatistics>> s = co_await sys::GetStatistics(t, p);
    EXPECT_TRUE(s.ok()) << s.status();
    co_return *s;
  }
  // fn(N, Event, _) -> N + 1, writing "ID N event" down.
  DebugOption Counting(std::string id, int from) {
    DebugFunction fn = [this, id](Payload state, const SysEvent& e,
                                  const DebugInfo&) -> std::optional<Payload> {
      const int n = *state.As<int>();
      seen_.push_back(id + " " + std::to_string(n) + " " + Short(e));
      return Payload::Local(n + 1);
    };
    return DebugOption::Install(id, std::move(fn), Payload::Local(from));
  }

  std::vector<std::string> seen_;
};

TEST_F(SysDebugging, SYS030To033Statistics) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    EXPECT_FALSE((co_await StatisticsOf(t, p)).has_value());
    co_await Set(t, p, DebugOption::Statistics());
    const absl::Time on = time_.WallNow();
    (void)co_await t.Call(p, Word("k"));
    t.Cast(p, Word("c"));
    t.Send(p, Word("i"));
    co_await t.Sleep(Ms(10));
    for (int i = 0; i < 2; ++i) {
      std::optional<SysStatistics> s = co_await StatisticsOf(t, p);
      CO_ASSERT(s.has_value());
      EXPECT_EQ(s->messages_in, 3u);
      EXPECT_EQ(s->messages_out, 1u);
      EXPECT_GT(s->reductions, 0u);
      EXPECT_EQ(s->start_time, on);
      EXPECT_EQ(s->current_time, time_.WallNow());
      co_await Set(t, p, DebugOption::Statistics());  // SYS-032: on already
    }
    co_await Set(t, p, DebugOption::Statistics(false));
    EXPECT_FALSE((co_await StatisticsOf(t, p)).has_value()) << "SYS-033";
  });
}

TEST_F(SysDebugging, SYS034To039Log) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    EXPECT_THAT(co_await LogOf(t, p), IsEmpty()) << "SYS-034";
    co_await Set(t, p, DebugOption::Log(3));
    for (const char* c : {"1", "2", "3", "4"}) t.Cast(p, Word(c));
    (void)co_await t.Call(p, Word("k"));
    EXPECT_THAT(co_await LogOf(t, p), ElementsAre("noreply", "in call k", "out k")) << "SYS-035";
    co_await Set(t, p, DebugOption::Log(5));
    EXPECT_THAT(co_await LogOf(t, p), ElementsAre("noreply", "in call k", "out k")) << "SYS-036";
    co_await Set(t, p, DebugOption::Log());
    for (int i = 1; i <= 10; ++i) t.Cast(p, Word(std::to_string(i)));
    EXPECT_THAT(co_await LogOf(t, p),
                ElementsAre("in cast 6", "noreply", "in cast 7", "noreply", "in cast 8", "noreply",
                            "in cast 9", "noreply", "in cast 10", "noreply"))
        << "SYS-037";
    co_await Set(t, p, DebugOption::Log(2));
    EXPECT_THAT(co_await LogOf(t, p), ElementsAre("in cast 10", "noreply")) << "the newest";
    absl::Status none = co_await sys::Debug(t, p, DebugOption::Log(0));
    EXPECT_EQ(ErrorOf(none), "REQUEST_INVALID") << "SYS-038";
    EXPECT_THAT(co_await LogOf(t, p), ElementsAre("in cast 10", "noreply"));
    co_await Set(t, p, DebugOption::LogOff());
    t.Cast(p, Word("x"));
    EXPECT_THAT(co_await LogOf(t, p), IsEmpty()) << "SYS-039";
  });
}

TEST_F(SysDebugging, SYS040LogToFile) {
  TempDir dir;
  auto lines = [](const std::string& path) {
    std::ifstream in(path);
    std::vector<std::string> out;
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  };
  const std::string good = dir.path() + "/log", second = dir.path() + "/second";
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t, Linked("s"));
    co_await Set(t, p, DebugOption::LogToFile(good));
    t.Cast(p, Word("1"));
    (void)co_await t.Call(p, Word("k"));
    const std::string me = FormatPid(t.pid());
    EXPECT_THAT(lines(good),
                ElementsAre("*DBG* s in cast \"1\" from " + me, "*DBG* s noreply",
                            "*DBG* s in call \"k\" from " + me, "*DBG* s out \"k\" to " + me));
    co_await Set(t, p, DebugOption::LogToFile(second));
    t.Cast(p, Word("2"));
    absl::Status bad = co_await sys::Debug(t, p, DebugOption::LogToFile(dir.path() + "/no/such"));
    EXPECT_EQ(ErrorOf(bad), "REQUEST_INVALID");
    EXPECT_THAT(std::string(bad.message()), testing::HasSubstr("open_file"));
    t.Cast(p, Word("3"));
    EXPECT_EQ(co_await StateOf(t, p), "3");
    EXPECT_EQ(lines(good).size(), 4u) << "closed by the second";
    EXPECT_EQ(lines(second).size(), 2u) << "closed by the failure";
    co_await Set(t, p, DebugOption::LogToFile(good));
    EXPECT_EQ(lines(good).size(), 0u) << "truncated";
    co_await Set(t, p, DebugOption::LogToFileOff());
    t.Cast(p, Word("4"));
    EXPECT_EQ(co_await StateOf(t, p), "4");
    EXPECT_EQ(lines(good).size(), 0u);
  });
}

TEST_F(SysDebugging, SYS041And042InstalledFunctions) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    co_await Set(t, p, Counting("f", 0));
    t.Cast(p, Word("z"));
    (void)co_await t.Call(p, Word("y"));
    EXPECT_THAT(seen_, ElementsAre("f 0 in cast z", "f 1 noreply", "f 2 in call y", "f 3 out y"));
    seen_.clear();
    co_await Set(t, p, Counting("f", 50));
    t.Cast(p, Word("w"));
    EXPECT_EQ(co_await StateOf(t, p), "w") << "no event of its own";
    EXPECT_THAT(seen_, ElementsAre("f 4 in cast w", "f 5 noreply")) << "SYS-042";
  });
}

TEST_F(SysDebugging, AnInstalledFunctionSeesTheStateOfTheMoment) {
  std::vector<std::string> states;
  DebugFunction look = [&](Payload state, const SysEvent&, const DebugInfo& info) {
    states.push_back(std::string(info.name) + " " + TextOf(*info.behaviour.GetState()));
    return std::optional<Payload>(state);
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t, Linked("s"));
    co_await Set(t, p, DebugOption::Install("look", look));
    t.Cast(p, Word("new"));
    co_await t.Sleep(Ms(1));
    EXPECT_THAT(states, ElementsAre("s state", "s new"));
  });
}

TEST_F(SysDebugging, SYS043To045HowAFunctionEnds) {
  int calls = 0;
  auto install = [&calls](std::function<std::optional<Payload>()> how) {
    return DebugOption::Install("f", [&calls, how](Payload, const SysEvent&, const DebugInfo&) {
      ++calls;
      return how();
    });
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    std::vector<int> states;
    DebugFunction throws = [&](Payload state, const SysEvent&,
                               const DebugInfo&) -> std::optional<Payload> {
      states.push_back(*state.As<int>());
      throw Payload::Local(99);
    };
    co_await Set(t, p, DebugOption::Install("t", throws, Payload::Local(1)));
    t.Cast(p, Word("a"));
    co_await Set(t, p, DebugOption::Remove("t"));
    EXPECT_THAT(states, ElementsAre(1, 99)) << "SYS-043";
    co_await Set(t, p, install([]() -> std::optional<Payload> { return std::nullopt; }));
    t.Cast(p, Word("b"));
    EXPECT_EQ(co_await StateOf(t, p), "b");
    EXPECT_EQ(calls, 1) << "SYS-044: done";
    co_await Set(t, p, install([]() -> std::optional<Payload> { throw std::runtime_error("f"); }));
    t.Cast(p, Word("c"));
    EXPECT_EQ(co_await StateOf(t, p), "c") << "SYS-045: the server is unharmed";
    EXPECT_EQ(calls, 2);
  });
}

TEST_F(SysDebugging, SYS046And047SeveralFunctionsAndNoDebug) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    co_await Set(t, p, Counting("id1", 0));
    co_await Set(t, p, Counting("id2", 100));
    t.Cast(p, Word("a"));
    co_await Set(t, p, DebugOption::Remove("id1"));
    EXPECT_THAT(seen_, ElementsAre("id2 100 in cast a", "id1 0 in cast a", "id2 101 noreply",
                                   "id1 1 noreply"));
    co_await Set(t, p, DebugOption::Remove("unknown"));
    seen_.clear();
    t.Cast(p, Word("b"));
    co_await Set(t, p, DebugOption::Log());
    EXPECT_THAT(seen_, ElementsAre("id2 102 in cast b", "id2 103 noreply"));
    seen_.clear();
    co_await Set(t, p, DebugOption::Statistics());
    co_await Set(t, p, DebugOption::Of(DebugOption::Kind::kNoDebug));
    t.Cast(p, Word("c"));
    EXPECT_THAT(co_await LogOf(t, p), IsEmpty());
    EXPECT_FALSE((co_await StatisticsOf(t, p)).has_value());
    EXPECT_THAT(seen_, IsEmpty());
    absl::StatusOr<SysStatus> status = co_await sys::GetStatus(t, p);
    EXPECT_THAT(status->debug, IsEmpty());
  });
}

class Warnings : public ProcessReports {
 public:
  void OnWarning(Pid, const std::string&, const std::string& text) override {
    seen.push_back(text);
  }
  std::vector<std::string> seen;
};

TEST_F(SysDebugging, SYS048OptionsAtTheStart) {
  Warnings warnings;
  host_.reports = &warnings;
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S& s, auto) -> Task<Init> {
      s.self().Cast(s.self().pid(), Word("first"));
      return S::Ok();
    };
    StartOptions options = Linked();
    options.debug = {DebugOption::Log(), DebugOption::Statistics(), DebugOption::Log(0)};
    Pid p = co_await StartSubject(t, std::move(options));
    EXPECT_THAT(co_await LogOf(t, p), ElementsAre("in cast first", "noreply"));
    EXPECT_EQ((co_await StatisticsOf(t, p))->messages_in, 1u);
    EXPECT_EQ(warnings.seen.size(), 1u);
    options = Linked();
    options.debug = {DebugOption::Of(DebugOption::Kind::kLogGet)};
    p = co_await StartSubject(t, std::move(options));
    EXPECT_EQ(co_await StateOf(t, p), "first") << "junk hurts nobody";
    EXPECT_EQ(warnings.seen.size(), 2u);
  });
}

TEST_F(SysDebugging, SYS051TraceAndPrintedLog) {
  std::string traced, printed;
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t, Linked("s"));
    testing::internal::CaptureStdout();
    co_await Set(t, p, DebugOption::Trace());
    t.Cast(p, Word("1"));
    co_await Set(t, p, DebugOption::Trace(false));
    t.Cast(p, Word("2"));
    co_await Set(t, p, DebugOption::Log());
    traced = testing::internal::GetCapturedStdout();
    t.Cast(p, Word("3"));
    testing::internal::CaptureStdout();
    co_await Set(t, p, DebugOption::Of(DebugOption::Kind::kLogPrint));
    printed = testing::internal::GetCapturedStdout();
    const std::string me = FormatPid(t.pid());
    EXPECT_EQ(traced, "*DBG* s in cast \"1\" from " + me + "\n*DBG* s noreply\n");
    EXPECT_EQ(printed, "*DBG* s in cast \"3\" from " + me + "\n*DBG* s noreply\n");
  });
}

TEST_F(SysDebugging, SYS049OffIsANullPointer) {
  std::vector<bool> debugging;
  script_.cast = [&](S& s, std::string) -> Task<Step> {
    debugging.push_back(s.debugging());
    return S::NoReply();
  };
  DebugFunction done = [](Payload, const SysEvent& e, const DebugInfo&) -> std::optional<Payload> {
    if (e.kind == SysEvent::Kind::kNoReply) return std::nullopt;
    return Payload();
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    t.Cast(p, Word("never on"));
    co_await Set(t, p, DebugOption::Log());
    t.Cast(p, Word("on"));
    co_await Set(t, p, DebugOption::LogOff());
    t.Cast(p, Word("off"));
    co_await Set(t, p, DebugOption::Remove("unknown"));
    t.Cast(p, Word("still off"));
    co_await Set(t, p, DebugOption::Install("f", done));
    t.Cast(p, Word("on"));
    t.Cast(p, Word("its function is done"));
    co_await t.Sleep(Ms(1));
    EXPECT_THAT(debugging, ElementsAre(false, true, false, false, true, false));
  });
}

TEST_F(SysDebugging, EventsAsLines) {
  SysEvent e = SysEvent::Of(SysEvent::Kind::kStartTimer);
  e.type = "state_timeout";
  e.content = Word(std::string(100, 'x'));
  e.time = absl::Seconds(2);
  e.state = "open";
  EXPECT_EQ(FormatSysEvent(e),
            "start_timer state_timeout \"" + std::string(80, 'x') + "\"... in 2s state open");
  e = SysEvent::Of(SysEvent::Kind::kTerminate);
  e.reason = ExitReason::Shutdown();
  EXPECT_EQ(FormatSysEvent(e), "terminate reason shutdown");
  EXPECT_EQ(FormatPayload(Payload::Any("type.googleapis.com/a.B", "xyz")), "a.B (26 bytes)");
  EXPECT_EQ(FormatPayload(Payload::Local(1)), "a local value");
  EXPECT_EQ(FormatPayload({}), "");
}

TEST_F(SysDebugging, ContinuationsAndTimeoutsAreEvents) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S&, auto) -> Task<Init> { return S::Ok().Continue(Word("go")); };
    script_.resume = [](S&, std::string) -> Task<Step> { return S::NoReply().Timeout(Ms(5)); };
    StartOptions options = Linked();
    options.debug = {DebugOption::Log()};
    Pid p = co_await StartSubject(t, std::move(options));
    co_await t.Sleep(Ms(10));
    EXPECT_THAT(co_await LogOf(t, p),
                ElementsAre("continue go", "noreply", "in timeout", "noreply"));
  });
}

TEST_F(SysDebugging, WhatHappensWhileSuspendedIsNoEvent) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    co_await Set(t, p, DebugOption::Log());
    EXPECT_TRUE((co_await sys::Suspend(t, p)).ok());
    t.Cast(p, Word("a"));
    EXPECT_THAT(co_await LogOf(t, p), IsEmpty());
    EXPECT_TRUE((co_await sys::Resume(t, p)).ok());
    EXPECT_THAT(co_await LogOf(t, p), ElementsAre("in cast a", "noreply"));
  });
}

}  // namespace
}  // namespace banyan
