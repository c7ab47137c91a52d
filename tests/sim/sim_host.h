#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <utility>

#include "common/time/virtual_time.h"

namespace banyan::sim {

// One simulated OS process: a clock of its own rate and offset, timers and an executor on the one
// event loop. A crash drops all that was to run; a pause (SIGSTOP) holds it up while the clock goes
// on.
class SimHost : public Clock, public Timers, public Executor {
 public:
  SimHost(VirtualTime* time, double rate, absl::Duration offset)
      : time_(time),
        state_(std::make_shared<State>()),
        rate_(rate),
        offset_(offset),
        origin_(time->Now()) {}
  ~SimHost() override { Kill(); }

  Instant Now() const override {
    return Instant::FromNanos(1) + offset_ + (time_->Now() - origin_) * rate_;
  }
  absl::Time WallNow() const override { return time_->WallNow(); }
  Id ScheduleAt(Instant at, std::function<void()> fn) override {
    if (at.infinite()) return 0;
    Id id = ++last_id_;
    absl::Duration left = (at - Now()) / rate_;
    state_->timers.insert(id);
    time_->ScheduleAt(time_->Now() + std::max(left, absl::ZeroDuration()),
                      [state = state_, id, fn = std::move(fn)]() mutable {
                        Run(state, [state, id, fn = std::move(fn)] {
                          if (state->timers.erase(id) > 0) fn();
                        });
                      });
    return id;
  }
  bool Cancel(Id id) override { return state_->timers.erase(id) > 0; }
  void Post(std::function<void()> fn) override {
    time_->Post([state = state_, fn = std::move(fn)]() mutable { Run(state, std::move(fn)); });
  }

  // From here on nothing runs.
  void Kill() {
    state_->dead = true;
    state_->held.clear();  // they hold the state
  }
  void Pause() { state_->paused = true; }
  void Resume() {
    state_->paused = false;
    std::deque<std::function<void()>> held;
    held.swap(state_->held);
    for (auto& fn : held) Post(std::move(fn));
  }
  bool paused() const { return state_->paused; }

 private:
  struct State {
    bool dead = false, paused = false;
    std::deque<std::function<void()>> held;
    std::set<Id> timers;
  };
  static void Run(const std::shared_ptr<State>& state, std::function<void()> fn) {
    if (state->dead) return;
    if (state->paused) {
      state->held.push_back(std::move(fn));
    } else {
      fn();
    }
  }

  VirtualTime* const time_;
  const std::shared_ptr<State> state_;
  const double rate_;
  const absl::Duration offset_;
  const Instant origin_;
  Id last_id_ = 0;
};

}  // namespace banyan::sim
