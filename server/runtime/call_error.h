#pragma once

#include "absl/status/statusor.h"

#include "server/runtime/self.h"

namespace banyan {

// A reply as its caller sees it: the payload, the callee's own error, or the platform's (NOPROC,
// NOCONNECTION, CALLEE_EXITED, CALL_TIMEOUT).
absl::StatusOr<Payload> ToCallResult(CallReply reply, Pid callee, absl::Duration timeout);

// The answer to a call that was in the mailbox of `callee` when it ended: CALLEE_EXITED, not
// executed.
absl::Status EndedUnheard(Pid callee, const ExitReason& reason);

}  // namespace banyan
