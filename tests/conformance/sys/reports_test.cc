// What is reported of ends: SYS-080 to SYS-083, SYS-085, SYS-086. spec/sys.md 8.1, 11.
#include "server/behaviours/crash_report.h"
#include "tests/conformance/sys/subject.h"
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Reports : public ProcessReports, public SupervisorEvents {
 public:
  void OnCrashReport(const CrashReport& report) override { crashes.push_back(report); }
  void OnReport(Pid, const std::string&, const SupervisorReport& report) override {
    using Context = SupervisorReport::Context;
    const char* what = report.context == Context::kStartError        ? "start_error "
                       : report.context == Context::kChildTerminated ? "child_terminated "
                       : report.context == Context::kProgress        ? "progress "
                                                                     : "other ";
    supervisor.push_back(
        what + (report.spec ? report.spec->id : std::string()) +
        (report.context == Context::kProgress ? "" : " " + report.reason.ToString()));
  }
  std::vector<CrashReport> crashes;
  std::vector<std::string> supervisor;
};

class SysReports : public SysTest {
 protected:
  SysReports() { host_.reports = &reports_; }
  Reports reports_;
};

TEST_F(SysReports, SYS080ACrashInACall) {
  script_.call = [](S&, std::string, CallFrom) -> Task<CallResult> {
    throw std::runtime_error("in the call");
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t, Linked("server"));
    EXPECT_TRUE((co_await sys::Debug(t, p, DebugOption::Log())).ok());
    EXPECT_EQ(ErrorOf(co_await t.Call(p, Word("boom"))), "CALLEE_EXITED");
    CO_ASSERT(reports_.crashes.size() == 1);
    const CrashReport& r = reports_.crashes[0];
    EXPECT_EQ(r.pid, p);
    EXPECT_EQ(r.module, "script");
    EXPECT_EQ(r.name, "server");
    EXPECT_EQ(r.engine, "generic server");
    EXPECT_EQ(r.reason, ExitReason::Error("std::runtime_error", "in the call"));
    EXPECT_EQ(r.view.reason, r.reason);
    EXPECT_EQ(TextOf(r.view.state), "state");
    EXPECT_EQ(TextOf(r.view.message), "boom");
    CO_ASSERT(r.view.log.size() == 1);
    EXPECT_EQ(r.view.log[0].peer, t.pid()) << "who called";
  });
}

TEST_F(SysReports, SYS081CleanEndsAreNotReported) {
  ExitReason why;
  script_.cast = [&](S&, std::string) -> Task<Step> { return S::Stop(why); };
  Run([&](Self& t) -> Task<void> {
    for (ExitReason reason :
         {ExitReason::Shutdown(), ExitReason::Shutdown(Word("x")), ExitReason::Normal()}) {
      why = reason;
      Pid p = co_await StartSubject(t);
      t.Cast(p, Word("end"));
      EXPECT_EQ(co_await ExitOf(t, p), reason);
    }
    Pid p = co_await StartSubject(t);
    t.Exit(p, ExitReason::Kill());
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Killed());
    EXPECT_THAT(reports_.crashes, IsEmpty()) << "a signal's victim is its supervisor's to report";
  });
}

TEST_F(SysReports, SYS083InitStops) {
  script_.init = [](S&, auto) -> Task<Init> { return S::Stop(ExitReason::Error("r")); };
  Run([&](Self& t) -> Task<void> {
    co_await StartIt(t);
    CO_ASSERT(reports_.crashes.size() == 1);
    EXPECT_EQ(reports_.crashes[0].reason, ExitReason::Error("r"));
    EXPECT_TRUE(reports_.crashes[0].view.state.empty()) << "it has none yet";
  });
}

TEST_F(SysReports, SYS086FormatStatusHidesTheState) {
  hooks_.format_status = [](StatusView& view) {
    view.state = Word("hidden");
    view.message = Word("hidden too");
    view.items["hint"] = "none";
  };
  script_.cast = [](S&, std::string) -> Task<Step> { throw std::runtime_error("secret?"); };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    absl::StatusOr<SysStatus> status = co_await sys::GetStatus(t, p);
    EXPECT_EQ(TextOf(status->state), "hidden");
    EXPECT_EQ(co_await StateOf(t, p), "state") << "get_state is for those who may";
    t.Cast(p, Word("secret"));
    co_await ExitOf(t, p);
    CO_ASSERT(reports_.crashes.size() == 1);
    EXPECT_EQ(TextOf(reports_.crashes[0].view.state), "hidden");
    EXPECT_EQ(TextOf(reports_.crashes[0].view.message), "hidden too");
    EXPECT_EQ(reports_.crashes[0].view.items.at("hint"), "none");
  });
}

TEST_F(SysReports, AFailingFormatStatusLeavesANoteInTheReport) {
  hooks_.format_status = [](StatusView&) { throw std::runtime_error("format"); };
  script_.cast = [](S&, std::string) -> Task<Step> { throw std::runtime_error("crash"); };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    t.Cast(p, Word("c"));
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Error("std::runtime_error", "crash"));
    CO_ASSERT(reports_.crashes.size() == 1);
    EXPECT_TRUE(reports_.crashes[0].view.state.empty()) << "it may be there to hide secrets";
    EXPECT_EQ(reports_.crashes[0].view.reason, reports_.crashes[0].reason);
    EXPECT_THAT(reports_.crashes[0].view.items.at("note"), testing::HasSubstr("format"));
  });
}

TEST_F(SysReports, SYS085ABareProcessIsNotReported) {
  Run([&](Self& t) -> Task<void> {
    absl::StatusOr<SpawnResult> error =
        t.Spawn([](Self&) -> Task<ExitReason> { throw std::runtime_error("bare"); }, {});
    EXPECT_EQ(co_await DownOf(t, error->pid), ExitReason::Error("std::runtime_error", "bare"));
    EXPECT_THAT(reports_.crashes, IsEmpty());
  });
}

class SysSupervisorReports : public SupervisorTest {
 protected:
  SysSupervisorReports() {
    host_.reports = &reports_;
    host_.supervisor_events = &reports_;
  }
  Reports reports_;
};

TEST_F(SysSupervisorReports, SYS082AKilledChild) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5, {Child("c", "w1")}));
    Pid c = co_await PidOf(t, s, "c");
    reports_.supervisor.clear();
    t.Exit(c, ExitReason::Kill());
    co_await Settle(t);
    EXPECT_THAT(reports_.supervisor, ElementsAre("child_terminated c killed", "progress c"));
    EXPECT_THAT(reports_.crashes, IsEmpty());
  });
}

}  // namespace
}  // namespace banyan
