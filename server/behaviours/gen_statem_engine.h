#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/behaviours/behaviour.h"
#include "server/behaviours/gen_statem_result.h"
#include "server/behaviours/init_steps.h"
#include "server/core/statem_queue.h"

namespace banyan {

// A callback module without the types of state and data.
class StatemModuleBase {
 public:
  virtual ~StatemModuleBase() = default;
  StatemModuleBase() = default;
  StatemModuleBase(const StatemModuleBase&) = delete;
  StatemModuleBase& operator=(const StatemModuleBase&) = delete;

  // Optional callbacks of StatemModule. Both are called on the top module.
  virtual Task<void> Terminate(ExitReason reason) { return Task<void>(); }
  // OTP's format_status: what people see of the machine, in get_status and in reports, and what is
  // to be hidden from them. Comes filled in: the data as `state`, the state's name, and as items
  // "modules" (top first), "postponed" (oldest first), "timeouts" and, in a report of a failing
  // callback, "queue": its event and those that were to come before the mailbox.
  virtual void ShowStatus(StatusView& view) {}

  // For people: its C++ type.
  std::string name() const;
};

// The loop of a state machine, without the types of its state and data: which event comes next,
// what its result does, when a state is entered. GenStatem<State, Data> adds the types.
//
// One transition, from an event to the next:
//
//   event -> callback -> actions -> (enter call -> actions)* -> postponed? -> retry, timeouts
//     ^                                                                            |
//     +--- inserted, retried, waiting, zero timeouts ------------------------------+---> mailbox
//
// A machine that has never postponed, inserted or timed anything keeps no memory for it.
class StatemEngine : public Behaviour {
 public:
  ~StatemEngine() override;
  Task<Initialised> OnInit(std::vector<Payload> args) final;
  // The part of the start that comes after its answer.
  Task<Next> OnContinue(Payload) final;
  bool continue_is_event() const final { return false; }
  Task<Next> OnMessage(Message message) final;
  Task<void> OnTerminate(ExitReason reason) final;
  void FormatStatus(StatusView& view) final;
  std::string_view engine() const final { return "state machine"; }
  SysEvent InEvent(const Message& message) final;

 protected:
  // --- the typed side
  struct Started {
    Initialised init;
    StatemTransition transition;  // kOk
  };
  virtual Task<Started> CallInit(std::vector<Payload> args) = 0;
  // Calls the top module for `event` in the present state. A change of state is made when this
  // returns, but not out of an enter call.
  virtual Task<StatemTransition> CallState(const StatemEvent& event) = 0;
  // Takes the callback mode of `module`, which may be about to become the top one.
  virtual void TakeCallbackMode(StatemModuleBase& module) = 0;
  virtual bool state_enter() const = 0;
  // The process's own module, at the bottom of the stack until it is changed.
  virtual StatemModuleBase& own_module() = 0;
  // Until the transition is complete the state before it is kept: for enter calls, and for an enter
  // call that fails.
  virtual void ForgetOldState() = 0;
  virtual void RestoreOldState() = 0;
  // For people.
  virtual std::string StateText() const = 0;
  virtual std::string OldStateText() const = 0;
  virtual Payload DataForPeople() const = 0;  // empty: it cannot be shown

  // The start after its answer: `init` is what the first state begins with.
  void Begin(StatemTransition init) { init_ = std::make_unique<StatemTransition>(std::move(init)); }
  // The steps of Init; see InitSteps. An Init that does not end with Ok() unwinds what is left of
  // them, whatever ended it.
  InitSteps& steps();
  StatemModuleBase& top();
  bool entering() const { return entering_; }

 private:
  class Timers;
  // What only some machines need.
  struct Extra {
    StatemQueue<StatemEvent> queue;
    StatemTimeouts timeouts;
    // Of the transition at hand.
    std::vector<StatemEvent> inserted;
    std::vector<TimeoutRequest> requests;
    // Callback modules, the top one last; null: the process's own.
    std::vector<std::unique_ptr<StatemModuleBase>> modules;
  };
  Extra& extra();

  // Runs callbacks until none is due.
  Task<Next> Drive();
  // The same from `callback` on, after `n` others without a pause.
  Task<Next> DriveOn(Task<StatemTransition> callback, int n);
  Task<StatemTransition> CallDue();
  Next Finish();
  // Takes a callback's result in. True: another callback is due, for current_ or an enter call.
  bool Absorb(StatemTransition transition);
  bool Perform(StatemAction action, bool from_enter);
  bool ChangeModule(StatemModuleChange change);
  bool Request(TimeoutRequest request);
  bool Complete();
  bool TakeNext();
  void SendReplies(StatemTransition& transition);
  void Send(StatemReply reply);
  Task<void> TerminateDebugged(ExitReason reason);
  SysEvent Report(SysEvent::Kind kind, const StatemEvent& event) const;
  SysEvent Report(SysEvent::Kind kind) const;
  void ReportTimer(const TimeoutRequest& request);
  bool Fail(std::string_view type, std::string message);  // false

  std::unique_ptr<Extra> extra_;
  std::unique_ptr<InitSteps> steps_;        // null: none were asked for
  std::unique_ptr<StatemTransition> init_;  // between OnInit and OnContinue
  StatemEvent current_;
  std::unique_ptr<ExitReason> stop_;  // null: it goes on
  // Of the transition at hand.
  bool handling_ = false;  // current_ is an event whose handling has not ended well
  bool entering_ = false;  // an enter call is due or under way
  bool changed_ = false;
  bool postpone_ = false;
};

}  // namespace banyan
