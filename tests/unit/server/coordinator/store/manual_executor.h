#pragma once

#include <deque>
#include <functional>
#include <utility>

#include "common/time/clock.h"

namespace banyan {

// Runs what was posted when told to.
class ManualExecutor : public Executor {
 public:
  void Post(std::function<void()> fn) override { tasks_.push_back(std::move(fn)); }
  void RunAll() {
    while (!tasks_.empty()) {
      std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }

 private:
  std::deque<std::function<void()>> tasks_;
};

}  // namespace banyan
