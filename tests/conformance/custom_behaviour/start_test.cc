// How custom processes start and end: BHV-003, BHV-005 to BHV-012, BHV-014 to BHV-016.
#include <stdexcept>

#include "server/runtime/process_exit.h"
#include "tests/conformance/custom_behaviour/scripted.h"

namespace banyan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class BhvStart : public CustomBehaviourTest {};

TEST_F(BhvStart, BHV003RestartedInOrderWithinTheIntensity) {
  Run([&](Self& t) -> Task<void> {
    std::vector<std::string> starts;
    script_.init = [&starts](S& s) -> Task<Initialised> {
      starts.push_back(s.self().child_id());
      return Initialised::Ok();
    };
    script_.message = [](S&, std::string) -> Task<banyan::Next> { throw std::runtime_error("x"); };
    Pid s = co_await Start(
        t, Spec(Strategy::kOneForAll, 1, 5, {Child("a", "scripted"), Child("b", "scripted")}));
    EXPECT_THAT(std::exchange(starts, {}), ElementsAre("a", "b"));
    t.Send(co_await PidOf(t, s, "b"), Word("crash"));
    co_await Settle(t);
    EXPECT_THAT(std::exchange(starts, {}), ElementsAre("a", "b"));
    t.Send(co_await PidOf(t, s, "b"), Word("crash"));
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown()) << "the second within the period";
  });
}

TEST_F(BhvStart, BHV005And006TheParentsExit) {
  Run([&](Self& t) -> Task<void> {
    TrapExits(true);
    StartResult p = co_await StartOne(t);
    t.Exit(p.pid, ExitReason::Error("r"));
    EXPECT_EQ(co_await ExitOf(t, p.pid), ExitReason::Error("r"));
    EXPECT_THAT(std::exchange(script_.trace, {}), ElementsAre("terminate error r"));
    TrapExits(false);
    p = co_await StartOne(t);
    t.Exit(p.pid, ExitReason::Error("r"));
    EXPECT_EQ(co_await ExitOf(t, p.pid), ExitReason::Error("r"));
    EXPECT_THAT(script_.trace, IsEmpty());
  });
}

TEST_F(BhvStart, ExitsOfOthersAreMessages) {
  Run([&](Self& t) -> Task<void> {
    TrapExits(true);
    StartResult p = co_await StartOne(t, "", false);
    t.Exit(p.pid, ExitReason::Error("zoo"));
    co_await Settle(t);
    EXPECT_THAT(script_.trace, ElementsAre("message EXIT error zoo"));
    EXPECT_TRUE(t.runtime().IsAlive(p.pid));
  });
}

TEST_F(BhvStart, BHV007AFailedInitLeavesNoName) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S& s) -> Task<Initialised> {
      EXPECT_TRUE(s.self().Register("second"));
      return Initialised::Stop(ExitReason::Error("r"));
    };
    StartResult p = co_await StartOne(t, "first");
    EXPECT_EQ(p.reason, ExitReason::Error("r"));
    EXPECT_EQ(t.runtime().Whereis("first"), std::nullopt);
    EXPECT_EQ(t.runtime().Whereis("second"), std::nullopt);
    EXPECT_THAT(crashes_, ElementsAre("scripted: error r"));
  });
}

TEST_F(BhvStart, BHV008AnInitThatTakesTooLongIsKilled) {
  Run([&](Self& t) -> Task<void> {
    Pid pid;
    script_.init = [&pid](S& s) -> Task<Initialised> {
      pid = s.self().pid();
      co_await s.self().Sleep(absl::Hours(1));
      co_return Initialised::Ok();
    };
    StartResult p = co_await StartOne(t, "", true, absl::Milliseconds(50));
    EXPECT_EQ(p.reason, ExitReason::Timeout());
    EXPECT_FALSE(t.runtime().IsAlive(pid));
    EXPECT_EQ(co_await Next(t, absl::Seconds(1)), std::nullopt) << "no stray EXIT";
  });
}

TEST_F(BhvStart, BHV009StartsThatFailOrAreNeverAcknowledged) {
  StartBody fails = [](Self& self, StartAck ack) -> Task<ExitReason> {
    ack.Failed(ExitReason::Error("r"));
    co_return ExitReason::Error("r2");
  };
  Run([&](Self& t) -> Task<void> {
    StartResult p = co_await StartProcess(t, fails, {});
    EXPECT_EQ(p.reason, ExitReason::Error("r"));
  });
  StartBody returns = [](Self& self, StartAck ack) -> Task<ExitReason> {
    co_return ExitReason::Normal();
  };
  RunAs(false, [&](Self& t) -> Task<void> {
    const Instant before = t.Now();
    StartResult p = co_await StartProcess(t, returns, {});
    EXPECT_TRUE(p.failed());
    EXPECT_EQ(p.reason, ExitReason::Normal());
    EXPECT_EQ(t.Now(), before) << "at once";
  });
}

TEST_F(BhvStart, BHV010TheInfoOfAStartReachesStartChild) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S&) -> Task<Initialised> {
      Initialised ok = Initialised::Ok();
      ok.info = Word("info");
      return ok;
    };
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 5));
    OpResult started = co_await StartChild(t, s, Child("c", "scripted"));
    EXPECT_EQ(started.code, Code::kOk);
    EXPECT_EQ(TextOf(started.info), "info");
    co_await End(t, started.pid, "kill");
    EXPECT_TRUE((co_await PidOf(t, s, "c")).valid()) << "restarted all the same";
  });
}

TEST_F(BhvStart, BHV011AnExceptionIsReportedOnce) {
  Run([&](Self& t) -> Task<void> {
    script_.message = [](S& s, std::string) -> Task<banyan::Next> {
      co_await s.self().Yield();
      throw std::out_of_range("why");
    };
    StartResult p = co_await StartOne(t);
    t.Send(p.pid, Word("x"));
    const ExitReason reason = ExitReason::Error("std::out_of_range", "why");
    EXPECT_EQ(co_await ExitOf(t, p.pid), reason);
    EXPECT_THAT(script_.trace, ElementsAre("message x", "terminate error std::out_of_range: why"));
    EXPECT_THAT(crashes_, ElementsAre("scripted: error std::out_of_range: why"));
    EXPECT_TRUE((co_await StartOne(t)).started()) << "the node is alive";
  });
}

TEST_F(BhvStart, BHV012StopRunsTerminate) {
  Run([&](Self& t) -> Task<void> {
    StartResult p = co_await StartOne(t);
    absl::Status stopped = co_await sys::Stop(t, p.pid, ExitReason::Error("why"), absl::Seconds(1));
    EXPECT_TRUE(stopped.ok()) << stopped;
    EXPECT_THAT(script_.trace, ElementsAre("terminate error why"));
    EXPECT_EQ(ErrorReason(co_await sys::Stop(t, p.pid)), "NOPROC");
    EXPECT_EQ(ErrorReason(co_await sys::Stop(t, p.pid, ExitReason::NoProc())), "NOPROC");
    script_.terminate = [](S& s, ExitReason) -> Task<void> {
      co_await s.self().Sleep(absl::Hours(1));
    };
    p = co_await StartOne(t);
    absl::Status stuck = co_await sys::Stop(t, p.pid, {}, absl::Milliseconds(10));
    EXPECT_EQ(ErrorReason(stuck), "CALL_TIMEOUT");
    t.Exit(p.pid, ExitReason::Kill());
  });
}

TEST_F(BhvStart, BHV014AncestorsNearestFirst) {
  Run([&](Self& t) -> Task<void> {
    SupervisorSpec inner = Spec(Strategy::kOneForOne, 2, 5, {Child("c", "scripted")});
    ChildSpec child = Child("inner", "");
    child.type = ChildType::kSupervisor;
    child.supervisor = std::make_shared<const SupervisorSpec>(inner);
    Pid outer = co_await Start(t, Spec(Strategy::kOneForOne, 2, 5, {child}));
    Pid parent = co_await PidOf(t, outer, "inner");
    Pid grandchild = co_await PidOf(t, parent, "c");
    absl::StatusOr<SysStatus> status = co_await sys::GetStatus(t, grandchild);
    EXPECT_THAT(status->ancestors, ElementsAre(parent, outer, t.pid()));
    EXPECT_EQ(status->parent, parent);
  });
}

TEST_F(BhvStart, BHV015CleanAndForeignEndsAreNotReported) {
  Run([&](Self& t) -> Task<void> {
    script_.message = [](S&, std::string word) -> Task<banyan::Next> {
      if (word == "exit") throw ProcessExit(ExitReason::Error("foo"));
      return banyan::Next::Stop(ReasonOfWord(word));
    };
    for (const char* word : {"normal", "shutdown", "shutdown_test"}) {
      StartResult p = co_await StartOne(t);
      t.Send(p.pid, Word(word));
      EXPECT_EQ(co_await ExitOf(t, p.pid), ReasonOfWord(word));
    }
    StartResult killed = co_await StartOne(t);
    t.Exit(killed.pid, ExitReason::Kill());
    EXPECT_EQ(co_await ExitOf(t, killed.pid), ExitReason::Killed());
    EXPECT_THAT(crashes_, IsEmpty());
    for (const char* word : {"foo", "exit"}) {
      StartResult p = co_await StartOne(t);
      t.Send(p.pid, Word(word));
      EXPECT_EQ(co_await ExitOf(t, p.pid), ExitReason::Error("foo"));
    }
    EXPECT_THAT(crashes_, ElementsAre("scripted: error foo", "scripted: error foo"));
  });
}

}  // namespace
}  // namespace banyan
