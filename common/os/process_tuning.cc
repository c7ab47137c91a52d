#include "common/os/process_tuning.h"

#include "absl/synchronization/mutex.h"
#include <malloc.h>

namespace banyan {

void TuneProcess(bool enabled) {
  if (!enabled) return;
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest that glibc takes
  mallopt(M_TOP_PAD, 16 << 20);
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

}  // namespace banyan
