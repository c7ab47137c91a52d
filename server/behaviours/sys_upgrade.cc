#include "server/behaviours/sys_upgrade.h"

#include <string>
#include <utility>

#include "common/base/error.h"
#include "server/behaviours/sys.h"

namespace banyan::sys {
namespace {

// Resumes `target`, or ends it if its code change has failed and it shall not go on.
Task<void> Release(Self& self, UpgradeResult* target, UpgradeOptions options) {
  absl::Status status;
  if (target->status.ok() || options.on_failure == UpgradeOptions::OnFailure::kResume) {
    status = co_await Resume(self, target->pid, options.timeout);
  } else {
    ExitReason why = ExitReason::Error("code_change_failed", std::string(target->status.message()));
    status = co_await Terminate(self, target->pid, std::move(why), options.timeout);
  }
  if (target->status.ok()) target->status = std::move(status);
}

}  // namespace

std::vector<Pid> ProcessesOf(const Runtime& runtime, std::string_view module) {
  std::vector<Pid> out;
  for (const ProcessSnapshot& p : runtime.List()) {
    if (p.module == module) out.push_back(p.pid);
  }
  return out;
}

Task<std::vector<UpgradeResult>> Upgrade(Self& self, std::vector<Pid> targets, CodeChange change,
                                         UpgradeOptions options) {
  std::vector<UpgradeResult> results;
  std::vector<size_t> suspended;
  for (const Pid& target : targets) {
    absl::Status status = co_await Suspend(self, target, options.timeout);
    if (status.ok()) suspended.push_back(results.size());
    results.push_back({target, std::move(status)});
  }
  for (size_t i : suspended)
    results[i].status = co_await ChangeCode(self, results[i].pid, change, options.timeout);
  for (size_t i : suspended) co_await Release(self, &results[i], options);
  co_return results;
}

}  // namespace banyan::sys
