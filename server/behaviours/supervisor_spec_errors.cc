#include "server/behaviours/supervisor_spec_errors.h"

#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"

namespace banyan {

absl::Status SpecStatus(const std::vector<SpecProblem>& problems) {
  if (problems.empty()) return absl::OkStatus();
  std::vector<ErrorInfo::FieldViolation> fields;
  for (const SpecProblem& p : problems) {
    fields.push_back({p.field, p.otp_error.empty()
                                   ? p.description
                                   : fmt::format("{}: {}", p.otp_error, p.description)});
  }
  return MakeFieldError("SPEC_INVALID", std::move(fields));
}

ExitReason SpecExitReason(const absl::Status& status) {
  std::optional<ErrorInfo> info = GetErrorInfo(status);
  if (!info || info->fields.empty())
    return ExitReason::Error("bad_return", std::string(status.message()));
  std::string text;
  for (const ErrorInfo::FieldViolation& f : info->fields) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", f.field, f.description);
  }
  const std::string& first = info->fields.front().field;
  const bool child = first.starts_with("children") || first.starts_with("child_template");
  return ExitReason::Error(child ? "start_spec" : "supervisor_data", std::move(text));
}

absl::Status CodeChangeError(const absl::Status& status) {
  ExitReason reason = SpecExitReason(status);
  return MakeError("CODE_CHANGE_FAILED", "the old specification stays: " + reason.message(), {},
                   reason);
}

SupervisorInit SpecStatedInPlace(std::shared_ptr<const SupervisorSpec> spec) {
  return [spec = std::move(spec)](
             const std::vector<Payload>&) -> absl::StatusOr<std::optional<SupervisorSpec>> {
    return *spec;
  };
}

}  // namespace banyan
