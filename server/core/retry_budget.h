#pragma once

#include <algorithm>
#include <cstdint>

namespace banyan {

// How many calls may be sent again by the platform: a tenth of those that were made, so that a
// cluster in trouble gets at most a tenth more to do (cluster.md 4.3). What is not used is saved up
// for a burst.
class RetryBudget {
 public:
  void OnCall() { tenths_ = std::min(tenths_ + 1, kMost); }
  // False: no more now.
  bool Take() {
    if (tenths_ < kOne) return false;
    tenths_ -= kOne;
    return true;
  }

 private:
  static constexpr int64_t kOne = 10;
  static constexpr int64_t kMost = 100 * kOne;
  // A few, for who has just begun or calls seldom.
  int64_t tenths_ = 10 * kOne;
};

}  // namespace banyan
