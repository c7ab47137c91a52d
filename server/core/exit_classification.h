#pragma once

#include "common/base/exit_reason.h"
#include "server/core/child_spec.h"

namespace banyan {

// What an exit that nobody asked for leads to. Source: OTP 25 supervisor, do_restart.
struct ExitDecision {
  bool restart = false;  // else: record dropped (temporary, dynamic) or kept without a process
  bool report = false;   // a child_terminated report
  friend bool operator==(const ExitDecision&, const ExitDecision&) = default;
};
ExitDecision ClassifyExit(RestartType type, const ExitReason& reason);

// Whether a child that was told to stop and ended with `reason` must be reported (shutdown_error).
// The stop counts as done either way. Source: OTP 25 supervisor, shutdown/1.
bool StopIsAbnormal(const ShutdownPolicy& policy, RestartType type, const ExitReason& reason);

}  // namespace banyan
