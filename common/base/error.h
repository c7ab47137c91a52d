#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "common/base/exit_reason.h"

namespace banyan {

// The platform's errors (docs/errors.md): an absl::Status with the reason word, its variables, the
// wrong fields and the exit reason attached as one status payload. common/wire turns them into
// google.rpc.Status and back; programs branch on (code, reason), never on the text.
struct ErrorInfo {
  std::string reason;  // UPPER_SNAKE_CASE, e.g. "CHILD_NOT_FOUND"
  std::map<std::string, std::string>
      metadata;  // keys in lowerCamelCase; "outcome" where it matters
  struct FieldViolation {
    std::string field;        // path in the request, e.g. "spec.children[2].shutdown"
    std::string description;  // what is wrong and what is allowed
  };
  std::vector<FieldViolation> fields;  // only with INVALID_ARGUMENT; all of them at once
  std::optional<ExitReason> exit_reason;
  int retry_after_ms = 0;  // 0: trying again does not help
};

// Whether a failed request ran; goes to metadata["outcome"].
inline constexpr std::string_view kNotExecuted = "not_executed";
inline constexpr std::string_view kOutcomeUnknown = "unknown";

// An error with the code, outcome and retry delay that the table of docs/errors.md gives for
// `reason`. A word that is not in it is a module's own: code UNKNOWN, outcome not said.
absl::Status MakeError(std::string_view reason, std::string message,
                       std::map<std::string, std::string> metadata = {},
                       std::optional<ExitReason> exit_reason = std::nullopt);

// INVALID_ARGUMENT with every wrong field; `reason` is SPEC_INVALID, TARGET_INVALID, ...
absl::Status MakeFieldError(std::string_view reason, std::vector<ErrorInfo::FieldViolation> fields);

// The attached info; nullopt for a status that did not come from MakeError.
std::optional<ErrorInfo> GetErrorInfo(const absl::Status& status);
// The reason word, or empty.
std::string ErrorReason(const absl::Status& status);
// The same error with further info merged in (used by common/wire when decoding).
absl::Status WithErrorInfo(absl::Status status, const ErrorInfo& info);

// The same error of a request that may have run all the same, at an earlier try: outcome unknown,
// and nobody is told to try again.
absl::Status MayHaveRun(const absl::Status& status);

// An error that a process answered with, perhaps one that a call of its own had ended with. What
// that says of its own request, outcome and retry, is not said any more: the process's request ran.
absl::Status MarkAnswered(absl::Status status);
bool IsAnswered(const absl::Status& status);

}  // namespace banyan
