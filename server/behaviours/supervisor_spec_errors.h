#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"

#include "common/base/exit_reason.h"
#include "server/behaviours/module.h"
#include "server/core/spec_validation.h"

namespace banyan {

// SPEC_INVALID with every problem; ok if there is none.
absl::Status SpecStatus(const std::vector<SpecProblem>& problems);
// What a supervisor whose init failed so exits with: OTP's {supervisor_data,E}, {start_spec,E} or
// {bad_return,_}, E and the fields in the message.
ExitReason SpecExitReason(const absl::Status& status);
// The same as the answer to a code change.
absl::Status CodeChangeError(const absl::Status& status);
// The init of a supervisor whose spec was given with its start.
SupervisorInit SpecStatedInPlace(std::shared_ptr<const SupervisorSpec> spec);

}  // namespace banyan
