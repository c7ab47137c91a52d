#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"

#include "common/time/clock.h"
#include "common/time/random.h"

namespace banyan {

// A clock that stands still until the test moves it, and the one event loop that a simulation runs
// on. Events run in order of time, then of scheduling, so a run depends on its inputs only.
// Single-threaded: everything, callbacks included, runs on the thread that calls Run*.
class VirtualTime : public Clock, public Timers, public Executor {
 public:
  // WallNow() when the clock began.
  static constexpr int64_t kWallEpochSeconds = 1'767'225'600;  // 2026-01-01T00:00:00Z

  Instant Now() const override { return now_; }
  absl::Time WallNow() const override {
    return absl::FromUnixSeconds(kWallEpochSeconds) + absl::Nanoseconds(now_.nanos() - kStart);
  }
  // A time that is past runs at the present one.
  Id ScheduleAt(Instant at, std::function<void()> fn) override;
  bool Cancel(Id id) override;
  void Post(std::function<void()> fn) override { ScheduleAt(now_, std::move(fn)); }

  // Runs the next event and moves the clock to it. False: there is none.
  bool RunOne();
  // Runs all that is due, and what that posts, without moving the clock. Returns the number run.
  size_t RunUntilIdle();
  // Runs what comes within `d` and leaves the clock exactly `d` later.
  void RunFor(absl::Duration d);
  // Runs until `pred` holds, moving the clock by at most `limit`. Returns whether it holds.
  bool RunUntil(const std::function<bool()>& pred, absl::Duration limit);

  size_t pending() const { return events_.size(); }
  // When the next event is due; infinite if there is none.
  Instant NextEventAt() const {
    return events_.empty() ? Instant::Infinite() : events_.begin()->first.first;
  }

 private:
  // Not zero, so that code that takes "no time" for zero does not pass by accident.
  static constexpr int64_t kStart = 1'000'000'000;

  Instant now_ = Instant::FromNanos(kStart);
  Id last_id_ = 0;
  std::map<std::pair<Instant, Id>, std::function<void()>> events_;
  absl::flat_hash_map<Id, Instant> times_;
};

}  // namespace banyan
