#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "common/base/slab.h"
#include "server/behaviours/code_change.h"
#include "server/behaviours/host.h"
#include "server/behaviours/start.h"
#include "server/behaviours/sys_event.h"
#include "server/behaviours/sys_status.h"
#include "server/runtime/self.h"

namespace banyan {

class SysDebug;
struct DebugOption;
struct StartContext;

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
class Behaviour : public InSlab {
 public:
  virtual ~Behaviour();
  Behaviour();
  Behaviour(const Behaviour&) = delete;
  Behaviour& operator=(const Behaviour&) = delete;

  // Once, first. kStop, `ignore` and exceptions: the start fails and OnTerminate does not run.
  virtual Task<Initialised> OnInit(std::vector<Payload> args) = 0;
  // Every message but sys requests and, for a process that traps exits, 'EXIT' of its parent.
  virtual Task<Next> OnMessage(Message message) = 0;
  // Nothing came for the `timeout` of the last Next.
  virtual Task<Next> OnTimeout() { return Next::Wait(); }
  virtual Task<Next> OnContinue(Payload argument) { return Next::Wait(); }
  // Whether OnContinue shows as a kContinue event: not where it is a part of something else.
  virtual bool continue_is_event() const { return true; }
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
  // What people may see of it, in get_status and in reports: `view` comes filled in, with what
  // GetState() gives as the state, and is shown as this leaves it. If this throws, people see
  // nothing but a note.
  virtual void FormatStatus(StatusView& view) {}
  // New code or configuration, only while suspended. An error or exception leaves the process
  // suspended; then the old state must be there still.
  virtual Task<absl::Status> OnCodeChange(CodeChange change);
  // The kind of behaviour, for people: "generic server", "state machine", ...
  virtual std::string_view engine() const { return "process"; }

  // --- sys events: what trace, log, statistics and installed functions hear. The loop reports the
  // message (kIn) before OnMessage and OnTimeout, and kContinue before OnContinue; a behaviour
  // reports the rest.
  //
  //   if (debugging()) Debug(SysEvent::Out(reply, caller));   // off: a test of one pointer
  //
  // Public for helpers of a behaviour that are not members.
  bool debugging() const { return debug_ != nullptr; }
  // Only if debugging(). Runs installed functions: afterwards debugging() may be false.
  void Debug(const SysEvent& event);
  // The kIn event of a message; asked for only if debugging().
  virtual SysEvent InEvent(const Message& message) { return SysEvent::In(message); }
  // The line that trace, log print and log_to_file show.
  virtual std::string FormatEvent(const SysEvent& event) const { return FormatSysEvent(event); }
  // The registered name, or the pid's text.
  std::string DisplayName() const;

  // --- set by the loop before OnInit
  void Attach(Self* self, const StartContext* context) {
    self_ = self;
    context_ = context;
  }
  // One option of the start, after Attach(). One that makes no sense is logged and ignored.
  void StartDebug(const DebugOption& option);

 protected:
  Self& self() const { return *self_; }
  const Host& host() const;
  // How this process was started.
  const StartContext& context() const { return *context_; }

 private:
  Self* self_ = nullptr;
  const StartContext* context_ = nullptr;
  friend class SysServer;
  absl::Status SetDebug(const DebugOption& option);
  std::unique_ptr<SysDebug> debug_;  // null: nothing is on
};

// The whole life of a process of `behaviour`: what a StartBody of a behaviour runs. `parent`: whose
// exit ends it if it traps exits; invalid: nobody's. `entered`: what comes first for a process that
// is initialised already, see EnterLoop(): OnInit does not run, `args` and `ack` are not used.
Task<ExitReason> RunBehaviour(Self& self, std::unique_ptr<Behaviour> behaviour,
                              std::vector<Payload> args,
                              std::shared_ptr<const StartContext> context, StartAck ack, Pid parent,
                              std::optional<Next> entered = std::nullopt);

}  // namespace banyan
