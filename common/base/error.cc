#include "common/base/error.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/cord.h"
#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error_codec.h"

namespace banyan {
namespace {

constexpr char kTypeUrl[] = "type.banyan/ErrorInfo";
constexpr char kAnsweredKey[] = "type.banyan/Answered";
constexpr int kRetryAfterMs = 50;

enum class Ran : uint8_t { kNo, kUnknown, kNotSaid };

struct ReasonRow {
  std::string_view reason;
  absl::StatusCode code;
  Ran ran;
  bool retry = false;
};

using enum absl::StatusCode;

// docs/errors.md shows this table to users. Sorted by reason.
constexpr ReasonRow kReasons[] = {
    {"BACKUP_RUNNING", kFailedPrecondition, Ran::kNo},
    {"CALLEE_EXITED", kAborted, Ran::kUnknown},
    {"CALLING_SELF", kFailedPrecondition, Ran::kNo},
    {"CALL_EXPIRED", kDeadlineExceeded, Ran::kNo},
    {"CALL_NOT_HANDLED", kUnimplemented, Ran::kNo},
    {"CALL_TIMEOUT", kDeadlineExceeded, Ran::kUnknown},
    {"CHILD_ALREADY_PRESENT", kAlreadyExists, Ran::kNo},
    {"CHILD_ALREADY_STARTED", kAlreadyExists, Ran::kNo},
    {"CHILD_FROZEN", kUnavailable, Ran::kNo, true},
    {"CHILD_NOT_FOUND", kNotFound, Ran::kNo},
    {"CHILD_RESTARTING", kUnavailable, Ran::kNo, true},
    {"CHILD_RUNNING", kFailedPrecondition, Ran::kNo},
    {"CHILD_START_FAILED", kAborted, Ran::kNotSaid},
    {"CODE_CHANGE_FAILED", kAborted, Ran::kNo},
    {"CODE_CHANGE_UNSUPPORTED", kUnimplemented, Ran::kNo},
    {"COORDINATOR_UNAVAILABLE", kUnavailable, Ran::kNo, true},
    {"CREDENTIALS_INVALID", kUnauthenticated, Ran::kNotSaid},
    {"CREDENTIALS_MISSING", kUnauthenticated, Ran::kNotSaid},
    {"ETAG_MISMATCH", kAborted, Ran::kNo},
    {"FEATURE_LEVEL", kFailedPrecondition, Ran::kNo},
    {"FORWARD_LOOP", kInternal, Ran::kNo},
    {"GROUP_EMPTY", kNotFound, Ran::kNo},
    {"HANDLER_FAILED", kAborted, Ran::kNotSaid},
    {"HANDLER_NOT_FOUND", kNotFound, Ran::kNo},
    {"HELLO_INVALID", kInvalidArgument, Ran::kNo},
    {"MAILBOX_FULL", kResourceExhausted, Ran::kNo, true},
    {"MAX_CHILDREN", kResourceExhausted, Ran::kNo},
    {"NAME_IN_USE", kFailedPrecondition, Ran::kNo},
    {"NAME_NOT_APPLIED", kFailedPrecondition, Ran::kNo},
    {"NAME_NOT_REGISTERED", kNotFound, Ran::kNo},
    {"NAME_TAKEN", kAlreadyExists, Ran::kNo},
    {"NOCONNECTION", kUnavailable, Ran::kUnknown},
    {"NODE_NOT_ACTIVE", kFailedPrecondition, Ran::kNo},
    {"NODE_NOT_FOUND", kNotFound, Ran::kNo},
    {"NODE_OVERLOADED", kResourceExhausted, Ran::kNo, true},
    {"NODE_REACHABLE", kFailedPrecondition, Ran::kNo},
    {"NODE_STILL_UP", kFailedPrecondition, Ran::kNo},
    {"NODE_STOPPING", kUnavailable, Ran::kNo, true},
    {"NODE_UNSCHEDULABLE", kFailedPrecondition, Ran::kNo},
    {"NOPROC", kNotFound, Ran::kNo},
    {"NOT_A_SUPERVISOR", kFailedPrecondition, Ran::kNo},
    {"NOT_DELIVERED", kUnavailable, Ran::kNo, true},
    {"NOT_IN_SAFE_MODE", kFailedPrecondition, Ran::kNo},
    {"NOT_JOINED", kNotFound, Ran::kNo},
    {"NOT_LEADER", kFailedPrecondition, Ran::kNo},
    {"NOT_LOCAL", kInvalidArgument, Ran::kNo},
    {"NOT_SUSPENDED", kFailedPrecondition, Ran::kNo},
    {"NO_NODE_FITS", kFailedPrecondition, Ran::kNo},
    {"NO_QUORUM", kUnavailable, Ran::kNo, true},
    {"OPERATION_NOT_FOUND", kNotFound, Ran::kNotSaid},
    {"PAGE_TOKEN_INVALID", kInvalidArgument, Ran::kNo},
    {"PAYLOAD_INVALID", kInvalidArgument, Ran::kNo},
    {"PAYLOAD_TOO_LARGE", kResourceExhausted, Ran::kNo},
    {"PROTOCOL_VIOLATION", kInvalidArgument, Ran::kNo},
    {"RECOVERING", kUnavailable, Ran::kNo, true},
    {"REQUEST_ID_REUSED", kInvalidArgument, Ran::kNo},
    {"REQUEST_INVALID", kInvalidArgument, Ran::kNo},
    {"REQUEST_TOO_OLD", kFailedPrecondition, Ran::kNo},
    {"RESUME_TOKEN_EXPIRED", kOutOfRange, Ran::kNotSaid},
    {"ROLE_MISSING", kPermissionDenied, Ran::kNotSaid},
    {"SAFE_MODE", kFailedPrecondition, Ran::kNo},
    {"SIMPLE_ONE_FOR_ONE", kFailedPrecondition, Ran::kNo},
    {"SPEC_INVALID", kInvalidArgument, Ran::kNo},
    {"START_FAILED", kAborted, Ran::kNotSaid},
    {"START_TIMEOUT", kDeadlineExceeded, Ran::kNotSaid},
    {"STATE_INVALID", kInvalidArgument, Ran::kNo},
    {"STATE_NOT_ACCESSIBLE", kUnimplemented, Ran::kNo},
    {"STORE_FULL", kResourceExhausted, Ran::kNo},
    {"STREAMING_UNSUPPORTED", kUnimplemented, Ran::kNo},
    {"TARGET_INVALID", kInvalidArgument, Ran::kNo},
    {"TARGET_METADATA_MISSING", kUnimplemented, Ran::kNo},
    {"TRACE_PAYLOADS_FORBIDDEN", kPermissionDenied, Ran::kNotSaid},
    {"TREE_TOO_LARGE", kResourceExhausted, Ran::kNo},
    {"WATCHER_TOO_SLOW", kResourceExhausted, Ran::kNotSaid, true},
    {"WORKER_NAME_TAKEN", kAlreadyExists, Ran::kNo},
    {"WRONG_CLUSTER", kFailedPrecondition, Ran::kNo},
};
static_assert(std::is_sorted(std::begin(kReasons), std::end(kReasons),
                             [](const ReasonRow& a, const ReasonRow& b) {
                               return a.reason < b.reason;
                             }));

ReasonRow FindReason(std::string_view reason) {
  const ReasonRow* row =
      std::lower_bound(std::begin(kReasons), std::end(kReasons), reason,
                       [](const ReasonRow& r, std::string_view word) { return r.reason < word; });
  if (row != std::end(kReasons) && row->reason == reason) return *row;
  return {reason, absl::StatusCode::kUnknown, Ran::kNotSaid};
}

// By way of a view: clang and g++, which built Debian's absl, mangle Cord's constructor from a
// std::string differently.
void Attach(absl::Status& status, const ErrorInfo& info) {
  const std::string bytes = EncodeErrorInfo(info);
  status.SetPayload(kTypeUrl, absl::Cord(absl::string_view(bytes)));
}

absl::Status Build(absl::StatusCode code, std::string_view message, const ErrorInfo& info) {
  absl::Status status(code, absl::string_view(message.data(), message.size()));
  Attach(status, info);
  return status;
}

ErrorInfo InfoFor(const ReasonRow& row, std::map<std::string, std::string> metadata) {
  ErrorInfo info;
  info.reason = std::string(row.reason);
  info.metadata = std::move(metadata);
  if (row.ran == Ran::kNo) info.metadata.try_emplace("outcome", kNotExecuted);
  if (row.ran == Ran::kUnknown) info.metadata.try_emplace("outcome", kOutcomeUnknown);
  // One that may have run is not for everybody to send again.
  const auto outcome = info.metadata.find("outcome");
  const bool ran = outcome != info.metadata.end() && outcome->second == kOutcomeUnknown;
  if (row.retry && !ran) info.retry_after_ms = kRetryAfterMs;
  return info;
}

}  // namespace

absl::Status MakeError(std::string_view reason, std::string message,
                       std::map<std::string, std::string> metadata,
                       std::optional<ExitReason> exit_reason) {
  const ReasonRow row = FindReason(reason);
  ErrorInfo info = InfoFor(row, std::move(metadata));
  info.exit_reason = std::move(exit_reason);
  return Build(row.code, message, info);
}

absl::Status MakeFieldError(std::string_view reason,
                            std::vector<ErrorInfo::FieldViolation> fields) {
  const ReasonRow row = FindReason(reason);
  ErrorInfo info = InfoFor(row, {});
  std::string message =
      fields.empty() ? "the request is invalid"
                     : fmt::format("{}: {}", fields.front().field, fields.front().description);
  if (fields.size() > 1) message += fmt::format(" (and {} more)", fields.size() - 1);
  info.fields = std::move(fields);
  return Build(row.code, message, info);
}

std::optional<ErrorInfo> GetErrorInfo(const absl::Status& status) {
  if (status.ok()) return std::nullopt;
  const auto payload = status.GetPayload(kTypeUrl);
  if (!payload.has_value()) return std::nullopt;
  return DecodeErrorInfo(std::string(*payload));
}

std::string ErrorReason(const absl::Status& status) {
  std::optional<ErrorInfo> info = GetErrorInfo(status);
  return info ? std::move(info->reason) : std::string();
}

absl::Status WithErrorInfo(absl::Status status, const ErrorInfo& info) {
  if (status.ok()) return status;
  ErrorInfo merged = GetErrorInfo(status).value_or(ErrorInfo{});
  if (!info.reason.empty()) merged.reason = info.reason;
  for (const auto& [key, value] : info.metadata) merged.metadata[key] = value;
  merged.fields.insert(merged.fields.end(), info.fields.begin(), info.fields.end());
  if (info.exit_reason) merged.exit_reason = info.exit_reason;
  if (info.retry_after_ms != 0) merged.retry_after_ms = info.retry_after_ms;
  Attach(status, merged);
  return status;
}

absl::Status MayHaveRun(const absl::Status& status) {
  std::optional<ErrorInfo> info = GetErrorInfo(status);
  if (!info) return status;
  info->metadata["outcome"] = std::string(kOutcomeUnknown);
  info->retry_after_ms = 0;
  absl::Status out = status;
  Attach(out, *info);
  return out;
}

absl::Status MarkAnswered(absl::Status status) {
  if (status.ok()) return status;
  if (std::optional<ErrorInfo> info = GetErrorInfo(status)) {
    info->metadata.erase("outcome");
    info->retry_after_ms = 0;
    Attach(status, *info);
  }
  status.SetPayload(kAnsweredKey, absl::Cord("1"));
  return status;
}

bool IsAnswered(const absl::Status& status) { return status.GetPayload(kAnsweredKey).has_value(); }

}  // namespace banyan
