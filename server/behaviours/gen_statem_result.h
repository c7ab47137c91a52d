#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

#include "common/base/exit_reason.h"
#include "server/behaviours/gen_statem_event.h"
#include "server/core/statem_timeouts.h"

// What the callbacks of a state machine return, see gen_statem.h.

namespace banyan {

class StatemModuleBase;

struct StatemReply {
  CallFrom to;
  Payload payload;
  absl::Status error;  // not ok: this is the answer
};
struct StatemPostpone {
  bool on = true;
};
struct StatemModuleChange {
  enum class Op : uint8_t { kChange, kPush, kPop } op = Op::kPop;
  std::unique_ptr<StatemModuleBase> module;  // null: kPop
};
using StatemAction =
    std::variant<StatemReply, StatemPostpone, StatemEvent, TimeoutRequest, StatemModuleChange>;

// A result without the types of state and data: what the engine works with.
struct StatemTransition {
  enum class Kind : uint8_t { kNextState, kKeepState, kRepeatState, kStop };
  Kind kind = Kind::kKeepState;
  bool changes = false;  // kNextState: to a state that differs from the present one
  absl::InlinedVector<StatemAction, 1> actions;  // in order
  ExitReason reason;                             // kStop
};

// {stop,Reason} and {stop_and_reply,Reason,Replies}: the replies are sent before Terminate runs.
class StatemStop {
 public:
  explicit StatemStop(ExitReason reason) {
    transition_.kind = StatemTransition::Kind::kStop;
    transition_.reason = std::move(reason);
  }
  StatemStop&& Reply(const CallFrom& to, Payload reply) && {
    transition_.actions.emplace_back(StatemReply{to, std::move(reply), {}});
    return std::move(*this);
  }
  StatemStop&& ReplyError(const CallFrom& to, absl::Status error) && {
    transition_.actions.emplace_back(StatemReply{to, {}, std::move(error)});
    return std::move(*this);
  }

 private:
  template <typename, typename>
  friend class StatemResult;
  template <typename, typename>
  friend class StatemInitResult;
  StatemTransition transition_;
};

template <typename State, typename Data>
class StatemModule;

// The actions of a transition, in the order in which they are carried out. Of several about one
// timeout, or about postponing, the last counts.
//
// Times: zero is an event that comes before anything of the mailbox; infinite cancels; a negative
// one is an error (`bad_action_from_state_function`).
template <typename Derived, typename State, typename Data>
class StatemActions {
 public:
  Derived&& Reply(const CallFrom& to, Payload reply) && {
    return Add(StatemReply{to, std::move(reply), {}});
  }
  Derived&& ReplyError(const CallFrom& to, absl::Status error) && {
    return Add(StatemReply{to, {}, std::move(error)});
  }
  // The event is handled again after the state has changed. Not from a state enter call.
  Derived&& Postpone(bool on = true) && { return Add(StatemPostpone{on}); }
  // Inserted before everything else that waits, the first of several first. Not from a state enter
  // call.
  Derived&& NextEvent(StatemEvent event) && { return Add(std::move(event)); }
  Derived&& NextEvent(Payload content) && { return Add(StatemEvent::Internal(std::move(content))); }

  // Ends with the state. Set together with a change of state it belongs to the new one.
  Derived&& StateTimeout(absl::Duration d, Payload content = {}) && {
    return Start(kState(), d, std::move(content));
  }
  Derived&& StateTimeoutAt(Instant at, Payload content = {}) && {
    return StartAt(kState(), at, std::move(content));
  }
  Derived&& UpdateStateTimeout(Payload content) && { return Update(kState(), std::move(content)); }
  Derived&& CancelStateTimeout() && { return Cancel(kState()); }

  // The event timeout: ends with any event that comes before it.
  Derived&& Timeout(absl::Duration d, Payload content = {}) && {
    return Start(kEvent(), d, std::move(content));
  }
  Derived&& TimeoutAt(Instant at, Payload content = {}) && {
    return StartAt(kEvent(), at, std::move(content));
  }
  Derived&& UpdateTimeout(Payload content) && { return Update(kEvent(), std::move(content)); }
  Derived&& CancelTimeout() && { return Cancel(kEvent()); }

  // {timeout,Name}: goes on until it is set again or cancelled.
  Derived&& NamedTimeout(std::string name, absl::Duration d, Payload content = {}) && {
    return Start(Named(std::move(name)), d, std::move(content));
  }
  Derived&& NamedTimeoutAt(std::string name, Instant at, Payload content = {}) && {
    return StartAt(Named(std::move(name)), at, std::move(content));
  }
  Derived&& UpdateNamedTimeout(std::string name, Payload content) && {
    return Update(Named(std::move(name)), std::move(content));
  }
  Derived&& CancelNamedTimeout(std::string name) && { return Cancel(Named(std::move(name))); }

  // Another module's callbacks from now on: instead of the present one, or until it is popped. It
  // works on the same state and data; fields of a module's own end with it. Not from a state enter
  // call.
  Derived&& ChangeCallbackModule(std::unique_ptr<StatemModule<State, Data>> module) && {
    return Add(StatemModuleChange{StatemModuleChange::Op::kChange, std::move(module)});
  }
  Derived&& PushCallbackModule(std::unique_ptr<StatemModule<State, Data>> module) && {
    return Add(StatemModuleChange{StatemModuleChange::Op::kPush, std::move(module)});
  }
  // An error if there is only one: `bad_action_from_state_function`.
  Derived&& PopCallbackModule() && {
    return Add(StatemModuleChange{StatemModuleChange::Op::kPop, nullptr});
  }
  // Accepted for OTP's sake; an idle process is small anyway.
  Derived&& Hibernate(bool on = true) && { return Self(); }

 protected:
  StatemTransition transition_;

 private:
  using Op = TimeoutRequest::Op;
  static TimeoutId kState() { return {TimeoutId::Kind::kState, {}}; }
  static TimeoutId kEvent() { return {TimeoutId::Kind::kEvent, {}}; }
  static TimeoutId Named(std::string name) { return {TimeoutId::Kind::kNamed, std::move(name)}; }

  Derived&& Self() { return static_cast<Derived&&>(*this); }
  Derived&& Add(StatemAction action) {
    transition_.actions.push_back(std::move(action));
    return Self();
  }
  Derived&& Start(TimeoutId id, absl::Duration d, Payload content) {
    return Add(TimeoutRequest{std::move(id), Op::kStart, d, {}, std::move(content)});
  }
  Derived&& StartAt(TimeoutId id, Instant at, Payload content) {
    return Add(TimeoutRequest{std::move(id), Op::kStartAt, {}, at, std::move(content)});
  }
  Derived&& Update(TimeoutId id, Payload content) {
    return Add(TimeoutRequest{std::move(id), Op::kUpdate, {}, {}, std::move(content)});
  }
  Derived&& Cancel(TimeoutId id) {
    return Add(TimeoutRequest{std::move(id), Op::kCancel, {}, {}, {}});
  }
};

// The result of a state function or of HandleEvent.
template <typename State, typename Data>
class StatemResult : public StatemActions<StatemResult<State, Data>, State, Data> {
 public:
  StatemResult(StatemStop stop) {  // NOLINT: implicit, so that `return Stop(...)` works
    this->transition_ = std::move(stop.transition_);
  }

 private:
  template <typename, typename>
  friend class StatemModule;
  template <typename, typename>
  friend class GenStatem;
  explicit StatemResult(StatemTransition::Kind kind) { this->transition_.kind = kind; }
  explicit StatemResult(State next) : next_(std::move(next)) {
    this->transition_.kind = StatemTransition::Kind::kNextState;
  }
  std::optional<State> next_;
};

// The result of Init. Postponing has no effect there.
template <typename State, typename Data>
class StatemInitResult : public StatemActions<StatemInitResult<State, Data>, State, Data> {
 public:
  StatemInitResult(StatemStop stop) {  // NOLINT: implicit
    this->transition_ = std::move(stop.transition_);
  }

 private:
  template <typename, typename>
  friend class GenStatem;
  StatemInitResult() { this->transition_.kind = StatemTransition::Kind::kKeepState; }
  StatemInitResult(State state, std::optional<Data> data)
      : state_(std::move(state)), data_(std::move(data)) {
    // The first state is entered as any other.
    this->transition_.kind = StatemTransition::Kind::kRepeatState;
  }
  std::optional<State> state_;  // none, and no stop: ignore
  std::optional<Data> data_;
};

}  // namespace banyan
