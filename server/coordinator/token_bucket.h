#pragma once

#include <algorithm>

#include "absl/time/time.h"

#include "common/time/instant.h"

namespace banyan {

// Lets `rate` a second through, and as many at once as one second's worth.
class TokenBucket {
 public:
  // True: one was taken.
  bool Take(double rate, Instant now) {
    Fill(rate, now);
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }
  bool HasOne(double rate, Instant now) {
    Fill(rate, now);
    return tokens_ >= 1;
  }

 private:
  void Fill(double rate, Instant now) {
    const double burst = std::max(rate, 1.0);
    if (!begun_) {
      begun_ = true;
      tokens_ = burst;
    } else {
      tokens_ = std::min(burst, tokens_ + rate * absl::ToDoubleSeconds(now - last_));
    }
    last_ = now;
  }
  bool begun_ = false;
  double tokens_ = 0;
  Instant last_;
};

}  // namespace banyan
