// A start that is acknowledged before initialisation is over: INI-009, INI-010; PL-105.
// spec/gen_server.md 14.4.
#include "server/behaviours/enter_loop.h"
#include "tests/conformance/gen_server/server.h"
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

// A module "early": (a) checks, (b) acknowledges, (c) goes on for a second, (d) is a server.
class EarlyAck : public SupervisorTest {
 protected:
  using S = ScriptServer;
  EarlyAck() {
    modules_.AddFunction("early", [this](Self& starter, StartSpec spec, StartContext context) {
      StartBody body = [this](Self& self, StartAck ack) { return Early(self, std::move(ack)); };
      return StartProcess(starter, std::move(body), StartOptionsOf(spec, context));
    });
  }
  Task<ExitReason> Early(Self& self, StartAck ack) {
    if (check_fails_) co_return ExitReason::Error("bad_config");
    ack.Started();
    co_await self.Sleep(absl::Seconds(1));
    if (fails_left_ > 0) {
      --fails_left_;
      throw std::runtime_error("phase c");
    }
    EnterOptions options;
    options.name = "early";
    co_return co_await EnterLoop(self, std::move(ack), std::make_unique<S>(&script_), options);
  }
  static ChildSpec EarlyChild() {
    ChildSpec child = Child("c", "early");
    child.start.name = "early";
    return child;
  }

  S::Script script_;
  bool check_fails_ = false;
  int fails_left_ = 0;
};

TEST_F(EarlyAck, INI009AFailureAfterTheAckIsACrash) {
  fails_left_ = 1;
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    Instant before = t.Now();
    OpResult r = co_await StartChild(t, s, EarlyChild());
    EXPECT_EQ(r.code, Code::kOk);
    EXPECT_EQ(t.Now(), before) << "the start does not wait for phase (c)";
    EXPECT_EQ(co_await DownOf(t, r.pid), ExitReason::Error("std::runtime_error", "phase c"));
    co_await Settle(t);
    Pid second = co_await PidOf(t, s, "c");
    EXPECT_TRUE(second.valid());
    EXPECT_NE(second, r.pid);
    // Messages that come in phase (c) wait.
    absl::StatusOr<Payload> answer = co_await t.CallName("early", Word("hi"));
    EXPECT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(t.Now() - before, absl::Seconds(2));
  });
}

TEST_F(EarlyAck, INI009TooManyOfThemEndTheSupervisor) {
  fails_left_ = 100;
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    EXPECT_EQ((co_await StartChild(t, s, EarlyChild())).code, Code::kOk);
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
  });
  EXPECT_EQ(fails_left_, 97) << "intensity 2: three lives";
}

TEST_F(EarlyAck, INI010AFailureBeforeTheAckIsAFailedStart) {
  check_fails_ = true;
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 0, 1));
    OpResult r = co_await StartChild(t, s, EarlyChild());
    EXPECT_EQ(r.code, Code::kStartFailed);
    EXPECT_EQ(r.reason, ExitReason::Error("bad_config"));
    EXPECT_FALSE(rt_->Whereis("early"));
    EXPECT_TRUE(rt_->IsAlive(s)) << "a failed start is no restart";
  });
}

TEST_F(EarlyAck, ParentExitInPhaseCIsServedByTheLoop) {
  Run([&](Self& t) -> Task<void> {
    StartBody body = [this](Self& self, StartAck ack) {
      self.SetTrapExit(true);
      return Early(self, std::move(ack));
    };
    StartOptions o;
    o.name = "early";
    StartResult r = co_await StartProcess(t, body, o);
    Instant before = t.Now();
    t.Exit(r.pid, ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, r.pid), ExitReason::Shutdown());
    EXPECT_EQ(t.Now() - before, absl::Seconds(1));
    EXPECT_THAT(script_.trace, testing::ElementsAre("terminate shutdown"));
  });
}

}  // namespace
}  // namespace banyan
