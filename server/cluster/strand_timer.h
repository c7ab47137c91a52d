#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "common/time/clock.h"

namespace banyan {

// One timer of an object that lives on an executor: its function runs there, and not any more once
// the timer was set anew, cancelled or destroyed. Used on the executor only.
class StrandTimer {
 public:
  StrandTimer(Timers* timers, Executor* executor)
      : timers_(timers), executor_(executor), state_(std::make_shared<State>()) {}
  ~StrandTimer() { Cancel(); }
  StrandTimer(const StrandTimer&) = delete;
  StrandTimer& operator=(const StrandTimer&) = delete;

  void Set(Instant at, std::function<void()> fn) {
    Cancel();
    state_->fn = std::move(fn);
    if (at.infinite()) return;
    std::weak_ptr<State> weak = state_;
    id_ = timers_->ScheduleAt(at, [weak, round = state_->round, executor = executor_] {
      executor->Post([weak, round] {
        std::shared_ptr<State> state = weak.lock();
        if (!state || state->round != round) return;
        ++state->round;
        // Moved out first: the function may set the timer anew or destroy it.
        std::function<void()> fn = std::move(state->fn);
        state->fn = nullptr;
        fn();
      });
    });
  }

  void Cancel() {
    ++state_->round;
    state_->fn = nullptr;
    if (id_) timers_->Cancel(std::exchange(id_, 0));
  }

  bool armed() const { return state_->fn != nullptr; }

 private:
  struct State {
    uint64_t round = 0;
    std::function<void()> fn;
  };
  Timers* const timers_;
  Executor* const executor_;
  const std::shared_ptr<State> state_;
  Timers::Id id_ = 0;
};

}  // namespace banyan
