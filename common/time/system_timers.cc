#include "common/time/system_timers.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <pthread.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "common/base/check.h"

namespace banyan {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
// Due timers run in batches of this size, so that the lock is not held for long.
constexpr size_t kBatch = 256;
constexpr size_t kDeadEntriesMin = 1024;

int64_t NowNanos() {
  timespec ts{};
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
}

// Some sandboxes have no timerfd on the boot clock; the loop looks at the boot clock itself anyhow,
// so there a timer is only late by the time that the machine was suspended.
int OpenTimer() {
  int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC);
  if (fd < 0) fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  return fd;
}

uint32_t SlotOf(Timers::Id id) { return static_cast<uint32_t>(id) - 1; }
uint32_t GenerationOf(Timers::Id id) { return static_cast<uint32_t>(id >> 32); }

}  // namespace

SystemTimers::SystemTimers() : fd_(OpenTimer()), armed_at_(kNever) {
  BANYAN_CHECK(fd_ >= 0);
  thread_ = std::thread([this] { Loop(); });
  pthread_setname_np(thread_.native_handle(), "timers");
}

SystemTimers::~SystemTimers() {
  {
    MutexLock lock(&mu_);
    stop_ = true;
    Arm(0);
  }
  thread_.join();
  close(fd_);
}

Timers::Id SystemTimers::ScheduleAt(Instant at, std::function<void()> fn) {
  if (at.infinite()) return 0;
  MutexLock lock(&mu_);
  uint32_t index;
  if (free_.empty()) {
    index = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Slot& slot = slots_[index];
  slot.fn = std::move(fn);
  slot.armed = true;
  const Id id = (Id{slot.generation} << 32) | (index + 1);
  heap_.push_back({at.nanos(), id});
  std::push_heap(heap_.begin(), heap_.end());
  if (at.nanos() < armed_at_) Arm(at.nanos());
  return id;
}

bool SystemTimers::Cancel(Id id) {
  std::function<void()> dropped;  // destroyed after the lock is: what it captured may use timers
  MutexLock lock(&mu_);
  if (!Alive(id)) return false;
  dropped = Release(id);
  ++dead_;
  if (dead_ > kDeadEntriesMin && dead_ > heap_.size() / 2) DropDeadEntries();
  return true;
}

bool SystemTimers::Alive(Id id) const {
  const uint32_t index = SlotOf(id);
  return index < slots_.size() && slots_[index].armed &&
         slots_[index].generation == GenerationOf(id);
}

std::function<void()> SystemTimers::Release(Id id) {
  Slot& slot = slots_[SlotOf(id)];
  slot.armed = false;
  ++slot.generation;
  free_.push_back(SlotOf(id));
  return std::exchange(slot.fn, nullptr);
}

void SystemTimers::DropDeadEntries() {
  std::erase_if(heap_,
                [this](const Entry& e) ABSL_NO_THREAD_SAFETY_ANALYSIS { return !Alive(e.id); });
  std::make_heap(heap_.begin(), heap_.end());
  dead_ = 0;
}

void SystemTimers::Arm(int64_t at) {
  armed_at_ = at;
  itimerspec spec{};  // zero disarms
  if (at != kNever) {
    const int64_t delay = std::max<int64_t>(at - NowNanos(), 1);
    spec.it_value.tv_sec = delay / 1'000'000'000;
    spec.it_value.tv_nsec = delay % 1'000'000'000;
  }
  timerfd_settime(fd_, 0, &spec, nullptr);
}

void SystemTimers::Loop() {
  std::vector<std::function<void()>> due;
  while (true) {
    uint64_t expirations;
    // EINTR and the like only make it look early.
    [[maybe_unused]] const ssize_t n = read(fd_, &expirations, sizeof expirations);
    {
      MutexLock lock(&mu_);
      if (stop_) return;
    }
    RunDue(due);
  }
}

void SystemTimers::RunDue(std::vector<std::function<void()>>& due) {
  while (true) {
    {
      MutexLock lock(&mu_);
      if (stop_) return;
      const int64_t now = NowNanos();
      while (!heap_.empty() && due.size() < kBatch) {
        const Entry top = heap_.front();
        const bool alive = Alive(top.id);
        if (alive && top.at > now) break;
        std::pop_heap(heap_.begin(), heap_.end());
        heap_.pop_back();
        if (alive) {
          due.push_back(Release(top.id));
        } else {
          --dead_;
        }
      }
      if (due.empty()) {
        Arm(heap_.empty() ? kNever : heap_.front().at);
        return;
      }
    }
    for (std::function<void()>& fn : due) fn();
    due.clear();
  }
}

}  // namespace banyan
