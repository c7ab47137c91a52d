#pragma once

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "server/behaviours/code_change.h"
#include "server/runtime/runtime.h"
#include "server/runtime/self.h"

// A change of code of many processes at once: OTP's suspend, code_change, resume of a release
// upgrade.

namespace banyan::sys {

struct UpgradeOptions {
  absl::Duration timeout = absl::Seconds(5);  // of each request
  // What becomes of a process whose code change fails: it ends with ERROR `code_change_failed`, so
  // that its supervisor starts it anew; or it goes on with its old state.
  enum class OnFailure : uint8_t { kRestart, kResume };
  OnFailure on_failure = OnFailure::kRestart;
};

struct UpgradeResult {
  Pid pid;
  absl::Status status;  // of the first step that failed
};

// The processes that run `module` now, in no order.
std::vector<Pid> ProcessesOf(const Runtime& runtime, std::string_view module);

// Suspends all `targets`, in order, changes the code of each, then resumes them. Work that comes
// meanwhile waits and is handled afterwards, in order. Returns one result a target, in order. A
// target that cannot be suspended, or that ends meanwhile, is left alone and does not stop the
// rest.
Task<std::vector<UpgradeResult>> Upgrade(Self& self, std::vector<Pid> targets, CodeChange change,
                                         UpgradeOptions options = {});

}  // namespace banyan::sys
