#pragma once

#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "common/time/clock.h"

namespace banyan {

// Timers of the real clock: a binary heap, and one thread that sleeps on a timerfd. Scheduling
// makes a system call only if the new timer is the earliest of all; cancelling never does, it only
// marks the timer, whose heap entry goes when it comes due or when dead entries are the majority.
// Thread-safe. Memory: about 80 bytes a timer. The destructor drops what has not run.
class SystemTimers : public Timers {
 public:
  SystemTimers();
  ~SystemTimers() override;
  SystemTimers(const SystemTimers&) = delete;
  SystemTimers& operator=(const SystemTimers&) = delete;

  Id ScheduleAt(Instant at, std::function<void()> fn) override;
  bool Cancel(Id id) override;

 private:
  // An Id is the slot's index plus one in the low half and the slot's generation in the high one.
  struct Slot {
    std::function<void()> fn;
    uint32_t generation = 0;
    bool armed = false;
  };
  struct Entry {
    int64_t at;
    Id id;
    // For std::*_heap, which keep the greatest on top: later is less. Equal times run in any order.
    friend bool operator<(const Entry& a, const Entry& b) { return a.at > b.at; }
  };

  void Loop();
  void RunDue(std::vector<std::function<void()>>& due);
  // Takes the timer's function out and frees its slot.
  std::function<void()> Release(Id id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Alive(Id id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DropDeadEntries() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Makes the thread look again at `at`.
  void Arm(int64_t at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const int fd_;
  Mutex mu_;
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mu_);
  std::vector<uint32_t> free_ ABSL_GUARDED_BY(mu_);
  std::vector<Entry> heap_ ABSL_GUARDED_BY(mu_);
  size_t dead_ ABSL_GUARDED_BY(mu_) = 0;   // entries in heap_ whose timer was cancelled
  int64_t armed_at_ ABSL_GUARDED_BY(mu_);  // when the thread wakes; max: not at all
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace banyan
