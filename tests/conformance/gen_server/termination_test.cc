// When and how servers end: GS-054 to GS-056, GS-107, GS-121 to GS-123; sections 7, 8, 11.
#include "common/base/error.h"
#include "tests/conformance/gen_server/server.h"

namespace banyan {
namespace {

class GsTermination : public GenServerTest {};

class Crashes : public ProcessReports {
 public:
  void OnCrash(Pid, const std::string& module, const ExitReason& reason) override {
    seen.push_back(module + ": " + reason.ToString());
  }
  std::vector<std::string> seen;
};

TEST_F(GsTermination, GS055And122And123Stop) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    absl::Status self = co_await sys::Stop(t, t.pid());
    EXPECT_EQ(ErrorReason(self), "CALLING_SELF");
    EXPECT_TRUE((co_await sys::Stop(t, p, ExitReason::Error("test"))).ok());
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Error("test"));
    EXPECT_THAT(script_.trace, testing::ElementsAre("terminate error test")) << "not trapping";
    absl::Status gone = co_await sys::Stop(t, p);
    EXPECT_EQ(ErrorReason(gone), "NOPROC");
    p = co_await StartOk(t);
    EXPECT_TRUE((co_await sys::Suspend(t, p)).ok());
    EXPECT_TRUE((co_await sys::Stop(t, p)).ok());
  });
}

TEST_F(GsTermination, GS121StopOfAServerThatEndsOtherwise) {
  Run([&](Self& t) -> Task<void> {
    script_.terminate = [](S& s, ExitReason) -> Task<void> {
      co_await s.self().ExitSelf(ExitReason::Error("tc"));
    };
    Pid p = co_await StartOk(t);
    absl::Status other = co_await sys::Stop(t, p);
    EXPECT_EQ(*GetErrorInfo(other)->exit_reason, ExitReason::Error("tc"));
    script_.terminate = [](S& s, ExitReason) -> Task<void> {
      co_await s.self().Sleep(absl::Milliseconds(300));
    };
    p = co_await StartOk(t);
    absl::Status late = co_await sys::Stop(t, p, {}, absl::Milliseconds(50));
    EXPECT_EQ(ErrorReason(late), "CALL_TIMEOUT");
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Normal());
  });
}

TEST_F(GsTermination, GS107KillRunsNoTerminate) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S& s, auto) -> Task<Init> {
      s.self().SetTrapExit(true);
      return S::Ok();
    };
    Pid p = co_await StartOk(t);
    t.Exit(p, ExitReason::Kill());
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Killed());
    EXPECT_THAT(script_.trace, testing::IsEmpty());
  });
}

TEST_F(GsTermination, AnExitSignalUnwindsASuspendedCallback) {
  Run([&](Self& t) -> Task<void> {
    bool unwound = false;
    script_.call = [&](S& s, std::string, CallFrom) -> Task<CallResult> {
      struct OnExit {
        bool* flag;
        ~OnExit() { *flag = true; }
      } guard{&unwound};
      co_await s.self().Sleep(absl::Hours(1));
      co_return S::NoReply();
    };
    Pid p = co_await StartOk(t);
    t.SendRequest(p, Word("x"));
    co_await t.Sleep(absl::Seconds(1));
    EXPECT_FALSE(unwound);
    t.Exit(p, ExitReason::Error("foo"));
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Error("foo"));
    EXPECT_TRUE(unwound);
  });
}

TEST_F(GsTermination, GS125OneCrashReportForAbnormalEnds) {
  Crashes crashes;
  host_.reports = &crashes;
  Run([&](Self& t) -> Task<void> {
    for (const ExitReason& why :
         {ExitReason::Error("boom"), ExitReason::Shutdown(), ExitReason::Normal()}) {
      script_.cast = [why](S&, std::string) -> Task<Step> { return S::Stop(why); };
      Pid p = co_await StartOk(t);
      t.Cast(p, Word("stop"));
      EXPECT_EQ(co_await ExitOf(t, p), why);
      script_.init = [why](S&, auto) -> Task<Init> { return S::Stop(why); };
      co_await StartIt(t);
      script_.init = nullptr;
    }
  });
  EXPECT_THAT(crashes.seen, testing::ElementsAre("script: error boom", "script: error boom"));
}

}  // namespace
}  // namespace banyan
