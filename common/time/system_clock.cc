#include "common/time/system_clock.h"

#include <time.h>

namespace banyan {

Instant SystemClock::Now() const {
  timespec ts{};
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return Instant::FromNanos(int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec);
}

}  // namespace banyan
