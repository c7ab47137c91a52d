#include "common/time/virtual_time.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"

namespace banyan {
namespace {

TEST(VirtualTime, RunsByTimeThenBySequence) {
  VirtualTime time;
  std::string trace;
  time.ScheduleAt(time.Now() + absl::Seconds(2), [&] { trace += "d"; });
  time.ScheduleAt(time.Now() + absl::Seconds(1), [&] { trace += "b"; });
  time.ScheduleAt(time.Now() + absl::Seconds(1), [&] { trace += "c"; });
  time.Post([&] { trace += "a"; });
  while (time.RunOne()) {
  }
  EXPECT_EQ(trace, "abcd");
}

TEST(VirtualTime, RunUntilIdleDoesNotMoveTheClock) {
  VirtualTime time;
  const Instant start = time.Now();
  bool later = false;
  int posted = 0;
  time.ScheduleAt(start + absl::Nanoseconds(1), [&] { later = true; });
  time.Post([&] { time.Post([&] { ++posted; }); });
  EXPECT_EQ(time.RunUntilIdle(), 2u);
  EXPECT_EQ(posted, 1);
  EXPECT_FALSE(later);
  EXPECT_EQ(time.Now(), start);
}

TEST(VirtualTime, RunForMovesBothClocks) {
  VirtualTime time;
  const Instant start = time.Now();
  const absl::Time wall = time.WallNow();
  int ticks = 0;
  std::function<void()> tick = [&] {
    ++ticks;
    time.ScheduleAt(time.Now() + absl::Seconds(1), tick);
  };
  time.Post(tick);
  time.RunFor(absl::Milliseconds(3500));
  EXPECT_EQ(ticks, 4);
  EXPECT_EQ(time.Now() - start, absl::Milliseconds(3500));
  EXPECT_EQ(time.WallNow() - wall, absl::Milliseconds(3500));
}

TEST(VirtualTime, RunUntilStopsAtThePredicateOrTheLimit) {
  VirtualTime time;
  const Instant start = time.Now();
  bool flag = false;
  time.ScheduleAt(start + absl::Seconds(5), [&] { flag = true; });
  EXPECT_FALSE(time.RunUntil([&] { return flag; }, absl::Seconds(4)));
  EXPECT_EQ(time.Now() - start, absl::Seconds(4));
  EXPECT_TRUE(time.RunUntil([&] { return flag; }, absl::Seconds(4)));
  EXPECT_EQ(time.Now() - start, absl::Seconds(5));
}

TEST(VirtualTime, CancelDropsTheEvent) {
  VirtualTime time;
  const auto token = std::make_shared<int>(0);
  auto id = time.ScheduleAt(time.Now() + absl::Seconds(1), [token] { ADD_FAILURE(); });
  EXPECT_TRUE(time.Cancel(id));
  EXPECT_FALSE(time.Cancel(id));
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_FALSE(time.RunOne());
  EXPECT_EQ(time.ScheduleAt(Instant::Infinite(), [] {}), 0u);
}

}  // namespace
}  // namespace banyan
