#include "server/runtime/undeliverable.h"

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

}  // namespace banyan
