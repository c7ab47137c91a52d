#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "server/behaviours/host.h"
#include "server/behaviours/start.h"
#include "server/runtime/self.h"

namespace banyan {

struct StartContext;
struct SysRequest;

// What a process does after a callback: wait for the next message, at most `timeout`; first run
// OnContinue; or end.
struct Next {
  absl::Duration timeout = absl::InfiniteDuration();
  std::optional<Payload> continuation;  // runs before any message
  std::optional<ExitReason> stop;

  static Next Wait(absl::Duration timeout = absl::InfiniteDuration()) {
    return Next{timeout, {}, {}};
  }
  static Next Continue(Payload p) { return Next{absl::InfiniteDuration(), std::move(p), {}}; }
  static Next Stop(ExitReason reason) {
    return Next{absl::InfiniteDuration(), {}, std::move(reason)};
  }
};

// How initialisation ended.
struct Initialised {
  enum class Kind : uint8_t { kOk, kIgnore, kStop };
  Kind kind = Kind::kOk;
  Next next;          // kOk
  Payload info;       // kOk: goes to whoever asked for the start
  ExitReason reason;  // kStop

  static Initialised Ok(Next next = {}) { return {Kind::kOk, std::move(next), {}, {}}; }
  static Initialised Ignore() { return {Kind::kIgnore, {}, {}, {}}; }
  static Initialised Stop(ExitReason reason) { return {Kind::kStop, {}, {}, std::move(reason)}; }
};

// The base of every behaviour, the shipped ones (GenServer, Supervisor) and those of third parties:
// one object a process. The author of a behaviour overrides the On... functions, which the loop of
// RunBehaviour() calls one at a time, and declares callbacks of his own, pure virtual where a
// module must have them.
//
// The loop does for everyone: acknowledging the start, sys requests at every wait, the rule about a
// parent's exit, exceptions as exit reasons, terminate.
//
//   OnInit -> (OnContinue) -> wait -> OnMessage | OnTimeout | sys request -> ... -> OnTerminate
//
// A callback that has its answer at once returns it (`return Next::Wait();`) and pays for no
// coroutine frame; one that waits is a coroutine. While it is suspended messages wait, exit signals
// do not.
class Behaviour {
 public:
  virtual ~Behaviour() = default;
  Behaviour() = default;
  Behaviour(const Behaviour&) = delete;
  Behaviour& operator=(const Behaviour&) = delete;

  // Once, first. kStop, `ignore` and exceptions: the start fails and OnTerminate does not run.
  virtual Task<Initialised> OnInit(std::vector<Payload> args) = 0;
  // Every message but sys requests and, for a process that traps exits, 'EXIT' of its parent.
  virtual Task<Next> OnMessage(Message message) = 0;
  // Nothing came for the `timeout` of the last Next.
  virtual Task<Next> OnTimeout() { return Next::Wait(); }
  virtual Task<Next> OnContinue(Payload argument) { return Next::Wait(); }
  // The process ends by itself, by a sys request, or because its parent ended and it traps exits.
  // Not when it is killed or dies of a signal it does not trap: then only destructors run. An
  // exception here replaces the reason.
  virtual Task<void> OnTerminate(ExitReason reason) { return Task<void>(); }
  // After OnTerminate, whether that failed or not.
  virtual void OnTerminated() {}

  // --- sys. The state as a payload: a local value of a type that the behaviour documents, or a
  // message.
  virtual absl::StatusOr<Payload> GetState();
  virtual absl::Status ReplaceState(const Payload& state);
  // The state as people may see it.
  virtual absl::StatusOr<Payload> FormatStatus() { return GetState(); }
  // New code or configuration, only while suspended. An error leaves the old state.
  virtual Task<absl::Status> OnCodeChange(Payload extra);

  // --- set by the loop before OnInit
  void Attach(Self* self, const StartContext* context) {
    self_ = self;
    context_ = context;
  }

 protected:
  Self& self() const { return *self_; }
  const Host& host() const;
  // How this process was started.
  const StartContext& context() const { return *context_; }

 private:
  Self* self_ = nullptr;
  const StartContext* context_ = nullptr;
};

// The whole life of a process of `behaviour`: what a StartBody of a behaviour runs. `parent`: whose
// exit ends it if it traps exits; invalid: nobody's.
Task<ExitReason> RunBehaviour(Self& self, std::unique_ptr<Behaviour> behaviour,
                              std::vector<Payload> args,
                              std::shared_ptr<const StartContext> context, StartAck ack,
                              Pid parent);

}  // namespace banyan
