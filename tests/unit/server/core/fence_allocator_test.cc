#include "server/core/fence_allocator.h"

#include <gtest/gtest.h>

namespace banyan {
namespace {

TEST(FenceAllocator, RisesWithinATermAndAcrossTerms) {
  FenceAllocator a(3);
  const Fence first = *a.Next();
  const Fence second = *a.Next();
  EXPECT_LT(first, second);
  EXPECT_EQ(first.epoch(), 3u);
  EXPECT_EQ(first.attempt(), 0u);
  EXPECT_FALSE(a.SetEpoch(3));
  EXPECT_FALSE(a.SetEpoch(2));
  EXPECT_TRUE(a.SetEpoch(4));
  EXPECT_LT(second, *a.Next());
  EXPECT_FALSE(a.SetEpoch(kFenceEpochMax + 1));
}

TEST(FenceAllocator, SignalsWhenTheTermIsUsedUp) {
  FenceAllocator a(1);
  a.SetSeqForTest(kFenceSeqMax - 1);
  const Fence last = *a.Next();
  EXPECT_EQ(last.seq(), kFenceSeqMax);
  EXPECT_FALSE(a.Next());
  EXPECT_FALSE(a.Next());
  ASSERT_TRUE(a.SetEpoch(2));
  EXPECT_LT(last, *a.Next());
}

TEST(FenceAllocator, AttemptsStayBelowTheNextStart) {
  FenceAllocator a(1);
  Fence f = *a.Next();
  const Fence next = *a.Next();
  for (int i = 0; i < 0x7FF; ++i) {
    const std::optional<Fence> n = NextAttempt(f);
    ASSERT_TRUE(n);
    ASSERT_LT(f, *n);
    ASSERT_LT(*n, next);
    f = *n;
  }
  EXPECT_FALSE(NextAttempt(f));
}

}  // namespace
}  // namespace banyan
