// Entering states, callback modules, state functions: ST-026 to ST-032, ST-034 to ST-037, ST-049.
#include "tests/conformance/gen_statem/machine.h"

namespace banyan {
namespace {

using testing::ElementsAre;

class StStates : public GenStatemTest {
 protected:
  std::unique_ptr<ScriptModule> M2() { return std::make_unique<ScriptModule>(&script_, "M2"); }
};

TEST_F(StStates, ST026EnterCalls) {
  script_.state_enter = true;
  script_.on["go"] = To("b");
  script_.on["rep"] = Do([] { return M::RepeatState(); });
  script_.on["same"] = To("b");
  EXPECT_THAT(TraceOf({"go", "rep", "same"}),
              ElementsAre("enter(a)@a", "go@a", "enter(a)@b", "rep@b", "enter(b)@b", "same@b"));
}

TEST_F(StStates, ST026NoneUnlessAskedFor) {
  script_.on["go"] = To("b");
  EXPECT_THAT(TraceOf({"go", "2"}), ElementsAre("go@a", "2@b"));
}

TEST_F(StStates, ST027InitActionsEnterCallsAndTimeoutsInOrder) {
  script_.state_enter = true;
  script_.init = [](M&) -> Task<M::InitResult> {
    return M::Ok("a").NextEvent(Word("initev")).StateTimeout(absl::ZeroDuration());
  };
  script_.on["enter@b"] = Do([] { return M::KeepState().StateTimeout(absl::ZeroDuration()); });
  script_.on["1@a"] = Postponed();
  script_.on["go"] = Do([] { return M::NextState("b").NextEvent(Word("ins")); });
  EXPECT_THAT(TraceOf({"1", "go", "2"}),
              ElementsAre("enter(a)@a", "initev@a", "state_timeout@a", "1@a", "go@a", "enter(a)@b",
                          "ins@b", "1@b", "state_timeout@b", "2@b"));
}

TEST_F(StStates, ST027InitCannotPostpone) {
  script_.init = [](M&) -> Task<M::InitResult> {
    return M::Ok("a", 7).Postpone().NextEvent(Word("go"));
  };
  script_.on["go"] = To("b");
  EXPECT_THAT(TraceOf({"1"}), ElementsAre("go@a", "1@b"));
}

TEST_F(StStates, ST028AnEnterCallMayRepeatTheState) {
  script_.state_enter = true;
  int calls = 0;
  script_.on["enter@a"] = Do([&] { return ++calls <= 2 ? M::RepeatState() : M::KeepState(); });
  EXPECT_THAT(TraceOf({}), ElementsAre("enter(a)@a", "enter(a)@a", "enter(a)@a"));
}

TEST_F(StStates, ST028TheOldStateStaysThatBeforeTheEvent) {
  script_.state_enter = true;
  script_.on["go"] = To("b");
  int calls = 0;
  script_.on["enter@b"] = Do([&] { return ++calls == 1 ? M::RepeatState() : M::KeepState(); });
  script_.on["rep"] = Do([] { return M::RepeatState(); });
  EXPECT_THAT(TraceOf({"go", "rep"}),
              ElementsAre("enter(a)@a", "go@a", "enter(a)@b", "enter(a)@b", "rep@b", "enter(b)@b"));
}

TEST_F(StStates, ST029AnEnterCallCannotChangeTheState) {
  script_.state_enter = true;
  script_.on["go"] = To("b");
  script_.on["enter@b"] = To("c");
  EXPECT_EQ(EndOf({"go"}).type(), "bad_state_enter_return_from_state_function");
  EXPECT_THAT(script_.trace.back(), testing::EndsWith("@b")) << "terminate";
}

TEST_F(StStates, ST029AnEnterCallCannotPostponeOrInsert) {
  script_.state_enter = true;
  script_.on["go"] = To("b");
  for (const MachineScript::Step& step : {
           Do([] { return M::KeepState().Postpone(); }),
           Do([] { return M::KeepState().NextEvent(Word("x")); }),
           Do([] { return M::KeepState().PopCallbackModule(); }),
       }) {
    script_.trace.clear();
    script_.on["enter@b"] = step;
    EXPECT_EQ(EndOf({"go"}).type(), "bad_state_enter_action_from_state_function");
    EXPECT_THAT(script_.trace.back(), testing::EndsWith("@b")) << "terminate";
  }
}

TEST_F(StStates, ST029AnEnterCallThatThrowsHasNotEntered) {
  script_.state_enter = true;
  script_.on["go"] = To("b");
  script_.on["enter@b"] = [](Self&, const StatemEvent&) -> Task<R> {
    throw std::runtime_error("boom");
  };
  EXPECT_EQ(EndOf({"go"}).type(), "std::runtime_error");
  EXPECT_THAT(script_.trace.back(), testing::EndsWith("@a")) << "terminate";
}

TEST_F(StStates, ST030AnEnterCallMayReplyAndSetTimeouts) {
  script_.state_enter = true;
  CallFrom from;
  script_.on["x"] = Do([&](const StatemEvent& e) {
    from = e.from();
    return M::NextState("b");
  });
  script_.on["enter@b"] = Do([&] {
    return M::KeepState().Reply(from, Word("yes")).Timeout(absl::ZeroDuration()).Postpone(false);
  });
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t);
    absl::StatusOr<Payload> answer = co_await gen_statem::Call(t, p, Word("x"));
    EXPECT_TRUE(answer.ok());
    if (answer.ok()) EXPECT_EQ(TextOf(*answer), "yes");
  });
  EXPECT_THAT(Callbacks(), ElementsAre("enter(a)@a", "call x@a", "enter(a)@b", "timeout@b"));
}

TEST_F(StStates, ST031ANegativeTimeIsABadAction) {
  script_.on["go"] = Do([] { return M::NextState("b").StateTimeout(-Ms(1)); });
  EXPECT_EQ(EndOf({"go"}).type(), "bad_action_from_state_function");
  EXPECT_THAT(script_.trace.back(), testing::EndsWith("@b")) << "terminate: the new state";
}

TEST_F(StStates, ST034PushAndPop) {
  script_.on["go"] = Do([&] { return M::KeepState().PushCallbackModule(M2()); });
  script_.on["pop"] = Do([] { return M::KeepState().PopCallbackModule(); });
  EXPECT_THAT(TraceOf({"go", "1", "pop", "2"}), ElementsAre("go@a", "M2:1@a", "M2:pop@a", "2@a"));
}

TEST_F(StStates, ST034TerminateIsTheTopModules) {
  script_.on["go"] = Do([&] { return M::NextState("b").PushCallbackModule(M2()); });
  script_.on["stop"] = [](Self&, const StatemEvent&) -> Task<R> { return R(M::Stop()); };
  EXPECT_EQ(EndOf({"go", "stop"}), ExitReason::Normal());
  EXPECT_EQ(script_.trace.back(), "M2:terminate normal@b");
}

TEST_F(StStates, ST035ChangeAndChangeBack) {
  script_.on["go"] = Do([&] { return M::KeepState().ChangeCallbackModule(M2()); });
  script_.on["back"] = Do([&] {
    return M::KeepState().ChangeCallbackModule(std::make_unique<ScriptMachine>(&script_));
  });
  EXPECT_THAT(TraceOf({"go", "1", "back", "2"}), ElementsAre("go@a", "M2:1@a", "M2:back@a", "2@a"));
}

TEST_F(StStates, ST036APostponedEventIsHandledByTheNewModule) {
  script_.state_enter = true;
  script_.on["1@a"] = Postponed();
  script_.on["go"] = Do([&] { return M::NextState("b").PushCallbackModule(M2()); });
  EXPECT_THAT(TraceOf({"1", "go"}),
              ElementsAre("enter(a)@a", "1@a", "go@a", "M2:enter(a)@b", "M2:1@b"));
}

TEST_F(StStates, ST037TheOnlyModuleCannotBePopped) {
  script_.on["go"] = Do([] { return M::KeepState().PopCallbackModule(); });
  ExitReason end = EndOf({"go"});
  EXPECT_EQ(end.type(), "bad_action_from_state_function");
  EXPECT_THAT(end.message(), testing::HasSubstr("pop_callback_module"));
}

TEST_F(StStates, ModulesShareStateAndData) {
  class Adder : public MachineModule {
   public:
    Mode CallbackMode() override { return HandleEvents(&Adder::HandleEvent); }
    Task<Result> HandleEvent(const Event& e, const State&) {
      data() += 10;
      return KeepState().PopCallbackModule();
    }
  };
  Run([&](Self& t) -> Task<void> {
    script_.init = [](M& m) -> Task<M::InitResult> {
      m.data() = 5;
      return M::Ok("a");
    };
    script_.on["go"] =
        Do([&] { return M::KeepState().PushCallbackModule(std::make_unique<Adder>()); });
    Pid p = co_await Casts(t, {"go", "add"});
    absl::StatusOr<Payload> state = co_await sys::GetState(t, p);
    CO_ASSERT(state.ok());
    const auto* pair = state->As<M::StateAndData>();
    CO_ASSERT(pair);
    EXPECT_EQ(*pair, M::StateAndData("a", 15));
  });
}

// --- state_functions

enum class Light { kRed, kGreen, kBroken };
std::string StateName(Light light) {
  switch (light) {
    case Light::kRed:
      return "red";
    case Light::kGreen:
      return "green";
    case Light::kBroken:
      break;
  }
  return "broken";
}

class TrafficLight : public GenStatem<Light> {
 public:
  explicit TrafficLight(std::vector<std::string>* trace) : trace_(trace) {}

 private:
  Task<InitResult> Init(std::vector<Payload>) override { return Ok(Light::kRed); }
  Mode CallbackMode() override {
    return StateFunctions(
               {{Light::kRed, &TrafficLight::Red}, {Light::kGreen, &TrafficLight::Green}})
        .StateEnter();
  }
  Task<Result> Red(const Event& e) {
    trace_->push_back(e.TypeText() + " at red from " + StateName(old_state()));
    if (e.is_enter()) return KeepState();
    return NextState(Light::kGreen);
  }
  Task<Result> Green(const Event& e) {
    trace_->push_back(e.TypeText() + " at green from " + StateName(old_state()));
    if (e.is_enter()) co_return KeepState().StateTimeout(absl::Seconds(1));
    if (e.is_call()) co_await self().Sleep(absl::Milliseconds(1));
    if (e.type() == EventType::kStateTimeout) co_return NextState(Light::kRed);
    co_return NextState(Light::kBroken);
  }

  std::vector<std::string>* const trace_;
};

TEST_F(StStates, ST049AStateWithoutAFunctionIsUndef) {
  std::vector<std::string> trace;
  modules_.AddBehaviour("light", [&] { return std::make_unique<TrafficLight>(&trace); });
  Run([&](Self& t) -> Task<void> {
    StartResult r = co_await StartModule(t, {.module = "light"}, {});
    CO_ASSERT(r.started());
    t.Cast(r.pid, Word("go"));
    co_await t.Sleep(absl::Seconds(2));
    t.Cast(r.pid, Word("go"));
    absl::StatusOr<Payload> answer = co_await gen_statem::Call(t, r.pid, Word("break"));
    EXPECT_FALSE(answer.ok());
    ExitReason end = (co_await ExitOf(t, r.pid)).value();
    EXPECT_EQ(end.type(), "undef");
    EXPECT_THAT(end.message(), testing::HasSubstr("broken"));
  });
  EXPECT_THAT(trace, ElementsAre("enter at red from red", "cast at red from red",
                                 "enter at green from red", "state_timeout at green from green",
                                 "enter at red from green", "cast at red from red",
                                 "enter at green from red", "call at green from green"));
}

}  // namespace
}  // namespace banyan
