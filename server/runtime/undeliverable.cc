#include "server/runtime/undeliverable.h"

#include "fmt/format.h"

#include "common/base/error.h"

namespace banyan {

SignalPtr Undeliverable(const Signal& s, const ExitReason& reason, absl::Status call_error) {
  SignalKind kind;
  switch (s.kind) {
    case SignalKind::kCall:
    case SignalKind::kSystem:
      kind = call_error.ok() ? SignalKind::kDown : SignalKind::kReply;
      break;
    case SignalKind::kMonitor:
      kind = SignalKind::kDown;
      break;
    case SignalKind::kLink:
      kind = SignalKind::kLinkExit;
      break;
    case SignalKind::kUnlink:
      kind = SignalKind::kUnlinkAck;
      break;
    default:
      return nullptr;  // messages, exits, answers: sent to nobody
  }
  auto answer = std::make_unique<Signal>(kind);
  answer->from = s.to;
  answer->to = s.from;
  answer->ref = s.ref;
  answer->reason = reason;
  if (kind == SignalKind::kReply) answer->status = std::move(call_error);
  return answer;
}

absl::Status MailboxFull(Pid to, int64_t limit, std::string_view what) {
  const std::string pid = FormatPid(to);
  return MakeError("MAILBOX_FULL", fmt::format("{} {} wait for {} already", limit, what, pid),
                   {{"limit", fmt::format("{}", limit)}, {"target", pid}});
}

}  // namespace banyan
