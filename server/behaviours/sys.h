#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

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
    kChangeCode,  // `payload`; only while suspended: NOT_SUSPENDED
    kTerminate,   // `reason`; answered at once
  };
  Op op = Op::kGetState;
  Payload payload;
  ExitReason reason;
  std::function<absl::StatusOr<Payload>(const Payload&)> replace;
};

// The answer to kGetStatus, as a local payload.
struct SysStatus {
  Pid pid;
  std::string module;
  bool suspended = false;
  Pid parent;
  Payload state;  // as FormatStatus() shows it; empty if the module does not say
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
Task<absl::Status> ChangeCode(Self& self, Pid target, Payload extra,
                              absl::Duration timeout = absl::Seconds(5));

// gen_server:stop. Ok once the target is down with exactly `reason`. Errors: NOPROC, CALLING_SELF,
// CALL_TIMEOUT (it may still end later), CALLEE_EXITED with another reason.
Task<absl::Status> Stop(Self& self, Pid target, ExitReason reason = {},
                        absl::Duration timeout = absl::InfiniteDuration());

// From outside any process.
void Request(Runtime& runtime, Pid target, SysRequest request, Instant deadline,
             Runtime::CallDone done);

}  // namespace sys
}  // namespace banyan
