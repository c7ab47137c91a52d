// What the SDK promises the author of a behaviour: SDK-002, SDK-004 to SDK-007, SDK-011, SDK-013,
// SDK-015.
#include <stdexcept>

#include "server/behaviours/gen_server.h"
#include "tests/conformance/custom_behaviour/scripted.h"

namespace banyan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Sdk : public CustomBehaviourTest {};

TEST_F(Sdk, SDK002AnUnknownModuleFailsItsStartAlone) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 5, {Child("a", "scripted")}));
    OpResult unknown = co_await StartChild(t, s, Child("b", "nobody"));
    EXPECT_EQ(unknown.reason.type(), kUndef);
    EXPECT_TRUE((co_await PidOf(t, s, "a")).valid());
    EXPECT_EQ((co_await StartChild(t, s, Child("c", "scripted"))).code, Code::kOk);
  });
}

TEST_F(Sdk, SDK005ABehaviourWithOnlyMessagesHasSysAndDebug) {
  Run([&](Self& t) -> Task<void> {
    StartResult p = co_await StartOne(t, "named");
    EXPECT_TRUE((co_await sys::Debug(t, p.pid, DebugOption::Log())).ok());
    EXPECT_TRUE((co_await sys::Suspend(t, p.pid)).ok());
    t.Send(p.pid, Word("x"));
    co_await Settle(t);
    EXPECT_THAT(script_.trace, IsEmpty());
    EXPECT_TRUE((co_await sys::Resume(t, p.pid)).ok());
    absl::StatusOr<SysStatus> status = co_await sys::GetStatus(t, p.pid);
    CO_ASSERT(status.ok());
    EXPECT_THAT(script_.trace, ElementsAre("message x"));
    EXPECT_EQ(status->name, "named");
    EXPECT_THAT(status->view.log, testing::SizeIs(1));
    absl::StatusOr<Payload> state = co_await sys::GetState(t, p.pid);
    EXPECT_EQ(ErrorReason(state.status()), "STATE_NOT_ACCESSIBLE");
    absl::Status changed = co_await sys::ChangeCode(t, p.pid, {});
    EXPECT_EQ(ErrorReason(changed), "NOT_SUSPENDED");
    EXPECT_TRUE((co_await sys::Suspend(t, p.pid)).ok());
    changed = co_await sys::ChangeCode(t, p.pid, {});
    EXPECT_EQ(ErrorReason(changed), "CODE_CHANGE_UNSUPPORTED");
  });
}

TEST_F(Sdk, SDK007TerminateRunsOnceAndItsFailureReplacesTheReason) {
  Run([&](Self& t) -> Task<void> {
    script_.message = [](S&, std::string word) -> Task<banyan::Next> {
      if (word == "throw") throw std::runtime_error("boom");
      return banyan::Next::Stop(ExitReason::Error("stopped"));
    };
    script_.terminate = [](S&, ExitReason reason) -> Task<void> {
      if (reason == ExitReason::Error("stopped")) throw std::logic_error("worse");
      return {};
    };
    StartResult p = co_await StartOne(t);
    t.Send(p.pid, Word("stop"));
    EXPECT_EQ(co_await ExitOf(t, p.pid), ExitReason::Error("std::logic_error", "worse"));
    EXPECT_THAT(std::exchange(script_.trace, {}),
                ElementsAre("message stop", "terminate error stopped"));
    p = co_await StartOne(t);
    t.Send(p.pid, Word("throw"));
    EXPECT_EQ(co_await ExitOf(t, p.pid), ExitReason::Error("std::runtime_error", "boom"));
    EXPECT_THAT(std::exchange(script_.trace, {}),
                ElementsAre("message throw", "terminate error std::runtime_error: boom"));
    p = co_await StartOne(t);
    t.Exit(p.pid, ExitReason::Error("untrapped"));
    EXPECT_EQ(co_await ExitOf(t, p.pid), ExitReason::Error("untrapped"));
    EXPECT_THAT(script_.trace, IsEmpty());
  });
}

TEST_F(Sdk, SDK011UnknownRequestsDoNotCrashAServer) {
  class Server : public GenServer {
    Task<InitResult> Init(std::vector<Payload>) override { return Ok(); }
    Task<CallResult> HandleCall(Payload request, CallFrom) override { return NotHandled(request); }
    Task<Result> HandleCast(Payload) override { return NoReply(); }
  };
  Run([&](Self& t) -> Task<void> {
    StartResult p = co_await StartBehaviour(t, [] { return std::make_unique<Server>(); }, {}, {});
    Payload unknown = Payload::Any("type.googleapis.com/x.Unknown", "bytes");
    EXPECT_EQ(ErrorReason((co_await t.Call(p.pid, unknown)).status()), "CALL_NOT_HANDLED");
    t.Cast(p.pid, unknown);
    t.Send(p.pid, unknown);
    co_await Settle(t);
    EXPECT_TRUE(t.runtime().IsAlive(p.pid));
  });
}

TEST_F(Sdk, SDK013WhileACallbackWaitsMessagesWaitAndExitSignalsDoNot) {
  Run([&](Self& t) -> Task<void> {
    script_.message = [](S& s, std::string word) -> Task<banyan::Next> {
      if (word == "slow") co_await s.self().Sleep(absl::Seconds(10));
      co_return banyan::Next::Wait();
    };
    StartResult p = co_await StartOne(t);
    t.Send(p.pid, Word("slow"));
    t.Send(p.pid, Word("next"));
    absl::StatusOr<SysStatus> busy = co_await sys::GetStatus(t, p.pid, absl::Seconds(1));
    EXPECT_EQ(ErrorReason(busy.status()), "CALL_TIMEOUT") << "system requests wait too";
    EXPECT_THAT(script_.trace, ElementsAre("message slow"));
    EXPECT_TRUE((co_await sys::GetStatus(t, p.pid, absl::Seconds(20))).ok());
    EXPECT_THAT(script_.trace, ElementsAre("message slow", "message next"));
    t.Send(p.pid, Word("slow"));
    co_await Settle(t);
    const Instant before = t.Now();
    t.Exit(p.pid, ExitReason::Error("foo"));
    EXPECT_EQ(co_await ExitOf(t, p.pid), ExitReason::Error("foo"));
    EXPECT_EQ(t.Now(), before);
  });
}

TEST_F(Sdk, SDK015FactsOfAModule) {
  for (const ModuleInfo& info : modules_.List()) {
    if (info.name != "scripted") continue;
    EXPECT_EQ(info.version, "7");
    EXPECT_EQ(info.description, "a script");
    EXPECT_EQ(info.type, ChildType::kWorker);
    return;
  }
  ADD_FAILURE() << "the module is not listed";
}

}  // namespace
}  // namespace banyan
