#include "server/core/backoff.h"

#include <gtest/gtest.h>

namespace banyan {
namespace {

class FixedRandom : public Random {
 public:
  explicit FixedRandom(uint64_t value) : value_(value) {}
  uint64_t Next() override { return value_; }

 private:
  uint64_t value_;
};

TEST(Backoff, FirstRestartHasNoDelayThenItDoublesToTheCap) {
  const RestartBackoff b;
  EXPECT_EQ(RestartDelay(b, 0, nullptr), absl::ZeroDuration());
  EXPECT_EQ(RestartDelay(b, 1, nullptr), absl::Milliseconds(100));
  EXPECT_EQ(RestartDelay(b, 2, nullptr), absl::Milliseconds(200));
  EXPECT_EQ(RestartDelay(b, 4, nullptr), absl::Milliseconds(800));
  EXPECT_EQ(RestartDelay(b, 20, nullptr), absl::Seconds(30));
  EXPECT_EQ(RestartDelay(b, 4'000'000'000u, nullptr), absl::Seconds(30));
}

TEST(Backoff, JitterStaysWithinAFifthAndBelowTheCap) {
  const RestartBackoff b;
  FixedRandom low(0);
  FixedRandom high(~uint64_t{0});
  EXPECT_NEAR(absl::ToDoubleMilliseconds(RestartDelay(b, 1, &low)), 80, 0.01);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(RestartDelay(b, 1, &high)), 120, 0.01);
  EXPECT_EQ(RestartDelay(b, 30, &high), absl::Seconds(30));
}

TEST(Backoff, RunningLongEnoughBeginsANewSeries) {
  const RestartBackoff b;
  const Instant t0 = Instant::FromNanos(1'000'000'000'000);
  BackoffState s;
  s.OnStarted(t0);
  EXPECT_EQ(s.Next(b, t0 + absl::Seconds(1), nullptr), absl::ZeroDuration());
  s.OnStarted(t0 + absl::Seconds(1));
  EXPECT_EQ(s.Next(b, t0 + absl::Seconds(2), nullptr), absl::Milliseconds(100));
  EXPECT_EQ(s.Next(b, t0 + absl::Seconds(200), nullptr), absl::Milliseconds(200))
      << "was not running";
  s.OnStarted(t0 + absl::Seconds(200));
  EXPECT_EQ(s.Next(b, t0 + absl::Seconds(260), nullptr), absl::ZeroDuration());
}

}  // namespace
}  // namespace banyan
