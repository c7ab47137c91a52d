// What people see of a server: GS-039 to GS-044. spec/gen_server.md 11.
#include "common/base/error.h"
#include "server/behaviours/crash_report.h"
#include "tests/conformance/gen_server/server.h"

namespace banyan {
namespace {

class GsFormatStatus : public GenServerTest {
 protected:
  class Reports : public ProcessReports {
   public:
    void OnCrashReport(const CrashReport& report) override { seen.push_back(report); }
    std::vector<CrashReport> seen;
  };

  GsFormatStatus() {
    host_.reports = &reports_;
    script_.format = [](StatusView& view) { view.state = Word("formatted"); };
    script_.call = [](S& s, std::string word, CallFrom) -> Task<CallResult> {
      s.state = word;
      if (word == "crash") throw std::runtime_error("crashed");
      if (word == "stop") return S::StopReply(ExitReason::Normal(), Word("ok"));
      return S::Reply(Word("ok"));
    };
  }
  static Task<SysStatus> StatusOf(Self& t, Pid p) {
    absl::StatusOr<SysStatus> status = co_await sys::GetStatus(t, p);
    EXPECT_TRUE(status.ok()) << status.status();
    co_return status.ok() ? *std::move(status) : SysStatus();
  }

  Reports reports_;
};

TEST_F(GsFormatStatus, GS039StatusShowsTheFormattedState) {
  Run([&](Self& t) -> Task<void> {
    for (const char* name : {"", "server", "a name with spaces"}) {
      Pid p = co_await StartOk(t, Linked(name));
      SysStatus status = co_await StatusOf(t, p);
      EXPECT_EQ(TextOf(status.state), "formatted");
      EXPECT_EQ(status.header,
                "Status for generic server " + (*name ? std::string(name) : FormatPid(p)));
      EXPECT_EQ(TextOf(*co_await sys::GetState(t, p)), "state") << "for those who may";
    }
  });
}

TEST_F(GsFormatStatus, GS040AReportShowsTheFormattedState) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    EXPECT_EQ(ErrorReason((co_await t.Call(p, Word("crash"))).status()), "CALLEE_EXITED");
    CO_ASSERT(reports_.seen.size() == 1);
    EXPECT_EQ(TextOf(reports_.seen[0].view.state), "formatted");
    EXPECT_EQ(reports_.seen[0].reason, ExitReason::Error("std::runtime_error", "crashed"));
  });
}

TEST_F(GsFormatStatus, GS041ACrashInTerminateIsReportedWithItsOwnReason) {
  script_.terminate = [](S&, ExitReason) -> Task<void> { throw std::logic_error("terminate"); };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    EXPECT_EQ(TextOf(*co_await t.Call(p, Word("stop"))), "ok");
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Error("std::logic_error", "terminate"));
    CO_ASSERT(reports_.seen.size() == 1);
    EXPECT_EQ(reports_.seen[0].reason, ExitReason::Error("std::logic_error", "terminate"));
  });
}

TEST_F(GsFormatStatus, GS042And043AFailureHidesTheStateAndHurtsNobody) {
  Run([&](Self& t) -> Task<void> {
    for (int how : {0, 1}) {
      script_.format = [how](StatusView&) {
        if (how == 0) throw std::runtime_error("format");
        throw Word("V");
      };
      Pid p = co_await StartOk(t);
      SysStatus status = co_await StatusOf(t, p);
      EXPECT_TRUE(status.state.empty());
      EXPECT_TRUE(status.view.state.empty());
      EXPECT_THAT(status.note, testing::HasSubstr("format_status failed"));
      EXPECT_EQ(TextOf(*co_await t.Call(p, Word("x"))), "ok") << "it works on";
      EXPECT_FALSE((co_await t.Call(p, Word("crash"))).ok());
      co_await ExitOf(t, p);
      CO_ASSERT(!reports_.seen.empty());
      const CrashReport& report = reports_.seen.back();
      EXPECT_EQ(report.reason, ExitReason::Error("std::runtime_error", "crashed"));
      EXPECT_TRUE(report.view.state.empty());
      EXPECT_THAT(report.view.items.at("note"), testing::HasSubstr("format_status failed"));
    }
    EXPECT_EQ(reports_.seen.size(), 2u);
  });
}

TEST_F(GsFormatStatus, GS044EveryFieldCanBeRewritten) {
  script_.format = [](StatusView& view) {
    view.state = Word("a state");
    if (!view.message.empty()) view.message = Word("a message");
    if (view.reason) view.reason = ExitReason::Error("a_reason");
    for (SysEvent& event : view.log) event.content = Word("an event");
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    EXPECT_TRUE((co_await sys::Debug(t, p, DebugOption::Log())).ok());
    for (int i = 0; i < 2; ++i) EXPECT_TRUE((co_await t.Call(p, Word("secret"))).ok());
    SysStatus status = co_await StatusOf(t, p);
    EXPECT_EQ(TextOf(status.state), "a state");
    EXPECT_EQ(status.view.log.size(), 4u) << "a call is in and out";
    for (const SysEvent& event : status.view.log) EXPECT_EQ(TextOf(event.content), "an event");
    EXPECT_FALSE((co_await t.Call(p, Word("crash"))).ok());
    co_await ExitOf(t, p);
    CO_ASSERT(reports_.seen.size() == 1);
    const StatusView& view = reports_.seen[0].view;
    EXPECT_EQ(TextOf(view.state), "a state");
    EXPECT_EQ(TextOf(view.message), "a message");
    EXPECT_EQ(view.reason, ExitReason::Error("a_reason"));
    EXPECT_EQ(view.log.size(), 5u);
    for (const SysEvent& event : view.log) EXPECT_EQ(TextOf(event.content), "an event");
  });
}

}  // namespace
}  // namespace banyan
