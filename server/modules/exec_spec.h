#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "banyan/modules/v1/exec.pb.h"
#include "common/base/exit_reason.h"
#include "common/os/child_process.h"

namespace banyan {

// What an exec child runs, checked.
struct ExecSpec {
  modules::v1::ExecArgs args;
  int stop_signal = 0;
};

// Errors: INVALID_ARGUMENT naming every wrong field and what is allowed.
absl::StatusOr<ExecSpec> ParseExecSpec(const std::vector<Payload>& args);

// "SIGTERM", "term", "TERM" and so on; 0 for an unknown name.
int SignalByName(std::string_view name);
// "SIGTERM", or the number as text.
std::string SignalName(int signal);

// This process's own environment with `added` over it, as "KEY=VALUE".
std::vector<std::string> MergedEnvironment(const std::map<std::string, std::string>& added);

// How the program's end becomes its actor's: status 0 is NORMAL, N is ERROR exit_status, a signal
// is ERROR signal, with the number in `detail`.
ExitReason ReasonOfExit(const ChildExit& exit);

}  // namespace banyan
