#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "server/behaviours/code_change.h"
#include "server/runtime/self.h"

namespace banyan {

// Names a handler of an event manager: OTP's Module or {Module,Id}.
struct HandlerId {
  HandlerId() = default;
  HandlerId(std::string m) : module(std::move(m)) {}  // NOLINT: "logger" is an id
  HandlerId(const char* m) : module(m) {}             // NOLINT
  HandlerId(std::string m, std::string i) : module(std::move(m)), id(std::move(i)) {}

  std::string module;  // of EventHandlers
  std::string id;      // empty: none
  friend bool operator==(const HandlerId&, const HandlerId&) = default;
};
std::string FormatHandlerId(const HandlerId& id);  // "logger" or "{logger,1}"

// What a handler is made from.
struct HandlerArgs {
  Payload args;
  // Only of a handler that takes another's place: what that one's Terminate returned;
  // HANDLER_NOT_FOUND if there was none, HANDLER_FAILED if it failed.
  std::optional<absl::StatusOr<Payload>> predecessor;
};

// Why a handler ends: terminate's argument.
struct HandlerEnd {
  enum class Kind : uint8_t {
    kArgs,     // deleted or swapped out, with these `args`
    kRemoved,  // its own wish: remove_handler
    kStop,     // the manager ends
    kStopped,  // {stop,Reason}: the process that supervises the handler ended, `reason`
    kError,    // {error,Why}: it failed, `reason`
  };
  Kind kind = Kind::kStop;
  Payload args;
  ExitReason reason;
};

// One of an event manager's handlers: the callbacks of OTP's gen_event. A module derives from this
// and implements Init, HandleEvent and HandleCall; the rest is optional. One object an installed
// handler, made by the manager and used in its process, one callback of all handlers at a time: a
// callback that waits keeps the whole manager waiting.
//
//   Task<Result> HandleEvent(Payload event) override {
//     if (full_) return RemoveHandler();
//     return Ok();
//   }
//
// Fail() or an exception out of a callback, ProcessExit too, costs the handler its place, nothing
// else. Self::ExitSelf() would end the manager.
class EventHandler {
 public:
  // {swap_handler,Args1,State,Handler2,Args2}: ends with `args`, and `to` takes the place.
  struct Swap {
    Payload args;
    HandlerId to;
    Payload to_args;
  };
  struct Okay {
    // Accepted for OTP's sake; an idle process is small anyway.
    Okay Hibernate() const { return *this; }
  };
  struct Removal {};
  struct Failing {
    ExitReason reason;
  };
  // What becomes of the handler; what HandleEvent and HandleInfo return.
  using Result = std::variant<Okay, Removal, Swap, Failing>;
  using InitResult = std::variant<Okay, Failing>;
  struct CallResult {
    CallResult(Failing f) : then(std::move(f)) {}  // NOLINT: the caller gets HANDLER_FAILED
    CallResult(absl::StatusOr<Payload> r, Result t) : reply(std::move(r)), then(std::move(t)) {}
    CallResult Hibernate() && { return std::move(*this); }

    absl::StatusOr<Payload> reply = Payload();
    Result then;
  };

  virtual ~EventHandler() = default;
  EventHandler() = default;
  EventHandler(const EventHandler&) = delete;
  EventHandler& operator=(const EventHandler&) = delete;

  // --- callbacks, mandatory
  // Fail() and exceptions: it is not installed, and its Terminate does not run.
  virtual Task<InitResult> Init(HandlerArgs args) = 0;
  virtual Task<Result> HandleEvent(Payload event) = 0;
  virtual Task<CallResult> HandleCall(Payload request) = 0;

  // --- callbacks, optional
  // Every other message to the manager: plain ones, DOWN, 'EXIT', timers. `message` lives until the
  // callback is done. Default: a warning.
  virtual Task<Result> HandleInfo(const Message& message);
  // The result goes to whoever deletes the handler, and to its successor.
  virtual Task<Payload> Terminate(HandlerEnd why) { return Payload(); }

  // --- sys, as in Behaviour. A handler that does not show its state is listed without one.
  virtual absl::StatusOr<Payload> GetState();
  virtual absl::Status ReplaceState(const Payload& state);
  virtual absl::StatusOr<Payload> FormatStatus() { return GetState(); }
  // Called instead of Init, on a new object that takes over from one with `state` (GetState). The
  // old one stays if this fails, for this or another handler of the module.
  virtual Task<absl::Status> OnCodeChange(Payload state, CodeChange change);

  // --- set by the manager before all callbacks
  void Attach(Self* self, HandlerId id) {
    self_ = self;
    id_ = std::move(id);
  }

 protected:
  // The manager's process.
  Self& self() const { return *self_; }
  const HandlerId& id() const { return id_; }

  static Okay Ok() { return {}; }
  static Removal RemoveHandler() { return {}; }
  static Swap SwapHandler(Payload args, HandlerId to, Payload to_args) {
    return {std::move(args), std::move(to), std::move(to_args)};
  }
  static Failing Fail(ExitReason reason) { return {std::move(reason)}; }
  // An error is the handler's own, or one that a call of its own ended with: the request ran.
  static CallResult Reply(absl::StatusOr<Payload> reply, Result then = Okay());
  // CALL_NOT_HANDLED: the answer to a request of a type that the handler does not know.
  static CallResult NotHandled(const Payload& request);

 private:
  Self* self_ = nullptr;
  HandlerId id_;
};

// The handler modules that a manager can install, by name. Filled before the manager starts, then
// read only. A name can be given once: adding it again is a broken invariant.
class EventHandlers {
 public:
  using Factory = std::function<std::unique_ptr<EventHandler>()>;
  // A class that lacks a mandatory callback does not compile here.
  template <typename T>
  EventHandlers& Add(std::string module) {
    return AddFactory(std::move(module), [] { return std::unique_ptr<EventHandler>(new T()); });
  }
  EventHandlers& AddFactory(std::string module, Factory make);
  const Factory* Find(std::string_view module) const;  // null: there is none

 private:
  std::map<std::string, Factory, std::less<>> factories_;
};

}  // namespace banyan
