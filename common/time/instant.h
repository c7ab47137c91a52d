#pragma once

#include <compare>
#include <cstdint>
#include <limits>

#include "absl/time/time.h"

namespace banyan {

// A point on the monotonic clock (CLOCK_BOOTTIME, or virtual time), for windows and deadlines.
// absl::Time is only for what people read.
class Instant {
 public:
  constexpr Instant() = default;
  static constexpr Instant FromNanos(int64_t ns) { return Instant(ns); }
  // Later than every other: "no deadline", OTP's infinity.
  static constexpr Instant Infinite() { return Instant(std::numeric_limits<int64_t>::max()); }
  constexpr int64_t nanos() const { return ns_; }
  constexpr bool infinite() const { return ns_ == std::numeric_limits<int64_t>::max(); }
  // Whole seconds, rounded down: what OTP's restart window counts in.
  constexpr int64_t seconds() const { return ns_ / 1'000'000'000; }

  friend constexpr auto operator<=>(const Instant&, const Instant&) = default;
  // Saturates: an infinite operand gives an infinite result.
  friend Instant operator+(Instant t, absl::Duration d) {
    if (t.infinite() || d == absl::InfiniteDuration()) return Infinite();
    return Instant(t.ns_ + absl::ToInt64Nanoseconds(d));
  }
  friend Instant operator-(Instant t, absl::Duration d) { return t + -d; }
  friend absl::Duration operator-(Instant a, Instant b) {
    if (a.infinite()) return absl::InfiniteDuration();
    return absl::Nanoseconds(a.ns_ - b.ns_);
  }

 private:
  constexpr explicit Instant(int64_t ns) : ns_(ns) {}
  int64_t ns_ = 0;
};

}  // namespace banyan
