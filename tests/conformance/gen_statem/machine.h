#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/behaviours/gen_statem.h"
#include "tests/support/actors/actor_test.h"

namespace banyan {

// The machine of spec/behaviours.md 11, in the mode handle_event_function: states are words, and so
// are events. It writes down "Content@State" for each callback ("enter(Old)@State", and the type in
// front of what is not a cast or an internal event), and does what the script says for it; for what
// the script does not say it keeps the state.
class ScriptMachine;
struct MachineScript;

using MachineModule = StatemModule<std::string, int>;

// A callback module of that machine, under a name of its own.
class ScriptModule : public MachineModule {
 public:
  ScriptModule(MachineScript* script, std::string name) : script_(script), name_(std::move(name)) {}
  Mode CallbackMode() override;
  Task<void> Terminate(ExitReason reason) override;
  Task<Result> HandleEvent(const Event& event, const State& state);

 private:
  MachineScript* const script_;
  const std::string name_;  // in front of what it writes down: "M2:1@a"
};

class ScriptMachine : public GenStatem<std::string, int> {
 public:
  explicit ScriptMachine(MachineScript* script) : script_(script) {}
  Task<InitResult> Init(std::vector<Payload> args) override;
  Mode CallbackMode() override;
  Task<Result> HandleEvent(const Event& event, const State& state);
  Task<void> Terminate(ExitReason reason) override;
  Task<absl::StatusOr<StateAndData>> ChangeCode(CodeChange change) override;

  // For the closures.
  using GenStatem::data;
  using GenStatem::Ignore;
  using GenStatem::KeepState;
  using GenStatem::NextState;
  using GenStatem::Ok;
  using GenStatem::RepeatState;
  using GenStatem::self;
  using GenStatem::state;
  using GenStatem::steps;
  using GenStatem::Stop;

 private:
  MachineScript* const script_;
};

struct MachineScript {
  using M = ScriptMachine;
  using Step = std::function<Task<M::Result>(Self&, const StatemEvent&)>;

  std::function<Task<M::InitResult>(M&)> init;  // default: Ok("a")
  bool state_enter = false;
  // By "Content@State"; "Content" alone: in any state; "enter@State": the enter call.
  std::map<std::string, Step> on;
  std::function<void()> callback_mode;
  std::function<Task<void>(M&, ExitReason)> terminate;
  std::function<Task<absl::StatusOr<M::StateAndData>>(M&, std::string)> code_change;
  std::vector<std::string> trace;

  static std::string Text(const StatemEvent& event, const std::string& old_state);
  Task<M::Result> Handle(Self& self, const StatemEvent& event, const std::string& state,
                         const std::string& old_state, const std::string& module);
};

class GenStatemTest : public ActorTest {
 protected:
  using M = ScriptMachine;
  using R = M::Result;

  static absl::Duration Ms(int64_t ms) { return absl::Milliseconds(ms); }
  // A step that returns a result made anew each time.
  template <typename F>
  static MachineScript::Step Do(F make) {
    return [make](Self&, const StatemEvent& e) -> Task<R> {
      if constexpr (std::is_invocable_v<F, const StatemEvent&>) {
        return R(make(e));
      } else {
        return R(make());
      }
    };
  }
  static MachineScript::Step Postponed() {
    return Do([] { return M::KeepState().Postpone(); });
  }
  static MachineScript::Step To(std::string state) {
    return Do([state] { return M::NextState(state); });
  }

  static StartOptions Linked(std::string name = "") {
    StartOptions o;
    o.name = std::move(name);
    o.module = "machine";
    return o;
  }
  Task<StartResult> StartIt(Self& t, StartOptions options = Linked());
  Task<Pid> StartOk(Self& t, StartOptions options = Linked());
  // Starts the machine, casts the words at once, and lets it run for a second.
  Task<Pid> Casts(Self& t, std::vector<std::string> words);
  // Runs Casts() as T and returns the callbacks in order, without an end of the machine's.
  std::vector<std::string> TraceOf(std::vector<std::string> words);
  // The same for a machine that ends: the reason. T is linked and traps exits.
  ExitReason EndOf(std::vector<std::string> words);
  // Cuts "terminate ..." lines off.
  std::vector<std::string> Callbacks() const;

  MachineScript script_;
};

}  // namespace banyan
