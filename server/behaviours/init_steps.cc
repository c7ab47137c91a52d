#include "server/behaviours/init_steps.h"

#include "fmt/format.h"

#include "common/base/error.h"

namespace banyan {
namespace {

ExitReason Named(const std::string& step, const ExitReason& reason) {
  if (reason.kind() != ExitReason::Kind::kError) return reason;
  ExitReason::Info info;
  info.type = reason.type();
  info.message =
      fmt::format("step \"{}\"{}{}", step, reason.message().empty() ? "" : ": ", reason.message());
  info.detail = reason.detail();
  info.stack = reason.stack();
  info.origin = reason.origin();
  if (reason.cause()) info.cause = std::make_shared<const ExitReason>(*reason.cause());
  return ExitReason(reason.kind(), std::move(info));
}

}  // namespace

ExitReason InitSteps::ReasonOf(const absl::Status& status) {
  std::optional<ErrorInfo> error = GetErrorInfo(status);
  ExitReason::Info info;
  info.type = error && !error->reason.empty() ? error->reason : "failed_step";
  info.message = std::string(status.message());
  if (error && error->exit_reason)
    info.cause = std::make_shared<const ExitReason>(*error->exit_reason);
  return ExitReason(ExitReason::Kind::kError, std::move(info));
}

Task<void> InitSteps::Fail(std::string name, ExitReason reason) {
  co_await Unwind();
  throw ProcessExit(Named(name, reason));
}

Task<void> InitSteps::Unwind() {
  while (!done_.empty()) {
    Done step = std::move(done_.back());
    done_.pop_back();
    std::optional<ExitReason> failure;
    try {
      co_await step.undo();
    } catch (...) {
      failure = CrashReason(std::current_exception());
    }
    ProcessReports* reports = HostOf(self_->runtime()).reports;
    if (failure && reports) {
      reports->OnWarning(
          self_->pid(), module_,
          fmt::format("undoing step \"{}\" failed: {}", step.name, failure->ToString()));
    }
  }
}

}  // namespace banyan
