#pragma once

#include "absl/status/statusor.h"

#include "server/runtime/self.h"

namespace banyan {

// A reply as its caller sees it: the payload, the callee's own error, or the platform's (NOPROC,
// NOCONNECTION, CALLEE_EXITED, CALL_TIMEOUT).
absl::StatusOr<Payload> ToCallResult(CallReply reply, Pid callee, absl::Duration timeout);

}  // namespace banyan
