#pragma once

#include <cstdint>

#include "common/time/instant.h"

namespace banyan {

// The instant that many seconds after the clock's zero.
inline Instant At(double seconds) {
  return Instant::FromNanos(static_cast<int64_t>(seconds * 1e9));
}

}  // namespace banyan
