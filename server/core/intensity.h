#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "absl/time/time.h"

#include "common/time/instant.h"

namespace banyan {

// The restart history of one supervisor, judged exactly as OTP does: in whole seconds of the
// monotonic clock, and read from the newest entry up to the first that is too old. Two restarts
// count together for certain when at most `period` apart, never when `period` + 1 s or more apart.
class RestartWindow {
 public:
  RestartWindow(uint32_t intensity, absl::Duration period);

  // Records one restart at `now`. False: it is one too many, the supervisor must give up.
  bool Add(Instant now);

  // A code change replaces the limits and keeps the history.
  void SetLimits(uint32_t intensity, absl::Duration period);

  // How old each entry is at `now`, newest first; at most intensity + 1 of them.
  std::vector<absl::Duration> Ages(Instant now) const;
  // How many were recorded, ever.
  uint64_t added() const { return added_; }
  // Replaces the history. A negative age (a wall clock set back) counts as zero.
  void RestoreAges(const std::vector<absl::Duration>& ages, Instant now);

 private:
  uint32_t intensity_;
  int64_t period_seconds_;
  // Newest first. An entry beyond intensity + 1 can never change a decision, so it is dropped.
  std::deque<int64_t> seconds_;
  uint64_t added_ = 0;
};

}  // namespace banyan
