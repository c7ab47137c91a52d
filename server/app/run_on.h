#pragma once

#include <future>
#include <utility>

#include "common/time/clock.h"

namespace banyan::app {

// Runs `fn` on the executor and waits for it. Only for main's thread, at start and stop.
template <typename F>
void RunOn(Executor* executor, F fn) {
  std::promise<void> done;
  executor->Post([&] {
    fn();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace banyan::app
