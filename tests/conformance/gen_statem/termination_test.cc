// How machines end, and what is only info: ST-033, ST-043 to ST-045.
#include "server/behaviours/crash_report.h"
#include "server/runtime/process_exit.h"
#include "tests/conformance/gen_statem/machine.h"

namespace banyan {
namespace {

using testing::ElementsAre;

class StTermination : public GenStatemTest {
 protected:
  static MachineScript::Step Stops(ExitReason reason) {
    return [reason](Self&, const StatemEvent&) -> Task<R> { return R(M::Stop(reason)); };
  }
  void Trapping() {
    script_.init = [](M& m) -> Task<M::InitResult> {
      m.self().SetTrapExit(true);
      return M::Ok("a");
    };
  }
};

TEST_F(StTermination, ST033HowACallbackMayEndTheMachine) {
  struct Case {
    MachineScript::Step step;
    std::string reason;
  };
  for (const Case& c : {
           Case{[](Self&, const StatemEvent&) -> Task<R> { throw std::runtime_error("boom"); },
                "error std::runtime_error: boom"},
           Case{[](Self& self, const StatemEvent&) -> Task<R> {
                  co_await self.Sleep(absl::Milliseconds(1));
                  throw ProcessExit(ExitReason::Error("bye"));
                },
                "error bye"},
           Case{Stops(ExitReason::Normal()), "normal"},
           Case{Stops(ExitReason::Shutdown(Payload::Any("x", "x"))), "shutdown"},
       }) {
    script_.trace.clear();
    script_.on["go"] = c.step;
    ExitReason end = EndOf({"go", "2"});
    EXPECT_THAT(end.ToString(), testing::StartsWith(c.reason));
    EXPECT_THAT(script_.trace, ElementsAre("go@a", "terminate " + end.ToString() + "@a"));
  }
}

TEST_F(StTermination, ST033ATerminateThatFailsReplacesTheReason) {
  script_.on["go"] = Stops(ExitReason::Normal());
  script_.terminate = [](M&, ExitReason) -> Task<void> { throw std::runtime_error("late"); };
  EXPECT_EQ(EndOf({"go"}).message(), "late");
}

TEST_F(StTermination, ReportsShowTheEventAndWhatWaits) {
  class Reports : public ProcessReports {
   public:
    void OnCrashReport(const CrashReport& report) override { views.push_back(report.view); }
    std::vector<StatusView> views;
  } reports;
  host_.reports = &reports;
  script_.on["p"] = Postponed();
  script_.on["go"] = Do([] { return M::KeepState().NextEvent(Word("i")).NextEvent(Word("j")); });
  script_.on["i"] = [](Self&, const StatemEvent&) -> Task<R> { throw std::runtime_error("boom"); };
  EndOf({"p", "go"});
  ASSERT_EQ(reports.views.size(), 1u);
  StatusView& view = reports.views[0];
  EXPECT_EQ(view.state_name, "a");
  EXPECT_EQ(view.items["queue"], "internal \"i\", internal \"j\"");
  EXPECT_EQ(view.items["postponed"], "cast \"p\"");
}

TEST_F(StTermination, ST043WhatLooksLikeATimeoutIsInfo) {
  script_.on["go"] = Do([] { return M::KeepState().StateTimeout(Ms(10)); });
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    auto forged = std::make_unique<Signal>(SignalKind::kMessage);
    forged->from = t.pid();
    forged->to = p;
    forged->ref = 7;
    forged->payload = Word("state_timeout");
    t.runtime().Enqueue(std::move(forged));
    t.Send(p, Word("plain"));
    co_await t.Sleep(Ms(1));
    t.Cast(p, Word("go"));
    co_await t.Sleep(Ms(20));
  });
  EXPECT_THAT(Callbacks(),
              ElementsAre("info state_timeout@a", "info plain@a", "go@a", "state_timeout@a"));
}

TEST_F(StTermination, ST044TrappingExits) {
  Trapping();
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    ProcessMain other = [p](Self& self) -> Task<ExitReason> {
      self.Link(p);
      co_return ExitReason::Error("zz");
    };
    EXPECT_TRUE(t.Spawn(std::move(other), {}).ok());
    co_await t.Sleep(Ms(1));
    EXPECT_THAT(Callbacks(), ElementsAre("EXIT error zz@a"));
    t.Exit(p, ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Shutdown());
  });
  EXPECT_EQ(script_.trace.back(), "terminate shutdown@a");
  EXPECT_EQ(Callbacks().size(), 1u) << "the parent's exit is no event";
}

TEST_F(StTermination, ST045NotTrappingExits) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    t.Exit(p, ExitReason::Error("foo"));
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Error("foo"));
  });
  EXPECT_THAT(script_.trace, testing::IsEmpty());
}

TEST_F(StTermination, DownAndOtherMessagesAreInfoAsTheyAre) {
  std::vector<std::string> downs;
  script_.on[""] = [&](Self&, const StatemEvent& e) -> Task<R> {
    if (e.is_info() && e.message().is_down()) downs.push_back(e.message().reason().ToString());
    return M::KeepState();
  };
  Run([&](Self& t) -> Task<void> {
    ProcessMain short_lived = [](Self&) -> Task<ExitReason> { co_return ExitReason::Error("x"); };
    absl::StatusOr<SpawnResult> other = t.Spawn(std::move(short_lived), {});
    CO_ASSERT(other.ok());
    script_.init = [pid = other->pid](M& m) -> Task<M::InitResult> {
      m.self().Monitor(pid);
      return M::Ok("a");
    };
    co_await StartOk(t);
    co_await t.Sleep(Ms(1));
  });
  EXPECT_EQ(downs.size(), 1u);
}

}  // namespace
}  // namespace banyan
