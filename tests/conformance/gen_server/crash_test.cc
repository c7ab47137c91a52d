// Servers that fail, and what is reported: GS-012, GS-048 to GS-051, GS-053, GS-056, GS-057,
// GS-125. spec/gen_server.md 4, 7.
#include "common/base/error.h"
#include "server/runtime/process_exit.h"
#include "tests/conformance/gen_server/server.h"

namespace banyan {
namespace {

class GsCrash : public GenServerTest {
 protected:
  class Reports : public ProcessReports {
   public:
    void OnCrash(Pid, const std::string& module, const ExitReason& reason) override {
      crashes.push_back(module + ": " + reason.ToString());
    }
    void OnWarning(Pid, const std::string& module, const std::string& text) override {
      warnings.push_back(module + ": " + text);
    }
    std::vector<std::string> crashes, warnings;
  };

  // O of spec/gen_server.md 15.1: nothing but what a module must have, or continues at once.
  class Bare : public GenServer {
   public:
    explicit Bare(bool continues) : continues_(continues) {}
    Task<InitResult> Init(std::vector<Payload>) override {
      if (continues_) return Ok().Continue(Word("continue"));
      return Ok();
    }
    Task<CallResult> HandleCall(Payload request, CallFrom) override { return NotHandled(request); }
    Task<Result> HandleCast(Payload) override { return NoReply(); }

   private:
    bool continues_;
  };

  GsCrash() { host_.reports = &reports_; }

  Task<Pid> StartBare(Self& t, bool continues = false) {
    StartOptions o = Linked();
    o.module = "bare";
    StartResult r = co_await StartBehaviour(
        t, [continues] { return std::make_unique<Bare>(continues); }, {}, o);
    co_return r.pid;
  }
  // The exit reason that a caller learns.
  static Task<ExitReason> CalleeExit(Self& t, Pid p, std::string word) {
    absl::StatusOr<Payload> r = co_await t.Call(p, Word(std::move(word)));
    EXPECT_EQ(ErrorReason(r.status()), "CALLEE_EXITED");
    std::optional<ErrorInfo> info = GetErrorInfo(r.status());
    co_return info && info->exit_reason ? *info->exit_reason : ExitReason::Normal();
  }

  Reports reports_;
};

TEST_F(GsCrash, GS012CleanAndAbnormalEndsOfACall) {
  const ExitReason detail = ExitReason::Shutdown(Payload::Any("test", "reason"));
  script_.call = [detail](S&, std::string word, CallFrom) -> Task<CallResult> {
    if (word == "exit_shutdown") throw ProcessExit(ExitReason::Shutdown());
    if (word == "shutdown_reason") throw ProcessExit(detail);
    if (word == "stop_shutdown") return S::Stop(ExitReason::Shutdown());
    if (word == "stop_shutdown_reason") return S::Stop(detail);
    throw ProcessExit(ExitReason::Error("crashed"));
  };
  Run([&](Self& t) -> Task<void> {
    for (auto [word, want] :
         {std::pair<std::string, ExitReason>("exit_shutdown", ExitReason::Shutdown()),
          {"shutdown_reason", detail},
          {"stop_shutdown", ExitReason::Shutdown()},
          {"stop_shutdown_reason", detail}}) {
      script_.trace.clear();
      Pid p = co_await StartOk(t);
      EXPECT_EQ(co_await CalleeExit(t, p, word), want);
      EXPECT_EQ(co_await ExitOf(t, p), want);
      EXPECT_THAT(script_.trace,
                  testing::ElementsAre("call " + word, "terminate " + want.ToString()));
    }
    EXPECT_THAT(reports_.crashes, testing::IsEmpty()) << "clean ends are not reported";
    Pid p = co_await StartOk(t);
    EXPECT_EQ(co_await CalleeExit(t, p, "crash"), ExitReason::Error("crashed"));
    EXPECT_THAT(reports_.crashes, testing::ElementsAre("script: error crashed"));
  });
}

TEST_F(GsCrash, GS050AnUnexpectedMessageIsAWarning) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartBare(t);
    t.Send(p, Payload::Any("type.googleapis.com/test.Hej", ""));
    EXPECT_EQ(ErrorReason((co_await t.Call(p, Word("x"))).status()), "CALL_NOT_HANDLED");
    EXPECT_TRUE(rt_->IsAlive(p));
    EXPECT_THAT(reports_.warnings,
                testing::ElementsAre("bare: unexpected message test.Hej dropped"));
  });
}

TEST_F(GsCrash, GS051AContinueThatNobodyHandlesIsUndef) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartBare(t, true);
    std::optional<ExitReason> end = co_await ExitOf(t, p);
    CO_ASSERT(end);
    EXPECT_EQ(end->type(), "undef");
    EXPECT_THAT(end->message(), testing::HasSubstr("HandleContinue"));
  });
}

TEST_F(GsCrash, GS053ACodeChangeThatNobodyHandlesIsRefused) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartBare(t);
    EXPECT_TRUE((co_await sys::Suspend(t, p)).ok());
    absl::Status change = co_await sys::ChangeCode(t, p, {});
    EXPECT_EQ(ErrorReason(change), "CODE_CHANGE_UNSUPPORTED");
    EXPECT_TRUE((co_await sys::Resume(t, p)).ok());
    EXPECT_EQ(ErrorReason((co_await t.Call(p, Word("x"))).status()), "CALL_NOT_HANDLED");
  });
}

TEST_F(GsCrash, GS056ACrashInTerminateReplacesTheReason) {
  script_.terminate = [](S&, ExitReason) -> Task<void> {
    std::function<void()> undefined;
    undefined();
    return Task<void>();
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    absl::Status stop = co_await sys::Stop(t, p);
    EXPECT_EQ(GetErrorInfo(stop)->exit_reason->type(), "std::bad_function_call");
    EXPECT_THAT(reports_.crashes,
                testing::ElementsAre(testing::StartsWith("script: error std::bad_function_call")));
  });
}

TEST_F(GsCrash, GS057ACrashInHandleInfoEndsTheServer) {
  script_.info = [](S&, Message) -> Task<Step> {
    std::function<void()> undefined;
    undefined();
    return S::NoReply();
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    t.Send(p, Word("x"));
    EXPECT_EQ((co_await ExitOf(t, p))->type(), "std::bad_function_call");
  });
}

TEST_F(GsCrash, GS125OneCrashReportForAbnormalEnds) {
  Run([&](Self& t) -> Task<void> {
    for (const ExitReason& why :
         {ExitReason::Error("boom"), ExitReason::Shutdown(), ExitReason::Normal()}) {
      script_.cast = [why](S&, std::string) -> Task<Step> { return S::Stop(why); };
      Pid p = co_await StartOk(t);
      t.Cast(p, Word("stop"));
      EXPECT_EQ(co_await ExitOf(t, p), why);
      script_.init = [why](S&, auto) -> Task<Init> { return S::Stop(why); };
      co_await StartIt(t);
      script_.init = [why](S&, auto) -> Task<Init> { throw ProcessExit(why); };
      co_await StartIt(t);
      script_.init = nullptr;
    }
    script_.init = [](S&, auto) -> Task<Init> { return S::Ignore(); };
    co_await StartIt(t);
    script_.init = [](S& s, auto) -> Task<Init> {
      co_await s.self().Sleep(absl::Hours(1));
      co_return S::Ok();
    };
    StartOptions o = Linked();
    o.timeout = absl::Seconds(1);
    co_await StartIt(t, o);
  });
  EXPECT_THAT(reports_.crashes, testing::ElementsAre("script: error boom", "script: error boom",
                                                     "script: error boom"));
}

}  // namespace
}  // namespace banyan
