#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/time/time.h"

#include "common/time/instant.h"

namespace banyan {

// Time as the rest of the code sees it. Implementations: SystemClock, and VirtualTime for tests.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant Now() const = 0;         // monotonic, counts system suspend
  virtual absl::Time WallNow() const = 0;  // for people and logs only
};

// One-shot timers. A callback runs on the timer service's own thread and must only hand over work.
class Timers {
 public:
  using Id = uint64_t;  // 0: none
  virtual ~Timers() = default;
  // Runs `fn` once at `at` or a little later, never earlier. An infinite `at` is never run.
  virtual Id ScheduleAt(Instant at, std::function<void()> fn) = 0;
  // True: it had not run and never will. False: it has run, is running, or is unknown.
  virtual bool Cancel(Id id) = 0;
};

// Runs closures one after another on one logical thread (a strand). Production: a thread of its
// own; simulation: the one event loop.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual void Post(std::function<void()> fn) = 0;
};

class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t Next() = 0;
  // Uniform in [0, n). n > 0.
  uint64_t Below(uint64_t n) { return Next() % n; }
  // Uniform in [0, 1).
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
};

}  // namespace banyan
