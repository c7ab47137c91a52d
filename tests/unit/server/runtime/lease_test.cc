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

TEST_F(Lease, OneThatIsMadeExclusiveFreezesFromThenOn) {
  int n = 0;
  Pid a = *rt_.Spawn(Counter(&n));
  rt_.SetLeaseUntil(time_.Now());
  rt_.Send(a, {});
  time_.RunUntilIdle();
  EXPECT_EQ(n, 1);
  rt_.MakeExclusive(a);
  time_.RunUntilIdle();
  rt_.Send(a, {});
  time_.RunUntilIdle();
  EXPECT_EQ(n, 1);
  rt_.SetLeaseUntil(time_.Now() + absl::Seconds(10));
  time_.RunUntilIdle();
  EXPECT_EQ(n, 2);
}

TEST_F(Lease, AProcessCanAskWhetherThereIsTimeForAnEffect) {
  std::vector<bool> ok;
  const auto ask = [&](SpawnOptions options) {
    ok.clear();
    EXPECT_TRUE(rt_.Spawn(
                       [&](Self& self) -> Task<ExitReason> {
                         for (int seconds : {0, 9, 11})
                           ok.push_back(self.LeaseOk(absl::Seconds(seconds)));
                         co_return ExitReason::Normal();
                       },
                       options)
                    .ok());
    time_.RunUntilIdle();
  };
  ask({.exclusive = true});
  EXPECT_EQ(ok, (std::vector<bool>{true, true, true})) << "no lease is kept here";
  rt_.SetLeaseUntil(time_.Now() + absl::Seconds(10));
  ask({.exclusive = true});
  EXPECT_EQ(ok, (std::vector<bool>{true, true, false}));
  ask({});
  EXPECT_EQ(ok, (std::vector<bool>{true, true, true}));
}

// What belongs to a child says so, at whatever depth; a newer fence of it is everybody's at once.
TEST_F(Lease, AnOriginIsInherited) {
  auto origin = std::make_shared<ProcessOrigin>(2048, "shop/cart");
  std::vector<std::string> seen;
  const auto look = [&](Self& self) {
    seen.push_back(self.child_path() + " " + std::to_string(self.fence()));
  };
  Pid inner;
  ASSERT_TRUE(rt_.Spawn(
                     [&](Self& self) -> Task<ExitReason> {
                       look(self);
                       inner = self.Spawn(
                                       [&](Self& me) -> Task<ExitReason> {
                                         look(me);
                                         co_await me.Receive();
                                         look(me);
                                         co_return ExitReason::Normal();
                                       },
                                       {})
                                   .value()
                                   .pid;
                       // A child of another start is its own.
                       (void)self.Spawn(
                           [&](Self& me) -> Task<ExitReason> {
                             look(me);
                             co_return ExitReason::Normal();
                           },
                           {.child_id = "w", .fence = 9000});
                       co_return ExitReason::Normal();
                     },
                     {.origin = origin})
                  .ok());
  time_.RunUntilIdle();
  origin->fence = 4096;
  rt_.Send(inner, {});
  time_.RunUntilIdle();
  EXPECT_EQ(seen, (std::vector<std::string>{"shop/cart 2048", "shop/cart 2048", "w 9000",
                                            "shop/cart 4096"}));
}

TEST(Origin, OfAThreadIsWhoItWorksFor) {
  EXPECT_EQ(OriginOnThisThread(), nullptr);
  const ProcessOrigin a(7, "a"), b(8, "b");
  {
    WorkingFor outer(&a);
    EXPECT_EQ(OriginOnThisThread(), &a);
    {
      WorkingFor inner(&b);
      EXPECT_EQ(OriginOnThisThread(), &b);
    }
    EXPECT_EQ(OriginOnThisThread(), &a);
  }
  EXPECT_EQ(OriginOnThisThread(), nullptr);
}

}  // namespace
}  // namespace banyan
