#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "common/base/error.h"
#include "server/behaviours/behaviour.h"
#include "server/behaviours/init_steps.h"

namespace banyan {

// A server: keeps a state, answers calls, takes casts and messages, one at a time. OTP's
// gen_server; its rules are those of docs/ and spec/gen_server.md. A module derives from this and
// implements Init, HandleCall and HandleCast; the rest is optional.
//
//   Task<CallResult> HandleCall(Payload request, CallFrom from) override {
//     if (...) return Reply(answer);                      // at once: no coroutine frame
//     return Later(std::move(request), from);             // a coroutine that co_awaits
//   }
//
// Results are made by the functions below, in OTP's words, and may be followed by what happens
// next: `return NoReply().Timeout(absl::Seconds(1))`, `.Continue(argument)`, `.Hibernate()`.
class GenServer : public Behaviour {
 public:
  // {stop,Reason} from any callback, Init too.
  struct Stopping {
    ExitReason reason;
  };
  // {noreply,..} and {stop,..}: the result of casts, messages, continuations.
  class Result {
   public:
    Result() = default;
    Result(Stopping s) { next_.stop = std::move(s.reason); }  // NOLINT
    // HandleInfo gets the idle timeout (IsIdleTimeout) if no message comes for `d`; 0: if none is
    // there.
    Result&& Timeout(absl::Duration d) && {
      next_.timeout = d;
      return std::move(*this);
    }
    // HandleContinue(argument) runs before any message.
    Result&& Continue(Payload argument) && {
      next_.continuation = std::move(argument);
      return std::move(*this);
    }
    // Accepted for OTP's sake; an idle process is small anyway.
    Result&& Hibernate() && { return std::move(*this); }

   private:
    friend class GenServer;
    Next next_;
  };
  // The result of calls.
  class CallResult {
   public:
    CallResult(Result r) : next_(std::move(r.next_)) {}           // NOLINT: no reply yet
    CallResult(Stopping s) { next_.stop = std::move(s.reason); }  // NOLINT: no reply at all
    CallResult&& Timeout(absl::Duration d) && {
      next_.timeout = d;
      return std::move(*this);
    }
    CallResult&& Continue(Payload argument) && {
      next_.continuation = std::move(argument);
      return std::move(*this);
    }
    CallResult&& Hibernate() && { return std::move(*this); }

   private:
    friend class GenServer;
    CallResult(Payload reply, absl::Status error, std::optional<ExitReason> stop)
        : replies_(true), reply_(std::move(reply)), error_(std::move(error)) {
      next_.stop = std::move(stop);
    }
    bool replies_ = false;
    Payload reply_;
    absl::Status error_;
    Next next_;
  };
  class InitResult {
   public:
    InitResult(Stopping s) : value_(Initialised::Stop(std::move(s.reason))) {}  // NOLINT
    InitResult&& Timeout(absl::Duration d) && {
      value_.next.timeout = d;
      return std::move(*this);
    }
    InitResult&& Continue(Payload argument) && {
      value_.next.continuation = std::move(argument);
      return std::move(*this);
    }
    InitResult&& Hibernate() && { return std::move(*this); }

   private:
    friend class GenServer;
    explicit InitResult(Initialised v) : value_(std::move(v)) {}
    Initialised value_;
  };

  // --- callbacks, mandatory
  // Runs before the start returns; the process has its name already.
  virtual Task<InitResult> Init(std::vector<Payload> args) = 0;
  // Without a reply in the result the caller waits until somebody calls self().Answer(from, ...).
  virtual Task<CallResult> HandleCall(Payload request, CallFrom from) = 0;
  virtual Task<Result> HandleCast(Payload request) = 0;

  // --- callbacks, optional
  // Everything else: plain messages, DOWN, 'EXIT' of others when trapping, timers, the idle
  // timeout. Default: a warning, and the message is dropped.
  virtual Task<Result> HandleInfo(Message message);
  // Default: the server ends with ERROR `undef`.
  virtual Task<Result> HandleContinue(Payload argument);
  virtual Task<void> Terminate(ExitReason reason) { return Task<void>(); }

  // The idle timeout, as opposed to a timer of self().StartTimer.
  static bool IsIdleTimeout(const Message& m) { return m.is_timeout() && m.ref() == 0; }

 protected:
  // --- results
  static InitResult Ok() { return InitResult(Initialised::Ok()); }
  static InitResult Ignore() { return InitResult(Initialised::Ignore()); }
  static Stopping Stop(ExitReason reason) { return {std::move(reason)}; }
  static Result NoReply() { return {}; }
  static CallResult Reply(Payload reply) {
    return {std::move(reply), absl::OkStatus(), std::nullopt};
  }
  // An error of the server's own, or one that a call of its own ended with: the request ran.
  static CallResult ReplyError(absl::Status error) {
    return Refuse(MarkAnswered(std::move(error)));
  }
  // Nothing was done for the request; the error's outcome and retry delay say so to the caller.
  static CallResult Refuse(absl::Status error) { return {{}, std::move(error), std::nullopt}; }
  // Terminate runs first, then the caller gets the reply, even if Terminate fails.
  static CallResult StopReply(ExitReason reason, Payload reply) {
    return {std::move(reply), absl::OkStatus(), std::move(reason)};
  }
  // CALL_NOT_HANDLED: what a server answers to a request of a type that it does not know.
  static CallResult NotHandled(const Payload& request);

  // The steps of Init; see InitSteps. An Init that does not end with Ok() unwinds what is left of
  // them, whatever ended it.
  InitSteps& steps();

 public:
  // --- the behaviour's side
  ~GenServer() override;
  std::string_view engine() const override { return "generic server"; }
  Task<Initialised> OnInit(std::vector<Payload> args) final;
  Task<Next> OnMessage(Message message) final;
  Task<Next> OnTimeout() final;
  Task<Next> OnContinue(Payload argument) final;
  Task<void> OnTerminate(ExitReason reason) final { return Terminate(std::move(reason)); }
  void OnTerminated() final { SendPendingReply(); }

 private:
  struct PendingReply {
    CallFrom to;
    Payload reply;
  };
  Task<Next> OnCall(Message message);
  Task<Initialised> FinishInit(Task<InitResult> init);
  Next Finish(CallResult result, const CallFrom& from);
  Task<Next> FinishLater(Task<CallResult> result, CallFrom from);
  Next Finish(Result result);
  Task<Next> FinishLater(Task<Result> result);
  Task<Next> FinishStep(Task<Result> result);
  void SendPendingReply();

  std::unique_ptr<PendingReply> pending_reply_;  // {stop,Reason,Reply,State}: sent after Terminate
  std::unique_ptr<InitSteps> steps_;             // null: none were asked for
};

}  // namespace banyan
