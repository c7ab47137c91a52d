#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "server/behaviours/enter_loop.h"
#include "server/behaviours/gen_statem_module.h"

namespace banyan {

// A state machine: events are handled by the state that the machine is in, and may be postponed
// until it is in another. OTP's gen_statem; its rules are those of docs/ and spec/behaviours.md 6
// to 10. A module derives from this, implements Init and CallbackMode, and has a function for each
// state, or one for all:
//
//   enum class Lock { kLocked, kOpen };
//   class Door : public GenStatem<Lock> {
//     Task<InitResult> Init(std::vector<Payload>) override { return Ok(Lock::kLocked); }
//     Mode CallbackMode() override {
//       return StateFunctions({{Lock::kLocked, &Door::Locked}, {Lock::kOpen, &Door::Open}});
//     }
//     Task<Result> Locked(const Event& e) {
//       if (e.is_call()) return KeepState().Postpone();       // answered when it is open
//       return NextState(Lock::kOpen).StateTimeout(absl::Seconds(10));
//     }
//     Task<Result> Open(const Event& e) {
//       if (e.is_call()) return KeepState().Reply(e.from(), e.content());
//       return NextState(Lock::kLocked);
//     }
//   };
//
// It is registered and started as a GenServer is (module.h, start.h), and it is called and cast to
// in the same way, but a call's time limit is the caller's own affair: see gen_statem::Call.
//
// Order, as in OTP: inserted events, then postponed ones that are retried, then those that waited,
// then zero timeouts, then the mailbox. Postponed events have left the mailbox and do not count in
// its bound. A callback that has its answer at once returns it and pays
// for no coroutine frame; one that waits is a coroutine.
template <typename StateType, typename DataType = NoData>
class GenStatem : public StatemEngine, public StatemModule<StateType, DataType> {
 public:
  using Module = StatemModule<StateType, DataType>;
  using State = StateType;
  using Data = DataType;
  using Event = StatemEvent;
  using Result = StatemResult<State, Data>;
  using StateAndData = typename Module::StateAndData;
  using InitResult = StatemInitResult<State, Data>;

  // --- callback, mandatory beside CallbackMode()
  // Runs before the start returns; the process has its name already. Ends with Ok(...), Ignore() or
  // Stop(reason); an exception is the start's error.
  virtual Task<InitResult> Init(std::vector<Payload> args) = 0;

  // For gen_statem::EnterLoop.
  void Enter(InitResult start) { Begin(BeginIn(std::move(start))); }

  // --- sys: the state is a StateAndData.
  absl::StatusOr<Payload> GetState() override {
    if constexpr (std::is_copy_constructible_v<StateAndData>) {
      return Payload::Local(StateAndData(shared_.state, shared_.data));
    } else {
      return StatemEngine::GetState();
    }
  }
  absl::Status ReplaceState(const Payload& payload) override {
    if constexpr (std::is_copy_constructible_v<StateAndData>) {
      const auto* pair = payload.template As<StateAndData>();
      if (!pair) return MakeError("STATE_INVALID", "not a pair of this machine's state and data");
      SetStateAndData(*pair);
      return absl::OkStatus();
    } else {
      return StatemEngine::ReplaceState(payload);
    }
  }

 protected:
  using Module::self;

  // --- results of Init. Without `data` it stays as it is.
  static InitResult Ok(State state, std::optional<Data> data = std::nullopt) {
    return InitResult(std::move(state), std::move(data));
  }
  static InitResult Ignore() { return InitResult(); }

 private:
  using Kind = StatemTransition::Kind;

  void SetStateAndData(StateAndData pair) {
    shared_.state = std::move(pair.first);
    shared_.data = std::move(pair.second);
  }

  // --- the engine's typed side
  Task<Started> CallInit(std::vector<Payload> args) final {
    Bind(*this);
    InitResult result = co_await Init(std::move(args));
    if (result.transition_.kind == Kind::kStop)
      co_return Started{Initialised::Stop(std::move(result.transition_.reason)), {}};
    if (!result.state_) co_return Started{Initialised::Ignore(), {}};
    co_return Started{Initialised::Ok(), BeginIn(std::move(result))};
  }
  StatemTransition BeginIn(InitResult result) {
    shared_.state = *std::move(result.state_);
    if (result.data_) shared_.data = *std::move(result.data_);
    return std::move(result.transition_);
  }
  void Bind(Module& module) {
    shared_.self = &StatemEngine::self();
    module.shared_ = &shared_;
  }

  Task<StatemTransition> CallState(const Event& event) final {
    Module& module = static_cast<Module&>(top());
    const typename Module::Function function =
        mode_.functions_ ? FunctionOf(shared_.state) : nullptr;
    if (!function && !mode_.handle_event_) return Undefined();
    Task<Result> task =
        function ? (module.*function)(event) : (module.*mode_.handle_event_)(event, shared_.state);
    if (task.ready()) return Commit(task.Result());
    return CommitLater(std::move(task));
  }
  Task<StatemTransition> CommitLater(Task<Result> task) {
    Result result = co_await std::move(task);
    co_return Commit(std::move(result));
  }
  StatemTransition Commit(Result result) {
    StatemTransition transition = std::move(result.transition_);
    if (transition.kind == Kind::kNextState && !(*result.next_ == shared_.state)) {
      transition.changes = true;
      if (!entering()) {
        shared_.old_state = std::move(shared_.state);
        shared_.state = *std::move(result.next_);
      }
    }
    return transition;
  }
  typename Module::Function FunctionOf(const State& state) const {
    for (const auto& entry : *mode_.functions_) {
      if (entry.state == state) return entry.function;
    }
    return nullptr;
  }
  StatemTransition Undefined() {
    StatemTransition transition;
    transition.kind = Kind::kStop;
    transition.reason = ExitReason::Error("undef", "no function for state " + StateText());
    if (entering()) RestoreOldState();
    return transition;
  }

  void TakeCallbackMode(StatemModuleBase& base) final {
    auto& module = static_cast<Module&>(base);
    Bind(module);
    mode_ = module.CallbackMode();
  }
  bool state_enter() const final { return mode_.state_enter_; }
  StatemModuleBase& own_module() final { return *this; }
  void ForgetOldState() final { shared_.old_state.reset(); }
  void RestoreOldState() final {
    if (!shared_.old_state) return;
    shared_.state = *std::move(shared_.old_state);
    ForgetOldState();
  }
  std::string StateText() const final { return internal::StateText(shared_.state); }
  std::string OldStateText() const final { return internal::StateText(Module::old_state()); }
  Payload DataForPeople() const final {
    if constexpr (std::is_copy_constructible_v<Data>) {
      return Payload::Local(shared_.data);
    } else {
      return Payload();
    }
  }

  Task<absl::Status> OnCodeChange(CodeChange change) final {
    auto& module = static_cast<Module&>(top());
    absl::StatusOr<StateAndData> changed = co_await module.ChangeCode(std::move(change));
    if (!changed.ok()) co_return changed.status();
    TakeCallbackMode(module);
    SetStateAndData(*std::move(changed));
    co_return absl::OkStatus();
  }

  internal::StatemShared<State, Data> shared_;
  typename Module::Mode mode_;
};

namespace gen_statem {

// gen_statem:call: waits for ever unless told otherwise, because an event may be postponed. Errors:
// those of Self::Call.
inline Task<absl::StatusOr<Payload>> Call(Self& self, Pid to, Payload request,
                                          absl::Duration timeout = absl::InfiniteDuration()) {
  return self.Call(to, std::move(request), timeout);
}

// gen_statem:enter_loop: a process that initialised itself becomes the machine, see EnterLoop() in
// enter_loop.h. `start` is an Ok(...); Init does not run.
template <typename Machine>
Task<ExitReason> EnterLoop(Self& self, StartAck ack, std::unique_ptr<Machine> machine,
                           typename Machine::InitResult start, EnterOptions options = {}) {
  machine->Enter(std::move(start));
  options.first = Next::Continue({});
  return banyan::EnterLoop(self, std::move(ack), std::move(machine), std::move(options));
}

}  // namespace gen_statem
}  // namespace banyan
