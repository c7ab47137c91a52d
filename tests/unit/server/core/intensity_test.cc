#include "server/core/intensity.h"

#include <gtest/gtest.h>

#include "at.h"

namespace banyan {
namespace {

TEST(RestartWindow, SUP105IntensityZeroTripsOnTheFirst) {
  RestartWindow w(0, absl::Seconds(1));
  EXPECT_FALSE(w.Add(At(100)));
}

TEST(RestartWindow, AllowsIntensityRestartsAndNotOneMore) {
  RestartWindow w(3, absl::Seconds(5));
  EXPECT_TRUE(w.Add(At(100)));
  EXPECT_TRUE(w.Add(At(100)));
  EXPECT_TRUE(w.Add(At(100)));
  EXPECT_FALSE(w.Add(At(100)));
}

TEST(RestartWindow, SUP107CountsInWholeSeconds) {
  struct Row {
    double first, second;
    bool allowed;
  };
  // Period 2, intensity 1. The two of 3.0 and 2.2 s apart show the whole-second bound.
  for (const Row& row : {Row{0.02, 2.9, false}, Row{0.9, 3.1, true}, Row{0.0, 1.9, false},
                         Row{0.0, 2.0, false}, Row{0.0, 3.0, true}, Row{0.0, 3.1, true}}) {
    RestartWindow w(1, absl::Seconds(2));
    EXPECT_TRUE(w.Add(At(1000 + row.first)));
    EXPECT_EQ(w.Add(At(1000 + row.second)), row.allowed) << row.first << " " << row.second;
  }
}

TEST(RestartWindow, SlidesForEver) {
  RestartWindow w(1, absl::Seconds(1));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(w.Add(At(1000 + 2.1 * i)));
}

TEST(RestartWindow, HistoryIsBoundedAndKeptByAChangeOfLimits) {
  RestartWindow w(1000, absl::Seconds(60));
  for (int i = 0; i < 500; ++i) EXPECT_TRUE(w.Add(At(1000)));
  w.SetLimits(10, absl::Seconds(60));
  EXPECT_EQ(w.Ages(At(1000)).size(), 11u);
  EXPECT_FALSE(w.Add(At(1001)));
  w.SetLimits(20, absl::Seconds(60));
  EXPECT_TRUE(w.Add(At(1001)));
}

TEST(RestartWindow, AgesSurviveANewClock) {
  RestartWindow w(2, absl::Seconds(10));
  w.Add(At(1000));
  w.Add(At(1004));
  const auto ages = w.Ages(At(1005));
  EXPECT_EQ(ages, (std::vector<absl::Duration>{absl::Seconds(1), absl::Seconds(5)}));
  RestartWindow other(2, absl::Seconds(10));
  other.RestoreAges(ages, At(50));
  EXPECT_FALSE(other.Add(At(50)));
  RestartWindow later(2, absl::Seconds(10));
  later.RestoreAges(ages, At(50));
  EXPECT_TRUE(later.Add(At(56))) << "the older of the two has left the window";
  RestartWindow backwards(1, absl::Seconds(10));
  backwards.RestoreAges({-absl::Hours(1)}, At(50));
  EXPECT_FALSE(backwards.Add(At(50))) << "a clock set back is judged strictly";
}

}  // namespace
}  // namespace banyan
