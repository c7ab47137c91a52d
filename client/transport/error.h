#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"

#include "banyan/v1/types.pb.h"

namespace banyan::client {

// How an RPC ended, with everything that docs/errors.md lets a server tell. Code OK is success.
struct ApiError {
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::string message;
  std::string reason;                                       // ErrorInfo.reason; empty if none came
  std::map<std::string, std::string> metadata;              // ErrorInfo.metadata
  std::vector<std::pair<std::string, std::string>> fields;  // BadRequest: field, what is wrong
  std::vector<std::string> preconditions;  // PreconditionFailure, one sentence each
  std::optional<v1::ExitReason> exit_reason;
  std::optional<int> pushback_ms;  // `grpc-retry-pushback-ms`: negative means never repeat
  bool from_actor = false;         // the process answered with an error of its own
  bool connected = true;           // false: there was no connection, so nothing was sent

  bool ok() const { return code == grpc::StatusCode::OK; }
  // "not_executed", "unknown" or empty.
  std::string outcome() const;
};

// Reads the details that a failed RPC carries. `context` may be null (no trailers then).
ApiError DecodeError(const grpc::Status& status, const grpc::ClientContext* context);
// A failure found on this side before anything was sent.
ApiError LocalError(grpc::StatusCode code, std::string message, std::string reason = "");
ApiError LocalError(const absl::Status& status);

// "not found", "deadline exceeded", ...
std::string_view CodeWords(grpc::StatusCode code);
// "error std::out_of_range: map::at", "shutdown", "killed", ...
std::string FormatExitReason(const v1::ExitReason& reason);
// The kind as OTP's word: "normal", "shutdown", "noproc", ...
std::string_view ExitKindWord(v1::ExitReason::Kind kind);

}  // namespace banyan::client
