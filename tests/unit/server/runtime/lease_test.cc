// Freezing: exclusive processes are not dispatched without a lease, and lose nothing by it.
#include "gtest/gtest.h"

#include "common/time/virtual_time.h"
#include "server/runtime/runtime.h"

namespace banyan {
namespace {

class Lease : public ::testing::Test {
 protected:
  Lease() : rt_({.clock = &time_, .timers = &time_, .workers = 0, .executor = &time_}) {}
  ProcessMain Counter(int* n) {
    return [n](Self& self) -> Task<ExitReason> {
      for (;;) {
        co_await self.Receive();
        ++*n;
      }
    };
  }
  VirtualTime time_;
  Runtime rt_;
};

TEST_F(Lease, ExclusiveProcessesFreezeAndThawWithTheirMailbox) {
  int exclusive = 0, plain = 0;
  Pid a = *rt_.Spawn(Counter(&exclusive), {.exclusive = true});
  Pid b = *rt_.Spawn(Counter(&plain));
  rt_.SetLeaseUntil(time_.Now() + absl::Seconds(10));
  rt_.Send(a, {});
  rt_.Send(b, {});
  time_.RunUntilIdle();
  EXPECT_EQ(exclusive, 1);
  time_.RunFor(absl::Seconds(11));
  EXPECT_TRUE(rt_.frozen());
  for (int i = 0; i < 3; ++i) {
    rt_.Send(a, {});
    rt_.Send(b, {});
  }
  time_.RunUntilIdle();
  EXPECT_EQ(exclusive, 1);
  EXPECT_EQ(plain, 4);
  rt_.SetLeaseUntil(time_.Now() + absl::Seconds(10));
  time_.RunUntilIdle();
  EXPECT_EQ(exclusive, 4);
}

TEST_F(Lease, AFrozenProcessCanBeKilled) {
  int n = 0;
  Pid a = *rt_.Spawn(Counter(&n), {.exclusive = true});
  rt_.SetLeaseUntil(time_.Now());
  rt_.Send(a, {});
  time_.RunUntilIdle();
  rt_.Exit(a, ExitReason::Kill());
  time_.RunUntilIdle();
  EXPECT_FALSE(rt_.IsAlive(a));
  EXPECT_EQ(n, 0);
}

TEST_F(Lease, WhatAnExclusiveProcessSpawnsIsExclusiveToo) {
  int n = 0;
  Pid inner;
  rt_.SetLeaseUntil(time_.Now() + absl::Seconds(1));
  ASSERT_TRUE(rt_.Spawn(
                     [&](Self& self) -> Task<ExitReason> {
                       inner = self.Spawn(Counter(&n), {}).value().pid;
                       for (;;) co_await self.Receive();
                     },
                     {.exclusive = true})
                  .ok());
  time_.RunFor(absl::Seconds(2));
  rt_.Send(inner, {});
  time_.RunUntilIdle();
  EXPECT_EQ(n, 0);
}

}  // namespace
}  // namespace banyan
