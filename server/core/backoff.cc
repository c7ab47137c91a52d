#include "server/core/backoff.h"

#include <algorithm>
#include <cmath>

namespace banyan {

absl::Duration RestartDelay(const RestartBackoff& backoff, uint32_t restart, Random* random) {
  if (restart == 0) return absl::ZeroDuration();
  const double initial = absl::ToDoubleSeconds(backoff.initial);
  const double max = absl::ToDoubleSeconds(backoff.max);
  // A large power is infinite, which min() turns into `max`.
  double seconds =
      std::min(max, initial * std::pow(std::max(1.0, backoff.multiplier), restart - 1));
  if (random != nullptr) seconds = std::min(max, seconds * (0.8 + 0.4 * random->Unit()));
  return absl::Seconds(std::max(0.0, seconds));
}

void BackoffState::OnStarted(Instant now) {
  running = true;
  running_since = now;
}

absl::Duration BackoffState::Next(const RestartBackoff& backoff, Instant now, Random* random) {
  if (running && now - running_since >= backoff.reset_after) restarts = 0;
  running = false;
  return RestartDelay(backoff, restarts++, random);
}

}  // namespace banyan
