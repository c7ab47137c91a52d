#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "common/base/error.h"
#include "server/behaviours/gen_statem_engine.h"

namespace banyan {

// The data of a machine that keeps it in the fields of its module.
struct NoData {
  friend bool operator==(const NoData&, const NoData&) = default;
};

namespace internal {

// A state as text: its own words if it is text or has a StateName(state), else an enumerator's
// number, else nothing.
template <typename State>
std::string StateText(const State& state) {
  if constexpr (std::is_convertible_v<const State&, std::string_view>) {
    return std::string(std::string_view(state));
  } else if constexpr (requires { std::string(StateName(state)); }) {
    return std::string(StateName(state));
  } else if constexpr (std::is_enum_v<State>) {
    return std::to_string(static_cast<long long>(state));
  } else {
    return "";
  }
}

// What the callback modules of one machine share.
template <typename State, typename Data>
struct StatemShared {
  Self* self = nullptr;
  State state{};
  std::optional<State> old_state;  // within a transition that changes the state
  Data data{};
};

}  // namespace internal

// A callback module of a state machine over `State` and `Data`: the callbacks of OTP's gen_statem
// but init, which GenStatem adds. Modules of one machine may take turns, see PushCallbackModule;
// they share the state and data(), and each has fields of its own besides.
//
// State: any type with a default and ==, by which a change of state is known. Data: any type with a
// default; kept in one piece by sys, whereas a module's fields are its own affair.
template <typename StateType, typename DataType = NoData>
class StatemModule : public StatemModuleBase {
 public:
  using State = StateType;
  using Data = DataType;
  using Event = StatemEvent;
  using Result = StatemResult<State, Data>;
  using StateAndData = std::pair<State, Data>;

  // A state function: (Type, Content, Data) of OTP. Also HandleEvent, if state() is all it wants.
  using Function = Task<Result> (StatemModule::*)(const Event&);
  // handle_event(Type, Content, State, Data). `state` stays valid as long as the event.
  using HandleEventFunction = Task<Result> (StatemModule::*)(const Event&, const State&);

  // callback_mode(): how events find their function, and whether states have enter calls.
  class Mode {
   public:
    Mode&& StateEnter(bool on = true) && {
      state_enter_ = on;
      return std::move(*this);
    }

   private:
    friend class StatemModule;
    template <typename, typename>
    friend class GenStatem;
    struct Entry {
      State state;
      Function function;
    };
    std::shared_ptr<const std::vector<Entry>> functions_;  // shared by copies
    HandleEventFunction handle_event_ = nullptr;           // null: state_functions
    bool state_enter_ = false;
  };

  // --- callbacks, mandatory
  // Called when the module becomes the top one, at first after the start has been answered, and
  // after a code change:
  //
  //   Mode CallbackMode() override {
  //     return StateFunctions({{kLocked, &Door::Locked}, {kOpen, &Door::Open}}).StateEnter();
  //   }
  //   Mode CallbackMode() override { return HandleEvents(&Door::HandleEvent); }
  //
  // A machine of which there are many keeps the mode in a static constant and returns a copy.
  virtual Mode CallbackMode() = 0;

  // --- callbacks, optional
  // Terminate(reason) and ShowStatus(view) are those of StatemModuleBase.

  // While suspended. Returns the state and data to go on with; an error leaves the old ones.
  // Default: CODE_CHANGE_UNSUPPORTED.
  virtual Task<absl::StatusOr<StateAndData>> ChangeCode(CodeChange change) {
    return absl::StatusOr<StateAndData>(
        MakeError("CODE_CHANGE_UNSUPPORTED", "this module does not support code changes"));
  }

 protected:
  const State& state() const { return shared_->state; }
  // The state before this transition: what a state enter call comes from.
  const State& old_state() const {
    return shared_->old_state ? *shared_->old_state : shared_->state;
  }
  Data& data() { return shared_->data; }
  const Data& data() const { return shared_->data; }
  Self& self() const { return *shared_->self; }

  // --- modes
  // Arguments: state and function of one module each.
  struct StateFunction {
    template <std::derived_from<StatemModule> Module>
    StateFunction(State s, Task<Result> (Module::*f)(const Event&))  // NOLINT: {state, function}
        : state(std::move(s)), function(static_cast<Function>(f)) {}
    State state;
    Function function;
  };
  // state_functions. A state without a function ends the machine with `undef` when an event comes.
  static Mode StateFunctions(std::initializer_list<StateFunction> functions) {
    std::vector<typename Mode::Entry> entries;
    entries.reserve(functions.size());
    for (const StateFunction& f : functions) entries.push_back({f.state, f.function});
    Mode mode;
    mode.functions_ = std::make_shared<const std::vector<typename Mode::Entry>>(std::move(entries));
    return mode;
  }
  // handle_event_function.
  template <std::derived_from<StatemModule> Module>
  static Mode HandleEvents(Task<Result> (Module::*f)(const Event&, const State&)) {
    Mode mode;
    mode.handle_event_ = static_cast<HandleEventFunction>(f);
    return mode;
  }

  // --- results of callbacks. Data is changed in place, through data() or fields. A state that
  // equals the present one is kept.
  static Result NextState(State next) { return Result(std::move(next)); }
  static Result KeepState() { return Result(StatemTransition::Kind::kKeepState); }
  // As KeepState, but the state is entered again.
  static Result RepeatState() { return Result(StatemTransition::Kind::kRepeatState); }
  // The replies are sent before Terminate: `Stop(reason).Reply(from, answer)` is OTP's
  // stop_and_reply.
  static StatemStop Stop(ExitReason reason = {}) { return StatemStop(std::move(reason)); }

 private:
  template <typename, typename>
  friend class GenStatem;
  internal::StatemShared<State, Data>* shared_ = nullptr;
};

}  // namespace banyan
