#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "absl/time/time.h"

#include "common/base/exit_reason.h"
#include "common/base/payload.h"
#include "common/base/pid.h"
#include "server/core/child_spec.h"

namespace banyan {

// Names one child record of one supervisor for ever: rises with every record made, is never reused,
// and survives a snapshot. 0: none.
using ChildKey = uint64_t;
inline constexpr ChildKey kNoChild = 0;

// An operation's number, chosen by the driver; comes back in OpReply. 0: nobody waits, no reply.
using OpId = uint64_t;

// The outcome of an operation on a supervisor, in OTP's words.
struct OpResult {
  enum class Code : uint8_t {
    kOk,               // start/restart: {ok,Pid} or {ok,Pid,Info}; terminate/delete: ok
    kIgnored,          // {ok,undefined}
    kStartFailed,      // {error,E}: `reason`
    kAlreadyStarted,   // {error,{already_started,Pid}}; no pid while that start is under way
    kAlreadyPresent,   // {error,already_present}
    kNotFound,         // {error,not_found}
    kRunning,          // {error,running}
    kRestarting,       // {error,restarting}
    kSimpleOneForOne,  // {error,simple_one_for_one}
    kMaxChildren,      // {error,max_children}
    kShuttingDown,     // the supervisor stops; OTP's caller would exit with its reason
  };
  Code code = Code::kOk;
  ChildKey key = kNoChild;  // the child concerned, where there is one
  Pid pid;
  Payload info;                     // OTP's Info of {ok,Pid,Info}
  ExitReason reason;                // kStartFailed
  std::optional<ExitReason> ended;  // terminate of a running child: how it ended
};

// OTP's supervisor and progress reports. The driver adds the supervisor's name and logs it.
struct SupervisorReport {
  enum class Context : uint8_t {
    kProgress,
    kStartError,
    kChildTerminated,
    kShutdown,  // the intensity was exceeded; reason has type reached_max_restart_intensity
    kShutdownError,
  };
  Context context = Context::kProgress;
  ExitReason reason;
  // The offender, or the child started.
  ChildKey key = kNoChild;
  std::shared_ptr<const ChildSpec> spec;
  Pid pid;                   // invalid: OTP's `undefined`
  bool restarting = false;   // OTP shows {restarting,Pid} in place of the pid
  uint32_t nb_children = 0;  // > 0: dynamic children that ended alike are reported as one
};
inline constexpr char kReachedMaxRestartIntensity[] = "reached_max_restart_intensity";

// What the driver must do, in the order given.
namespace action {

// Start the child (its record has spec and arguments); answer OnStarted, OnStartIgnored or
// OnStartFailed, once.
struct Start {
  ChildKey key;
};
// Stop the child; answer OnStopped, once, when it is provably over. A child already dead is
// answered with the reason it had. A Stop may overtake a Start that is still unanswered (never for
// a driver that delivers no event while busy()): then only OnStopped counts, and the start's own
// answer is ignored.
struct Stop {
  ChildKey key;
  ShutdownPolicy policy;
};
// Stop all of these at the same time, each by its own policy; OnStopped for each.
struct StopAll {
  std::vector<ChildKey> keys;
};
// Call OnRetry(key) after `delay`; zero: after everything that is already in the supervisor's
// mailbox.
struct ScheduleRetry {
  ChildKey key;
  absl::Duration delay;
};
// The record is gone; drop what was kept under this key.
struct Forget {
  ChildKey key;
};
// The record has no process from here on and nothing is to be done about it: for a driver that
// keeps records elsewhere too.
struct Dropped {
  ChildKey key;
};
struct Report {
  SupervisorReport report;
};
struct OpReply {
  OpId op;
  OpResult result;
};
// All children are over. Nothing follows; the planner takes no more events.
struct ExitSupervisor {
  ExitReason reason;
};

}  // namespace action

using SupervisorAction = std::variant<action::Start, action::Stop, action::StopAll,
                                      action::ScheduleRetry, action::Forget, action::Dropped,
                                      action::Report, action::OpReply, action::ExitSupervisor>;
using SupervisorActions = std::vector<SupervisorAction>;

}  // namespace banyan
