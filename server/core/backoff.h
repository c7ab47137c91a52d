#pragma once

#include <cstdint>

#include "absl/time/time.h"

#include "common/time/clock.h"
#include "server/core/child_spec.h"

namespace banyan {

// The pause before restart number `restart` of an unbroken series (0: the first, which has none):
// initial * multiplier^(restart-1), spread by +-20 %, never above `max`. `random` may be null: no
// spread.
absl::Duration RestartDelay(const RestartBackoff& backoff, uint32_t restart, Random* random);

// One child's place in its series of restarts.
struct BackoffState {
  uint32_t restarts = 0;
  Instant running_since;
  bool running = false;

  void OnStarted(Instant now);
  // The child ended or failed to start: the pause before the next attempt. A child that ran for
  // `reset_after` begins a new series.
  absl::Duration Next(const RestartBackoff& backoff, Instant now, Random* random);
};

}  // namespace banyan
