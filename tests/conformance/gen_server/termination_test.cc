// When and how servers are stopped: GS-002 to GS-005, GS-054, GS-055, GS-107, GS-121 to GS-123.
// spec/gen_server.md 7, 8, 11.
#include "common/base/error.h"
#include "tests/conformance/gen_server/server.h"

namespace banyan {
namespace {

class GsTermination : public GenServerTest {};

TEST_F(GsTermination, GS002To005Stop) {
  Run([&](Self& t) -> Task<void> {
    for (const char* name : {"", "server"}) {
      for (const ExitReason& why : {ExitReason::Normal(), ExitReason::Error("other_reason")}) {
        StartOptions o = Linked(name);
        o.link = false;
        Pid p = co_await StartOk(t, o);
        EXPECT_TRUE((co_await sys::Stop(t, p, why)).ok());
        EXPECT_FALSE(rt_->IsAlive(p)) << "when it returns";
        EXPECT_FALSE(rt_->Whereis("server"));
        absl::Status again = co_await sys::Stop(t, p, why);
        EXPECT_EQ(ErrorReason(again), "NOPROC");
      }
    }
    // A bad time-out cannot be written; one that is over is a time-out, and the request counts.
    Pid p = co_await StartOk(t);
    absl::Status late = co_await sys::Stop(t, p, {}, -absl::Seconds(1));
    EXPECT_EQ(ErrorReason(late), "CALL_TIMEOUT");
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Normal());
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

TEST_F(GsTermination, GS054StopWithoutTerminate) {
  Run([&](Self& t) -> Task<void> {
    class Plain : public GenServer {
     public:
      Task<InitResult> Init(std::vector<Payload>) override { return Ok(); }
      Task<CallResult> HandleCall(Payload r, CallFrom) override { return NotHandled(r); }
      Task<Result> HandleCast(Payload) override { return NoReply(); }
    };
    StartResult r =
        co_await StartBehaviour(t, [] { return std::make_unique<Plain>(); }, {}, Linked());
    EXPECT_TRUE((co_await sys::Stop(t, r.pid)).ok());
    EXPECT_EQ(co_await ExitOf(t, r.pid), ExitReason::Normal());
  });
}

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
    EXPECT_EQ(t.mailbox_length(), 0u) << "nor a DOWN later";
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

}  // namespace
}  // namespace banyan
