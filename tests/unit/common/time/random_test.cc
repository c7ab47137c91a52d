#include "common/time/random.h"

#include "gmock/gmock.h"

namespace banyan {
namespace {

TEST(SeededRandom, RepeatsForTheSameSeed) {
  SeededRandom a(42), b(42), c(43);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const uint64_t x = a.Next();
    EXPECT_EQ(x, b.Next());
    differs |= x != c.Next();
  }
  EXPECT_TRUE(differs);
}

TEST(SeededRandom, LeavesTheZeroState) {
  SeededRandom r(std::array<uint64_t, 4>{});
  uint64_t any = 0;
  for (int i = 0; i < 10; ++i) any |= r.Next();
  EXPECT_NE(any, 0u);
}

TEST(Random, UnitStaysBelowOne) {
  SystemRandom r;
  for (int i = 0; i < 1000; ++i) {
    const double x = r.Unit();
    EXPECT_GE(x, 0);
    EXPECT_LT(x, 1);
  }
}

}  // namespace
}  // namespace banyan
