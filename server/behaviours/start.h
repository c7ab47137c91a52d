#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "server/behaviours/sys_debug.h"
#include "server/runtime/runtime.h"
#include "server/runtime/self.h"

// Starting a process that says when it is ready (OTP's proc_lib): the start returns what the
// process acknowledged, after it was initialised, or why it was not.

namespace banyan {

struct StartResult {
  enum class Kind : uint8_t { kStarted, kIgnored, kFailed };
  Kind kind = Kind::kFailed;
  Pid pid;            // kStarted; with reason already_started: who has the name
  Payload info;       // kStarted: OTP's Info of {ok,Pid,Info}
  ExitReason reason;  // kFailed
  Ref monitor = 0;    // kStarted with StartOptions::monitor

  static StartResult Started(Pid pid, Payload info = {}, Ref monitor = 0) {
    return {Kind::kStarted, pid, std::move(info), {}, monitor};
  }
  static StartResult Ignored() { return {Kind::kIgnored, {}, {}, {}, 0}; }
  static StartResult Failed(ExitReason reason) {
    return {Kind::kFailed, {}, {}, std::move(reason), 0};
  }
  bool started() const { return kind == Kind::kStarted; }
  bool ignored() const { return kind == Kind::kIgnored; }
  bool failed() const { return kind == Kind::kFailed; }
};

// ERROR types that starts fail with.
inline constexpr char kAlreadyStarted[] = "already_started";  // StartResult::pid says who
inline constexpr char kUndef[] = "undef";                     // no such module

struct StartBlock;

// A new process's means of telling its starter how initialisation went. Only the first word counts;
// a process that ends without one has failed with its exit reason.
class StartAck {
 public:
  StartAck(Self* self, Pid starter, Ref alias, std::shared_ptr<StartBlock> block)
      : self_(self), starter_(starter), alias_(alias), block_(std::move(block)) {}
  // The start returns this now.
  void Started(Payload info = {});
  // The start returns this when the process is gone, which must be soon: return the reason to end
  // with. Its names are free by then and no 'EXIT' is left behind.
  void Ignored();
  void Failed(ExitReason reason);
  // Who started the process.
  Pid starter() const { return starter_; }

 private:
  Self* self_;
  Pid starter_;
  Ref alias_;
  std::shared_ptr<StartBlock> block_;  // null: told already
};

struct StartOptions {
  bool link = true;      // start_link
  Pid link_to;           // to that process, wherever it is, as if it were the starter
  bool monitor = false;  // start_monitor
  bool trap_exit = false;
  absl::Duration timeout = absl::InfiniteDuration();  // from the spawn to the acknowledgement
  std::string name;  // registered before the first instruction; taken: already_started
  std::string module;
  Pid parent;  // default: the starter
  std::string child_id;
  bool exclusive = false;
  uint64_t fence = 0;
  uint32_t max_messages = 0;
  std::vector<DebugOption> debug;  // on from the first event; for behaviours
};

// The body of such a process: initialises itself, tells `ack`, goes on, ends with the reason
// returned.
using StartBody = std::function<Task<ExitReason>(Self&, StartAck)>;

// Starts a process and waits until it is initialised. A failing start returns when the process is
// gone; a start that takes longer than its timeout is unlinked and killed: {error,timeout}. The
// starter finds no 'EXIT' and no 'DOWN' of a failed start in its mailbox, but if it is linked and
// does not trap exits the failure ends it, unless the reason is `normal`.
Task<StartResult> StartProcess(Self& starter, StartBody body, StartOptions options);

// The same from outside any process, without a link. `done` runs once, on a worker; must not block.
void StartProcess(Runtime& runtime, StartBody body, StartOptions options,
                  std::function<void(StartResult)> done);

// Runs `start` in a short-lived process of its own: how code outside uses what needs a starter.
void StartFromOutside(Runtime& runtime, std::function<Task<StartResult>(Self&)> start,
                      std::function<void(StartResult)> done);

}  // namespace banyan
