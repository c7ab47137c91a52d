#include "client/transport/error.h"

#include <cstdlib>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include <fmt/format.h>

namespace banyan::client {
namespace {

std::optional<std::string> Trailer(const grpc::ClientContext& context, const char* key) {
  const auto& trailers = context.GetServerTrailingMetadata();
  auto it = trailers.find(key);
  if (it == trailers.end()) return std::nullopt;
  return std::string(it->second.data(), it->second.size());
}

void ReadDetail(const google::protobuf::Any& any, ApiError* error) {
  if (google::rpc::ErrorInfo info; any.UnpackTo(&info)) {
    error->reason = info.reason();
    error->metadata = {info.metadata().begin(), info.metadata().end()};
  } else if (google::rpc::BadRequest bad; any.UnpackTo(&bad)) {
    for (const auto& v : bad.field_violations())
      error->fields.emplace_back(v.field(), v.description());
  } else if (google::rpc::PreconditionFailure failure; any.UnpackTo(&failure)) {
    for (const auto& v : failure.violations()) {
      error->preconditions.push_back(v.subject().empty()
                                         ? v.description()
                                         : fmt::format("{}: {}", v.subject(), v.description()));
    }
  } else if (v1::ExitReason exit; any.UnpackTo(&exit)) {
    error->exit_reason = exit;
  }
}

}  // namespace

std::string ApiError::outcome() const {
  auto it = metadata.find("outcome");
  return it == metadata.end() ? "" : it->second;
}

ApiError DecodeError(const grpc::Status& status, const grpc::ClientContext* context) {
  ApiError error;
  error.code = status.error_code();
  error.message = status.error_message();
  if (status.ok()) return error;
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& any : details.details()) ReadDetail(any, &error);
  }
  if (context != nullptr) {
    if (auto origin = Trailer(*context, "banyan-origin")) error.from_actor = *origin == "actor";
    if (auto pushback = Trailer(*context, "grpc-retry-pushback-ms")) {
      error.pushback_ms = std::atoi(pushback->c_str());
    }
  }
  return error;
}

ApiError LocalError(grpc::StatusCode code, std::string message, std::string reason) {
  ApiError error;
  error.code = code;
  error.message = std::move(message);
  error.reason = std::move(reason);
  return error;
}

ApiError LocalError(const absl::Status& status) {
  // Both use the canonical numbers.
  return LocalError(static_cast<grpc::StatusCode>(status.raw_code()),
                    std::string(status.message()));
}

std::string_view CodeWords(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::OK:
      return "ok";
    case grpc::StatusCode::CANCELLED:
      return "cancelled";
    case grpc::StatusCode::INVALID_ARGUMENT:
      return "invalid argument";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "deadline exceeded";
    case grpc::StatusCode::NOT_FOUND:
      return "not found";
    case grpc::StatusCode::ALREADY_EXISTS:
      return "already exists";
    case grpc::StatusCode::PERMISSION_DENIED:
      return "permission denied";
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return "resource exhausted";
    case grpc::StatusCode::FAILED_PRECONDITION:
      return "failed precondition";
    case grpc::StatusCode::ABORTED:
      return "aborted";
    case grpc::StatusCode::OUT_OF_RANGE:
      return "out of range";
    case grpc::StatusCode::UNIMPLEMENTED:
      return "unimplemented";
    case grpc::StatusCode::INTERNAL:
      return "internal";
    case grpc::StatusCode::UNAVAILABLE:
      return "unavailable";
    case grpc::StatusCode::DATA_LOSS:
      return "data loss";
    case grpc::StatusCode::UNAUTHENTICATED:
      return "unauthenticated";
    default:
      return "unknown";
  }
}

std::string_view ExitKindWord(v1::ExitReason::Kind kind) {
  switch (kind) {
    case v1::ExitReason::KIND_NORMAL:
      return "normal";
    case v1::ExitReason::KIND_SHUTDOWN:
      return "shutdown";
    case v1::ExitReason::KIND_KILLED:
      return "killed";
    case v1::ExitReason::KIND_KILL:
      return "kill";
    case v1::ExitReason::KIND_NOPROC:
      return "noproc";
    case v1::ExitReason::KIND_NOCONNECTION:
      return "noconnection";
    case v1::ExitReason::KIND_TIMEOUT:
      return "timeout";
    default:
      return "error";
  }
}

std::string FormatExitReason(const v1::ExitReason& reason) {
  std::string out(ExitKindWord(reason.kind()));
  if (!reason.type().empty()) out += fmt::format(" {}", reason.type());
  if (!reason.message().empty()) out += fmt::format(": {}", reason.message());
  // The innermost cause is what people look for; the levels between repeat it.
  const v1::ExitReason* cause = &reason;
  while (cause->has_cause()) cause = &cause->cause();
  if (cause != &reason) {
    v1::ExitReason inner = *cause;
    out += fmt::format(" (cause: {})", FormatExitReason(inner));
  }
  return out;
}

}  // namespace banyan::client
