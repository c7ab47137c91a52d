#pragma once

#include "absl/time/clock.h"

#include "common/time/clock.h"
#include "common/time/random.h"
#include "common/time/system_timers.h"
#include "common/time/thread_executor.h"

namespace banyan {

// CLOCK_BOOTTIME and the wall clock. Thread-safe; all objects are alike.
class SystemClock : public Clock {
 public:
  Instant Now() const override;
  absl::Time WallNow() const override { return absl::Now(); }
};

}  // namespace banyan
