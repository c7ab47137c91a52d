#pragma once

#include "absl/synchronization/mutex.h"
#include <malloc.h>

namespace banyan::bench {

// What banyand does to its process at start, done to both sides of a comparison: freed memory stays
// in the process, and Abseil's lock-order checker, which Debian leaves on, is off.
inline void TuneProcess() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace banyan::bench
