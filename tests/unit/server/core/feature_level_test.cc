#include "server/core/feature_level.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace banyan {
namespace {

TEST(FeatureLevel, WhoMayJoin) {
  struct Case {
    uint32_t major, level, cluster, own;
    const char* why;  // part of the refusal; null: it may
  };
  for (const Case& c :
       {Case{1, 3, 3, 3, nullptr}, Case{1, 2, 2, 3, nullptr}, Case{1, 4, 3, 3, nullptr},
        Case{1, 2, 3, 3, "finalized"}, Case{1, 5, 3, 3, "more than one release apart"},
        Case{2, 3, 3, 3, "speaks protocol 2"}}) {
    const auto problem = JoinProblem(c.major, c.level, c.cluster, c.own);
    if (c.why == nullptr) {
      EXPECT_EQ(problem, std::nullopt) << c.level << c.cluster;
    } else {
      ASSERT_TRUE(problem.has_value()) << c.level << c.cluster;
      EXPECT_THAT(*problem, ::testing::HasSubstr(c.why));
    }
  }
}

TEST(FeatureLevel, WhenAnUpgradeCanBeFinalized) {
  EXPECT_EQ(FinalizeProblem(2, 1, 2), std::nullopt);
  EXPECT_EQ(FinalizeProblem(1, 1, 2), std::nullopt);  // again
  EXPECT_THAT(FinalizeProblem(1, 2, 2).value_or(""), ::testing::HasSubstr("never goes back"));
  EXPECT_THAT(FinalizeProblem(3, 1, 2).value_or(""), ::testing::HasSubstr("has level 2"));
}

TEST(FeatureLevel, SessionsUseWhatBothHaveAndTheClusterAllows) {
  const uint64_t all = FeaturesOfLevel(kFeatureLevel);
  EXPECT_NE(all, 0u);
  EXPECT_EQ(SessionFeatures(all, all, kFeatureLevel), all);
  EXPECT_EQ(SessionFeatures(all, feature::kKeepAll, kFeatureLevel), feature::kKeepAll);
  EXPECT_EQ(SessionFeatures(all, all, 0), 0u);
  EXPECT_THAT(FeatureNames(feature::kWatcherNews), ::testing::ElementsAre("watcher-news"));
}

}  // namespace
}  // namespace banyan
