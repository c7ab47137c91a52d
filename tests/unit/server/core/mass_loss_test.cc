#include "server/core/mass_loss.h"

#include "gtest/gtest.h"

namespace banyan {
namespace {

const Instant kStart = Instant::FromNanos(1'000'000'000);

// `count` nodes become suspect, `apart` after each other; then all of them still are.
struct Loss {
  MassLossGuard guard{MassLossGuard::Limits()};
  std::vector<MassLossGuard::Suspect> suspects;
  Instant now = kStart;
  size_t members;

  explicit Loss(size_t all) : members(all) {}
  void Of(int count, absl::Duration apart = absl::Seconds(1)) {
    for (int i = 0; i < count; ++i) {
      now = now + apart;
      const auto id = static_cast<uint32_t>(suspects.size() + 1);
      suspects.push_back({id, now});
      guard.OnSuspect(id, members, now);
      Look();
    }
  }
  void Look(absl::Duration later = absl::ZeroDuration()) {
    now = now + later;
    guard.Update(suspects, members, now);
  }
};

TEST(MassLoss, BrakesAboveAThirdAndHoldsAboveAHalf) {
  struct Case {
    size_t members;
    int lost;
    bool braked, held;
  };
  for (const Case& c :
       {Case{2, 2, false, false}, Case{3, 3, true, true}, Case{9, 2, false, false},
        Case{10, 3, false, false}, Case{9, 3, true, false}, Case{10, 5, true, false},
        Case{10, 6, true, true}, Case{100, 33, false, false}, Case{100, 34, true, false},
        Case{100, 51, true, true}}) {
    Loss loss(c.members);
    loss.Of(c.lost, absl::Milliseconds(100));
    EXPECT_EQ(loss.guard.braked(), c.braked) << c.lost << " of " << c.members;
    EXPECT_EQ(loss.guard.held(), c.held) << c.lost << " of " << c.members;
    EXPECT_EQ(loss.guard.Hold(loss.now), c.held);
  }
}

TEST(MassLoss, OneAfterAnotherIsNoMass) {
  Loss loss(10);
  loss.Of(6, absl::Seconds(16));
  EXPECT_FALSE(loss.guard.braked());
  EXPECT_FALSE(loss.guard.held());
}

TEST(MassLoss, DeathsAreHeldForTheirTimeFromTheFirstThatIsDue) {
  Loss loss(4);
  loss.Of(3);
  loss.Look(absl::Minutes(1));
  EXPECT_TRUE(loss.guard.Hold(loss.now));
  loss.Look(absl::Minutes(5) - absl::Seconds(1));
  EXPECT_TRUE(loss.guard.Hold(loss.now));
  loss.Look(absl::Seconds(1));
  EXPECT_FALSE(loss.guard.Hold(loss.now));
  EXPECT_FALSE(loss.guard.held());
}

TEST(MassLoss, EndsWhenTheyAreBack) {
  Loss loss(4);
  loss.Of(3);
  ASSERT_TRUE(loss.guard.braked());
  loss.suspects.clear();
  for (uint32_t id : {1, 2, 3}) loss.guard.OnTrusted(id);
  loss.Look();
  EXPECT_FALSE(loss.guard.braked());
  EXPECT_FALSE(loss.guard.held());
}

// Their deaths make them members no more, and it is now that replacements start.
TEST(MassLoss, TheBrakeOutlastsTheirDeaths) {
  Loss loss(9);
  loss.Of(4);
  loss.suspects.clear();
  loss.members = 5;
  loss.Look(absl::Minutes(4));
  EXPECT_TRUE(loss.guard.braked());
  loss.Look(absl::Minutes(2));
  EXPECT_FALSE(loss.guard.braked());
}

TEST(Flaps, MoreThanThreeSilencesInTenMinutes) {
  FlapHistory flaps;
  Instant now = kStart;
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(flaps.OnSuspect(now = now + absl::Minutes(3)));
  EXPECT_FALSE(FlapHistory(flaps).OnSuspect(now + absl::Minutes(5)));
  EXPECT_TRUE(flaps.OnSuspect(now + absl::Minutes(3)));
}

TEST(Flaps, TwoDeathsInHalfAnHour) {
  FlapHistory flaps;
  EXPECT_FALSE(flaps.OnDeath(kStart));
  EXPECT_FALSE(FlapHistory(flaps).OnDeath(kStart + absl::Minutes(31)));
  EXPECT_TRUE(flaps.OnDeath(kStart + absl::Minutes(29)));
}

TEST(Flaps, PausesDoubleUpToAQuarterOfAnHour) {
  FlapHistory flaps;
  flaps.OnDeath(kStart);
  for (absl::Duration want :
       {absl::Seconds(30), absl::Minutes(1), absl::Minutes(2), absl::Minutes(4), absl::Minutes(8),
        absl::Minutes(15), absl::Minutes(15)}) {
    EXPECT_EQ(flaps.NextPause(), want);
  }
  // After a calm time it begins anew.
  flaps.OnDeath(kStart + absl::Hours(1));
  EXPECT_EQ(flaps.NextPause(), absl::Seconds(30));
}

TEST(QuarantineBudget, ATenthAtLeastTwoAndOneMoreEachFiveMinutes) {
  QuarantineBudget budget;
  Instant now = kStart;
  EXPECT_TRUE(budget.Take(5, 0, now));
  EXPECT_TRUE(budget.Take(5, 1, now));
  EXPECT_FALSE(budget.Take(5, 2, now));                     // two are at the same time
  EXPECT_FALSE(budget.Take(5, 0, now + absl::Minutes(4)));  // none left although they are over
  EXPECT_TRUE(budget.Take(5, 0, now + absl::Minutes(10)));
  QuarantineBudget large;
  for (size_t i = 0; i < 10; ++i) EXPECT_TRUE(large.Take(100, i, now)) << i;
  EXPECT_FALSE(large.Take(100, 10, now));
}

}  // namespace
}  // namespace banyan
