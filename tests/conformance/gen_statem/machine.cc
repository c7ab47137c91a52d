#include "tests/conformance/gen_statem/machine.h"

#include "absl/strings/match.h"

namespace banyan {

std::string MachineScript::Text(const StatemEvent& event, const std::string& old_state) {
  const std::string content = TextOf(event.content());
  switch (event.type()) {
    case EventType::kEnter:
      return "enter(" + old_state + ")";
    case EventType::kCast:
    case EventType::kInternal:
      return content;
    case EventType::kInfo:
      if (event.message().is_exit()) return "EXIT " + event.message().reason().ToString();
      break;
    default:
      break;
  }
  return content.empty() ? event.TypeText() : event.TypeText() + " " + content;
}

Task<ScriptMachine::Result> MachineScript::Handle(Self& self, const StatemEvent& event,
                                                  const std::string& state,
                                                  const std::string& old_state,
                                                  const std::string& module) {
  trace.push_back(module + Text(event, old_state) + "@" + state);
  const std::string key = event.is_enter() ? "enter" : TextOf(event.content());
  for (const std::string& k : {key + "@" + state, key}) {
    if (auto it = on.find(k); it != on.end()) return it->second(self, event);
  }
  return M::KeepState();
}

ScriptModule::Mode ScriptModule::CallbackMode() {
  return HandleEvents(&ScriptModule::HandleEvent).StateEnter(script_->state_enter);
}
Task<ScriptModule::Result> ScriptModule::HandleEvent(const Event& event, const State& state) {
  return script_->Handle(self(), event, state, old_state(), name_ + ":");
}
Task<void> ScriptModule::Terminate(ExitReason reason) {
  script_->trace.push_back(name_ + ":terminate " + reason.ToString() + "@" + state());
  return Task<void>();
}

Task<ScriptMachine::InitResult> ScriptMachine::Init(std::vector<Payload> args) {
  if (script_->init) return script_->init(*this);
  return Ok("a");
}
ScriptMachine::Mode ScriptMachine::CallbackMode() {
  if (script_->callback_mode) script_->callback_mode();
  return HandleEvents(&ScriptMachine::HandleEvent).StateEnter(script_->state_enter);
}
Task<ScriptMachine::Result> ScriptMachine::HandleEvent(const Event& event, const State& state) {
  return script_->Handle(self(), event, state, old_state(), "");
}
Task<void> ScriptMachine::Terminate(ExitReason reason) {
  script_->trace.push_back("terminate " + reason.ToString() + "@" + state());
  if (script_->terminate) return script_->terminate(*this, std::move(reason));
  return Task<void>();
}
Task<absl::StatusOr<ScriptMachine::StateAndData>> ScriptMachine::ChangeCode(CodeChange change) {
  if (script_->code_change) return script_->code_change(*this, TextOf(change.extra));
  return GenStatem::ChangeCode(std::move(change));
}

Task<StartResult> GenStatemTest::StartIt(Self& t, StartOptions options) {
  return StartBehaviour(
      t, [this] { return std::make_unique<M>(&script_); }, {}, std::move(options));
}

Task<Pid> GenStatemTest::StartOk(Self& t, StartOptions options) {
  StartResult r = co_await StartIt(t, std::move(options));
  EXPECT_TRUE(r.started()) << r.reason.ToString();
  co_return r.pid;
}

Task<Pid> GenStatemTest::Casts(Self& t, std::vector<std::string> words) {
  Pid p = co_await StartOk(t);
  for (std::string& word : words) t.Cast(p, Word(std::move(word)));
  co_await t.Sleep(absl::Seconds(1));
  co_return p;
}

std::vector<std::string> GenStatemTest::TraceOf(std::vector<std::string> words) {
  Run([&](Self& t) -> Task<void> { co_await Casts(t, words); });
  return Callbacks();
}

ExitReason GenStatemTest::EndOf(std::vector<std::string> words) {
  ExitReason end;
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await Casts(t, words);
    std::optional<ExitReason> reason = co_await ExitOf(t, p);
    EXPECT_TRUE(reason.has_value()) << "the machine still runs";
    if (reason) end = *reason;
  });
  return end;
}

std::vector<std::string> GenStatemTest::Callbacks() const {
  std::vector<std::string> callbacks;
  for (const std::string& line : script_.trace) {
    if (!absl::StrContains(line, "terminate ")) callbacks.push_back(line);
  }
  return callbacks;
}

}  // namespace banyan
