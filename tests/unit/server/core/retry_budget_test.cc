#include "server/core/retry_budget.h"

#include <gtest/gtest.h>

namespace banyan {
namespace {

int TakeAll(RetryBudget& budget) {
  int taken = 0;
  while (budget.Take()) ++taken;
  return taken;
}

TEST(RetryBudgetTest, ATenthOfTheCallsAndAFewToBeginWith) {
  RetryBudget budget;
  EXPECT_EQ(TakeAll(budget), 10);
  for (int i = 0; i < 9; ++i) budget.OnCall();
  EXPECT_EQ(TakeAll(budget), 0);
  budget.OnCall();
  EXPECT_EQ(TakeAll(budget), 1);
  for (int i = 0; i < 250; ++i) budget.OnCall();
  EXPECT_EQ(TakeAll(budget), 25);
}

TEST(RetryBudgetTest, WhatIsSavedUpIsBounded) {
  RetryBudget budget;
  for (int i = 0; i < 1'000'000; ++i) budget.OnCall();
  EXPECT_EQ(TakeAll(budget), 100);
}

}  // namespace
}  // namespace banyan
