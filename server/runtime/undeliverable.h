#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

#include "server/runtime/signal.h"

namespace banyan {

// What the sender of a signal that cannot reach its receiver gets instead: an exit for a link, a
// DOWN for a monitor, an error for a call, an acknowledgement for an unlink. Null where nobody
// waits.
//
// `reason` is noproc or noconnection. `call_error`, if not OK, is a call's answer rather than a
// DOWN, so that its caller learns that it was not executed.
SignalPtr Undeliverable(const Signal& signal, const ExitReason& reason,
                        absl::Status call_error = {});

// For a call that its mailbox has no room for: so many messages, or bytes, are in there.
absl::Status MailboxFull(Pid to, int64_t limit, std::string_view what);

}  // namespace banyan
