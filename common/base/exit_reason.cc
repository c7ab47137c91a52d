#include "common/base/exit_reason.h"

#include <utility>

#include "fmt/format.h"

namespace banyan {
namespace {
const ExitReason::Info kNoInfo;
constexpr std::string_view kTextUrl = "type.googleapis.com/google.protobuf.StringValue";

// A serialized google.protobuf.StringValue, so that every client can read it.
Payload TextPayload(std::string_view text) {
  std::string bytes;
  if (!text.empty()) {
    bytes.push_back(0x0A);
    for (size_t n = text.size();; n >>= 7) {
      bytes.push_back(static_cast<char>(n < 0x80 ? n : (n & 0x7F) | 0x80));
      if (n < 0x80) break;
    }
    bytes.append(text);
  }
  return Payload::Any(std::string(kTextUrl), std::move(bytes));
}
}  // namespace

ExitReason ExitReason::Shutdown(Payload detail, std::string message) {
  return ExitReason(Kind::kShutdown,
                    Info{.message = std::move(message), .detail = std::move(detail)});
}

ExitReason ExitReason::FailedToStartChild(std::string id, ExitReason cause) {
  Info info;
  info.message = fmt::format("failed to start child {}", id);
  info.detail = TextPayload(id);
  info.cause = std::make_shared<const ExitReason>(std::move(cause));
  return ExitReason(Kind::kShutdown, std::move(info));
}

ExitReason ExitReason::Error(std::string type, std::string message, Payload detail) {
  Info info;
  info.type = std::move(type);
  info.message = std::move(message);
  info.detail = std::move(detail);
  return ExitReason(Kind::kError, std::move(info));
}

bool ExitReason::is_shutdown_with_detail() const {
  return kind_ == Kind::kShutdown && info_ && (!info_->detail.empty() || info_->cause);
}

const std::string& ExitReason::message() const { return (info_ ? *info_ : kNoInfo).message; }
const std::string& ExitReason::type() const { return (info_ ? *info_ : kNoInfo).type; }
const Payload& ExitReason::detail() const { return (info_ ? *info_ : kNoInfo).detail; }
const std::vector<std::string>& ExitReason::stack() const {
  return (info_ ? *info_ : kNoInfo).stack;
}

std::string_view ExitKindName(ExitReason::Kind kind) {
  switch (kind) {
    case ExitReason::Kind::kNormal:
      return "normal";
    case ExitReason::Kind::kShutdown:
      return "shutdown";
    case ExitReason::Kind::kKilled:
      return "killed";
    case ExitReason::Kind::kKill:
      return "kill";
    case ExitReason::Kind::kNoProc:
      return "noproc";
    case ExitReason::Kind::kNoConnection:
      return "noconnection";
    case ExitReason::Kind::kTimeout:
      return "timeout";
    case ExitReason::Kind::kError:
      return "error";
  }
  return "error";
}

std::string ExitReason::ToString() const {
  std::string out(ExitKindName(kind_));
  if (!info_) return out;
  if (!info_->type.empty()) out += " " + info_->type;
  if (!info_->message.empty()) out += ": " + info_->message;
  if (info_->cause) out += " (" + info_->cause->ToString() + ")";
  return out;
}

bool operator==(const ExitReason& a, const ExitReason& b) {
  if (a.kind_ != b.kind_) return false;
  if (a.info_ == b.info_) return true;
  const ExitReason::Info& x = a.info_ ? *a.info_ : kNoInfo;
  const ExitReason::Info& y = b.info_ ? *b.info_ : kNoInfo;
  if (x.type != y.type || x.message != y.message || !(x.detail == y.detail)) return false;
  if (!x.cause || !y.cause) return x.cause == y.cause;
  return *x.cause == *y.cause;
}

}  // namespace banyan
