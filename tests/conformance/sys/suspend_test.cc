// Looking into a process, stopping and resuming it: SYS-001 to SYS-022. spec/sys.md 1, 2, 10.
#include "tests/conformance/sys/subject.h"
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SysSuspend : public SysTest {
 protected:
  // Suspends S twice and fills its mailbox: SYS-004's beginning.
  Task<Pid> Suspended(Self& t) {
    script_.init = [](S& s, auto) -> Task<Init> { return S::Ok(); };
    script_.cast = [this](S& s, std::string word) -> Task<Step> {
      if (word == "timer") timer_ = s.self().StartTimer(Ms(20), Word("tick"));
      return S::NoReply();
    };
    Pid p = co_await StartSubject(t);
    t.Cast(p, Word("timer"));
    EXPECT_TRUE((co_await sys::Suspend(t, p)).ok());
    EXPECT_TRUE((co_await sys::Suspend(t, p)).ok()) << "it does not count";
    script_.trace.clear();
    co_return p;
  }
  Task<void> Fill(Self& t, Pid p) {
    t.Cast(p, Word("c1"));
    t.Send(p, Word("i1"));
    absl::StatusOr<Payload> late = co_await t.Call(p, Word("r1"), Ms(10));
    EXPECT_EQ(ErrorOf(late), "CALL_TIMEOUT");
    co_await t.Sleep(Ms(30));
  }

  Ref timer_ = 0;
};

TEST_F(SysSuspend, SYS001To003StateIsReadAndReplaced) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    EXPECT_EQ(co_await StateOf(t, p), "state");
    absl::StatusOr<Payload> now = co_await sys::ReplaceState(
        t, p,
        [](const Payload& old) -> absl::StatusOr<Payload> { return Word(TextOf(old) + "!"); });
    EXPECT_EQ(TextOf(*now), "state!");
    EXPECT_EQ(co_await StateOf(t, p), "state!");
    absl::StatusOr<Payload> crash = co_await sys::ReplaceState(
        t, p, [](const Payload&) -> absl::StatusOr<Payload> { throw std::runtime_error("f"); });
    EXPECT_EQ(ErrorOf(crash), "STATE_INVALID");
    EXPECT_EQ(GetErrorInfo(crash.status())->exit_reason,
              ExitReason::Error("std::runtime_error", "f"));
    EXPECT_EQ(co_await StateOf(t, p), "state!");
    hooks_.get_state = [](Subject&) -> absl::StatusOr<Payload> { throw std::out_of_range("g"); };
    absl::StatusOr<Payload> hidden = co_await sys::GetState(t, p);
    EXPECT_EQ(ErrorOf(hidden), "STATE_NOT_ACCESSIBLE");
    EXPECT_EQ(GetErrorInfo(hidden.status())->exit_reason,
              ExitReason::Error("std::out_of_range", "g"));
    EXPECT_TRUE(rt_->IsAlive(p));
  });
}

TEST_F(SysSuspend, SYS004To008WorkWaitsInOrder) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await Suspended(t);
    co_await Fill(t, p);
    EXPECT_THAT(script_.trace, IsEmpty());
    EXPECT_EQ(co_await StateOf(t, p), "state") << "SYS-005";
    absl::StatusOr<SysStatus> status = co_await sys::GetStatus(t, p);
    CO_ASSERT(status.ok());
    EXPECT_TRUE(status->suspended);
    std::optional<ProcessSnapshot> facts = co_await FactsOf(t, p);
    EXPECT_EQ(facts->mailbox_length, 4u) << "SYS-006";
    EXPECT_EQ(Look(p)->state, ProcessSnapshot::State::kSuspended) << "Q4";
    EXPECT_TRUE((co_await sys::Resume(t, p)).ok());
    co_await t.Sleep(Ms(1));
    EXPECT_THAT(script_.trace, ElementsAre("cast c1", "info i1", "call r1", "info tick"));
    EXPECT_EQ(Look(p)->state, ProcessSnapshot::State::kWaiting);
    EXPECT_TRUE((co_await sys::Resume(t, p)).ok()) << "SYS-007";
    EXPECT_FALSE((co_await Next(t, Ms(100))).has_value()) << "SYS-008";
  });
}

TEST_F(SysSuspend, SYS009And010And012And013EndsWhileSuspended) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await Suspended(t);
    EXPECT_TRUE((co_await sys::Terminate(t, p, ExitReason::Error("bye"))).ok());
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Error("bye"));
    EXPECT_THAT(script_.trace, ElementsAre("terminate error bye"));

    p = co_await Suspended(t);
    t.Exit(p, ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Shutdown()) << "SYS-010";
    EXPECT_THAT(script_.trace, ElementsAre("terminate shutdown"));

    p = co_await Suspended(t);
    EXPECT_TRUE((co_await sys::Stop(t, p)).ok()) << "SYS-012";
    EXPECT_THAT(script_.trace, ElementsAre("terminate normal"));

    p = co_await Suspended(t);
    t.Exit(p, ExitReason::Kill());
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Killed());
    EXPECT_THAT(script_.trace, IsEmpty()) << "SYS-013";
  });
}

TEST_F(SysSuspend, SYS011AStrangersExitWaits) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await Suspended(t);
    SpawnOptions options;
    absl::StatusOr<SpawnResult> stranger = t.Spawn(
        [p](Self& s) -> Task<ExitReason> {
          s.Exit(p, ExitReason::Error("other"));
          return ExitReason::Normal();
        },
        std::move(options));
    co_await t.Sleep(Ms(1));
    EXPECT_THAT(script_.trace, IsEmpty());
    EXPECT_TRUE((co_await sys::Resume(t, p)).ok());
    co_await t.Sleep(Ms(100));
    EXPECT_THAT(script_.trace, ElementsAre("EXIT error other", "info tick"));
  });
}

TEST_F(SysSuspend, SYS015WhoDoesNotAnswer) {
  Run([&](Self& t) -> Task<void> {
    EXPECT_EQ(ErrorOf(co_await sys::GetState(t, t.pid())), "CALLING_SELF");
    absl::StatusOr<SpawnResult> plain = t.Spawn(
        [](Self& s) -> Task<ExitReason> {
          co_await s.Sleep(absl::Seconds(20));
          co_return ExitReason::Normal();
        },
        {});
    EXPECT_EQ(ErrorOf(co_await sys::GetState(t, plain->pid, Ms(30))), "CALL_TIMEOUT");
    EXPECT_EQ(Look(plain->pid)->mailbox_length, 1u) << "the request stays in its mailbox";
    script_.cast = [](S& s, std::string) -> Task<Step> {
      co_await s.self().Sleep(Ms(200));
      co_return S::NoReply();
    };
    Pid p = co_await StartSubject(t);
    t.Cast(p, Word("busy"));
    EXPECT_EQ(ErrorOf(co_await sys::GetState(t, p, Ms(30))), "CALL_TIMEOUT");
    EXPECT_EQ(co_await StateOf(t, p), "state") << "answered between two callbacks";
    script_.cast = [](S&, std::string) -> Task<Step> { return S::Stop(ExitReason::Error("e")); };
    t.Cast(p, Word("end"));
    absl::StatusOr<Payload> ended = co_await sys::GetState(t, p);
    EXPECT_EQ(ErrorOf(ended), "CALLEE_EXITED");
    EXPECT_EQ(GetErrorInfo(ended.status())->exit_reason, ExitReason::Error("e"));
    EXPECT_EQ(ErrorOf(co_await sys::GetState(t, p)), "NOPROC");
  });
}

TEST_F(SysSuspend, SYS016UnknownRequests) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    Ref alias = t.SendRequest(p, Word("what"), SignalKind::kSystem);
    CallReply reply = co_await t.AwaitReply(alias, t.Now() + absl::Seconds(1));
    EXPECT_EQ(ErrorOf(reply.status), "CALL_NOT_HANDLED");
    absl::Status debug = co_await sys::Debug(t, p, DebugOption::Install("none", nullptr));
    EXPECT_EQ(ErrorOf(debug), "REQUEST_INVALID");
    EXPECT_EQ(co_await StateOf(t, p), "state");
  });
}

TEST_F(SysSuspend, SYS017WhatTheStatusShows) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t, Linked("shown"));
    EXPECT_TRUE((co_await sys::Debug(t, p, DebugOption::Log())).ok());
    t.Cast(p, Word("c"));
    absl::StatusOr<SysStatus> s = co_await sys::GetStatus(t, p);
    CO_ASSERT(s.ok());
    EXPECT_EQ(s->pid, p);
    EXPECT_EQ(s->engine, "generic server");
    EXPECT_EQ(s->module, "script") << "the initial call";
    EXPECT_EQ(s->name, "shown");
    EXPECT_EQ(s->header, "Status for generic server shown");
    EXPECT_FALSE(s->suspended);
    EXPECT_EQ(s->parent, t.pid());
    EXPECT_THAT(s->ancestors, ElementsAre(t.pid()));
    EXPECT_THAT(s->debug, ElementsAre("log 10"));
    EXPECT_EQ(TextOf(s->view.state), "state");
    EXPECT_EQ(s->view.log.size(), 2u);
    EXPECT_EQ(s->note, "");
    absl::StatusOr<SysStatus> other = co_await sys::GetStatus(t, co_await StartSubject(t));
    EXPECT_EQ(other->header, "Status for generic server " + FormatPid(other->pid));
  });
}

TEST_F(SysSuspend, SYS018AFailingFormatStatusHurtsNobody) {
  hooks_.format_status = [](StatusView& view) {
    view.state = {};
    throw std::runtime_error("format");
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    absl::StatusOr<SysStatus> status = co_await sys::GetStatus(t, p);
    CO_ASSERT(status.ok());
    EXPECT_TRUE(status->view.state.empty()) << "it may be there to hide secrets";
    EXPECT_THAT(status->note, HasSubstr("format_status failed"));
    EXPECT_TRUE(rt_->IsAlive(p));
  });
}

// A behaviour of a third party without hooks of its own.
class Bare : public Behaviour {
 public:
  explicit Bare(std::vector<std::string>* trace) : trace_(trace) {}
  Task<Initialised> OnInit(std::vector<Payload>) override { return Initialised::Ok(); }
  Task<struct Next> OnMessage(Message m) override {
    trace_->push_back(TextOf(m.payload()));
    return Next::Wait();
  }
  Task<void> OnTerminate(ExitReason reason) override {
    trace_->push_back("terminate " + reason.ToString());
    return Task<void>();
  }

 private:
  using Next = struct Next;
  std::vector<std::string>* const trace_;
};

TEST_F(SysSuspend, SYS019TerminatesASpecialProcess) {
  Run([&](Self& t) -> Task<void> {
    std::vector<std::string> trace;
    StartResult r =
        co_await StartBehaviour(t, [&] { return std::make_unique<Bare>(&trace); }, {}, Linked());
    EXPECT_EQ(co_await StateOf(t, r.pid), "STATE_NOT_ACCESSIBLE") << "SYS-020";
    absl::StatusOr<SysStatus> status = co_await sys::GetStatus(t, r.pid);
    EXPECT_EQ(status->header, "Status for process " + FormatPid(r.pid));
    EXPECT_TRUE((co_await sys::Debug(t, r.pid, DebugOption::Log())).ok());
    t.Send(r.pid, Word("m"));
    absl::StatusOr<std::vector<SysEvent>> log = co_await sys::GetLog(t, r.pid);
    CO_ASSERT(log.ok());
    CO_ASSERT(log->size() == 1u);
    EXPECT_EQ(FormatSysEvent(log->at(0)), "in info \"m\" from " + FormatPid(t.pid()));
    EXPECT_TRUE((co_await sys::Terminate(t, r.pid, ExitReason::Error("why"))).ok());
    EXPECT_EQ(co_await ExitOf(t, r.pid), ExitReason::Error("why"));
    EXPECT_THAT(trace, ElementsAre("m", "terminate error why"));
  });
}

TEST_F(SysSuspend, SYS022ASystemRequestStartsTheTimeoutAgain) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S&, auto) -> Task<Init> { return S::Ok().Timeout(Ms(200)); };
    Pid p = co_await StartSubject(t);
    co_await t.Sleep(Ms(120));
    EXPECT_EQ(co_await StateOf(t, p), "state");
    co_await t.Sleep(Ms(199));
    EXPECT_THAT(script_.trace, IsEmpty());
    co_await t.Sleep(Ms(2));
    EXPECT_THAT(script_.trace, ElementsAre("timeout"));
    co_await t.Sleep(absl::Seconds(10));
    EXPECT_THAT(script_.trace, ElementsAre("timeout"));
  });
}

class SysSupervisor : public SupervisorTest {};

TEST_F(SysSupervisor, SYS014ASuspendedSupervisorRestartsLater) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5, {Child("c", "w1")}));
    Pid c = co_await PidOf(t, s, "c");
    EXPECT_TRUE((co_await sys::Suspend(t, s)).ok());
    t.Exit(c, ExitReason::Kill());
    co_await t.Sleep(absl::Seconds(10));
    EXPECT_FALSE(rt_->IsAlive(c));
    const size_t before = rt_->process_count();
    EXPECT_TRUE((co_await sys::Resume(t, s)).ok());
    Pid again = co_await PidOf(t, s, "c");
    EXPECT_NE(again, c);
    EXPECT_TRUE(rt_->IsAlive(again));
    EXPECT_EQ(rt_->process_count(), before + 1);
  });
}

}  // namespace
}  // namespace banyan
