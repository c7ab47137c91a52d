#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace banyan {

// From here on descendants whose parent has ended become children of this process. Not inherited by
// forked children.
absl::Status BecomeSubreaper();

// SIGKILLs every descendant of this process, whatever its session, and waits for all. Needs
// BecomeSubreaper before they were started, and that nobody else waits for children.
// DEADLINE_EXCEEDED with a count when some are still there after `limit` (stuck in the kernel).
absl::Status KillAllDescendants(absl::Duration limit = absl::Seconds(10));

}  // namespace banyan
