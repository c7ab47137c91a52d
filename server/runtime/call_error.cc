#include "server/runtime/call_error.h"

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/base/mutant.h"

namespace banyan {

absl::Status EndedUnheard(Pid callee, const ExitReason& reason) {
  const std::string pid = FormatPid(callee);
  return MakeError(
      "CALLEE_EXITED",
      fmt::format("{} ended before it looked at the request: {}", pid, reason.ToString()),
      {{"target", pid}, {"outcome", std::string(kNotExecuted)}}, reason);
}

absl::StatusOr<Payload> ToCallResult(CallReply reply, Pid callee, absl::Duration timeout) {
  if (reply.outcome == CallReply::Outcome::kReply) {
    if (!reply.status.ok()) return reply.status;
    return std::move(reply.payload);
  }
  const std::string pid = FormatPid(callee);
  if (reply.outcome == CallReply::Outcome::kTimeout) {
    return MakeError(
        "CALL_TIMEOUT",
        fmt::format("{} did not reply within {}", pid, absl::FormatDuration(timeout)),
        {{"target", pid}, {"timeoutMs", fmt::format("{}", absl::ToInt64Milliseconds(timeout))}});
  }
  switch (reply.reason.kind()) {
    case ExitReason::Kind::kNoProc:
      return MakeError("NOPROC", fmt::format("there is no process {}", pid), {{"target", pid}});
    case ExitReason::Kind::kNoConnection:
      if (Mutant("lost-call-not-executed"))
        return MakeError("NOCONNECTION", "", {{"outcome", std::string(kNotExecuted)}});
      return MakeError("NOCONNECTION",
                       fmt::format("the connection to {} broke while its reply was awaited", pid),
                       {{"target", pid}});
    default:
      return MakeError("CALLEE_EXITED",
                       fmt::format("{} ended before it replied: {}", pid, reply.reason.ToString()),
                       {{"target", pid}}, reply.reason);
  }
}

}  // namespace banyan
