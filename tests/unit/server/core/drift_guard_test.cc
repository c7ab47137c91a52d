#include "server/core/drift_guard.h"

#include <algorithm>
#include <cmath>

#include "gtest/gtest.h"

#include "common/time/random.h"

namespace banyan {
namespace {

// A node whose clock runs at `rate`, heard once a second with up to `jitter` of delay.
struct Beats {
  DriftGuard guard{absl::Minutes(10)};
  SeededRandom random{7};
  double rate = 1;
  absl::Duration jitter;
  double true_seconds = 1000;  // since its boot

  double stood_still = 0;  // seconds, its machine; less than nothing: the coordinator's

  void StandStill(double seconds) {
    true_seconds += std::max(seconds, 0.0);
    stood_still += seconds;
  }

  void For(absl::Duration time) {
    for (int i = 0; i < absl::ToInt64Seconds(time); ++i) {
      true_seconds += 1;
      const auto sent = static_cast<uint64_t>((true_seconds - stood_still) * rate * 1e9);
      const absl::Duration late = jitter * random.Unit();
      guard.OnHeartbeat(sent, Instant::FromNanos(static_cast<int64_t>(true_seconds * 1e9)) + late);
    }
  }
};

TEST(DriftGuard, KnowsNothingBeforeHalfItsWindow) {
  Beats beats{.rate = 1.01};
  beats.For(absl::Minutes(4));
  EXPECT_FALSE(beats.guard.drift().has_value());
  beats.For(absl::Minutes(2));
  ASSERT_TRUE(beats.guard.drift().has_value());
  EXPECT_NEAR(*beats.guard.drift(), 0.01, 1e-6);
}

TEST(DriftGuard, DelaysDoNotLookLikeDrift) {
  for (double rate : {1.0, 1.002, 0.998}) {
    Beats beats{.rate = rate, .jitter = absl::Milliseconds(500)};
    beats.For(absl::Minutes(10));
    ASSERT_TRUE(beats.guard.drift().has_value());
    EXPECT_NEAR(*beats.guard.drift(), rate - 1, 2e-4) << rate;
  }
}

TEST(DriftGuard, AMachineThatStoodStillForAWhileDoesNotDrift) {
  for (double rate : {1.0, 1.001, 0.99}) {
    for (double seconds : {0.3, 0.8, 20.0, -3.0}) {
      Beats beats{.rate = rate, .jitter = absl::Milliseconds(20)};
      for (int i = 0; i < 3; ++i) {
        beats.For(absl::Seconds(130));
        beats.StandStill(seconds);
      }
      beats.For(absl::Seconds(210));
      ASSERT_TRUE(beats.guard.drift().has_value());
      EXPECT_NEAR(*beats.guard.drift(), rate - 1, 2e-4) << rate << " " << seconds;
    }
  }
}

TEST(DriftGuard, AMachineThatStandsStillAllTheTimeDrifts) {
  Beats beats;
  for (int i = 0; i < 60; ++i) {
    beats.For(absl::Seconds(10));
    beats.StandStill(0.1);
  }
  EXPECT_NEAR(*beats.guard.drift(), -0.01, 1e-3);
}

TEST(DriftGuard, ForgetsWhatIsOlderThanItsWindow) {
  Beats beats{.rate = 1};
  beats.For(absl::Minutes(10));
  // From now on the clock is fast; its reading goes on where it was.
  DriftGuard guard = beats.guard;
  double node = beats.true_seconds, now = beats.true_seconds;
  for (int i = 0; i < 660; ++i) {
    now += 1;
    node += 1.01;
    guard.OnHeartbeat(static_cast<uint64_t>(node * 1e9),
                      Instant::FromNanos(static_cast<int64_t>(now * 1e9)));
  }
  EXPECT_NEAR(*guard.drift(), 0.01, 1e-5);
}

TEST(DriftGuard, BeginsAnewWithAnotherBoot) {
  Beats beats{.rate = 1.01};
  beats.For(absl::Minutes(10));
  ASSERT_TRUE(beats.guard.drift().has_value());
  beats.guard.OnHeartbeat(5, Instant::FromNanos(static_cast<int64_t>(beats.true_seconds * 1e9)));
  EXPECT_FALSE(beats.guard.drift().has_value());
}

}  // namespace
}  // namespace banyan
