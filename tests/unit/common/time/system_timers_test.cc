#include <atomic>
#include <future>
#include <memory>
#include <mutex>

#include "gmock/gmock.h"

#include "common/time/system_clock.h"

namespace banyan {
namespace {

TEST(SystemTimers, RunsInOrderAndNeverEarly) {
  SystemClock clock;
  SystemTimers timers;
  std::mutex mu;
  std::vector<int> order;
  std::promise<void> done;
  const Instant start = clock.Now();
  const Instant late = start + absl::Milliseconds(30);
  std::atomic<bool> early = false;
  timers.ScheduleAt(late, [&] {
    early = clock.Now() < late;
    std::lock_guard lock(mu);
    order.push_back(2);
    done.set_value();
  });
  timers.ScheduleAt(start + absl::Milliseconds(5), [&] {
    std::lock_guard lock(mu);
    order.push_back(1);
  });
  done.get_future().wait();
  std::lock_guard lock(mu);
  EXPECT_THAT(order, testing::ElementsAre(1, 2));
  EXPECT_FALSE(early);
}

TEST(SystemTimers, CancelTellsWhetherItRan) {
  SystemClock clock;
  SystemTimers timers;
  auto never = timers.ScheduleAt(clock.Now() + absl::Hours(1), [] { ADD_FAILURE(); });
  EXPECT_TRUE(timers.Cancel(never));
  EXPECT_FALSE(timers.Cancel(never));
  EXPECT_FALSE(timers.Cancel(0));
  std::promise<void> ran;
  auto now = timers.ScheduleAt(clock.Now(), [&] { ran.set_value(); });
  ran.get_future().wait();
  EXPECT_FALSE(timers.Cancel(now));
}

TEST(SystemTimers, AnOldIdDoesNotCancelTheSlotsNextTimer) {
  SystemClock clock;
  SystemTimers timers;
  auto first = timers.ScheduleAt(clock.Now() + absl::Hours(1), [] {});
  ASSERT_TRUE(timers.Cancel(first));
  auto second = timers.ScheduleAt(clock.Now() + absl::Hours(1), [] {});
  EXPECT_NE(first, second);
  EXPECT_FALSE(timers.Cancel(first));
  EXPECT_TRUE(timers.Cancel(second));
}

TEST(SystemTimers, InfiniteNeverRuns) {
  SystemTimers timers;
  EXPECT_EQ(timers.ScheduleAt(Instant::Infinite(), [] { ADD_FAILURE(); }), 0u);
}

TEST(SystemTimers, ACallbackMayScheduleAndCancel) {
  SystemClock clock;
  SystemTimers timers;
  std::promise<void> done;
  auto victim = timers.ScheduleAt(clock.Now() + absl::Hours(1), [] { ADD_FAILURE(); });
  timers.ScheduleAt(clock.Now(), [&] {
    EXPECT_TRUE(timers.Cancel(victim));
    timers.ScheduleAt(clock.Now(), [&] { done.set_value(); });
  });
  done.get_future().wait();
}

TEST(SystemTimers, ManyTimersComeAndGo) {
  SystemClock clock;
  SystemTimers timers;
  const auto token = std::make_shared<int>(0);
  std::vector<Timers::Id> ids;
  for (int i = 0; i < 100'000; ++i) {
    ids.push_back(timers.ScheduleAt(clock.Now() + absl::Hours(1 + i % 100), [token] {}));
  }
  for (Timers::Id id : ids) EXPECT_TRUE(timers.Cancel(id));
  EXPECT_EQ(token.use_count(), 1);
  std::promise<void> done;
  timers.ScheduleAt(clock.Now(), [&] { done.set_value(); });
  done.get_future().wait();
}

TEST(SystemTimers, TheDestructorDropsTheRest) {
  const auto token = std::make_shared<int>(0);
  {
    SystemClock clock;
    SystemTimers timers;
    timers.ScheduleAt(clock.Now() + absl::Hours(1), [token] {});
  }
  EXPECT_EQ(token.use_count(), 1);
}

}  // namespace
}  // namespace banyan
