#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "server/behaviours/code_change.h"
#include "server/behaviours/sys_debug.h"
#include "server/behaviours/sys_status.h"
#include "server/runtime/runtime.h"
#include "server/runtime/self.h"

// System requests (OTP's sys): what every behaviour answers between two callbacks.

namespace banyan {

struct SysRequest {
  enum class Op : uint8_t {
    kGetState,
    kReplaceState,  // `replace`, run in the target
    kGetStatus,
    kSuspend,
    kResume,
    kChangeCode,  // `change`; only while suspended: NOT_SUSPENDED
    kTerminate,   // `reason`; answered at once
    kDebug,       // `debug`
  };
  Op op = Op::kGetState;
  Payload payload;
  ExitReason reason;
  std::function<absl::StatusOr<Payload>(const Payload&)> replace;
  CodeChange change;
  DebugOption debug;

  static SysRequest Of(Op op);
  static SysRequest Of(DebugOption option);  // kDebug
};

// What statistics have counted since they were turned on.
struct SysStatistics {
  absl::Time start_time;
  absl::Time current_time;
  uint64_t reductions = 0;    // messages handed to the process's code, system requests included
  uint64_t messages_in = 0;   // kIn events
  uint64_t messages_out = 0;  // kOut events: replies that callbacks returned
};

namespace sys {

// Errors: those of a call (NOPROC, CALL_TIMEOUT, CALLING_SELF, CALLEE_EXITED, ...) and
// STATE_NOT_ACCESSIBLE, STATE_INVALID, NOT_SUSPENDED, CODE_CHANGE_UNSUPPORTED, CODE_CHANGE_FAILED.
Task<absl::StatusOr<Payload>> GetState(Self& self, Pid target,
                                       absl::Duration timeout = absl::Seconds(5));
Task<absl::StatusOr<Payload>> ReplaceState(
    Self& self, Pid target, std::function<absl::StatusOr<Payload>(const Payload&)> replace,
    absl::Duration timeout = absl::Seconds(5));
Task<absl::StatusOr<SysStatus>> GetStatus(Self& self, Pid target,
                                          absl::Duration timeout = absl::Seconds(5));
// Suspended: only system requests and the parent's exit are served, all else waits in order.
Task<absl::Status> Suspend(Self& self, Pid target, absl::Duration timeout = absl::Seconds(5));
Task<absl::Status> Resume(Self& self, Pid target, absl::Duration timeout = absl::Seconds(5));
Task<absl::Status> ChangeCode(Self& self, Pid target, CodeChange change,
                              absl::Duration timeout = absl::Seconds(5));
// Asks the target to end itself with `reason`, its terminate callback first; does not wait for it.
Task<absl::Status> Terminate(Self& self, Pid target, ExitReason reason,
                             absl::Duration timeout = absl::Seconds(5));

// The debug facilities: what turns something on or off. Error: REQUEST_INVALID for an option that
// makes no sense or a file that cannot be written.
Task<absl::Status> Debug(Self& self, Pid target, DebugOption option,
                         absl::Duration timeout = absl::Seconds(5));
// Logged events, oldest first; none if the log is off.
Task<absl::StatusOr<std::vector<SysEvent>>> GetLog(Self& self, Pid target,
                                                   absl::Duration timeout = absl::Seconds(5));
// nullopt: no statistics are kept.
Task<absl::StatusOr<std::optional<SysStatistics>>> GetStatistics(
    Self& self, Pid target, absl::Duration timeout = absl::Seconds(5));

// gen_server:stop. Ok once the target is down with exactly `reason`. Errors: NOPROC, CALLING_SELF,
// CALL_TIMEOUT (it may still end later), CALLEE_EXITED with another reason.
Task<absl::Status> Stop(Self& self, Pid target, ExitReason reason = {},
                        absl::Duration timeout = absl::InfiniteDuration());

// From outside any process.
void Request(Runtime& runtime, Pid target, SysRequest request, Instant deadline,
             Runtime::CallDone done);

}  // namespace sys
}  // namespace banyan
