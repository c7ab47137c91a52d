#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "common/time/clock.h"
#include "server/runtime/process.h"
#include "server/runtime/system_monitor.h"

namespace banyan {

// Runs ready processes: one worker thread a core with a queue of its own, a shared queue for what
// comes from outside, and stealing. Or, with an executor, in turns on that (tests, simulator).
class Scheduler {
 public:
  // Both outlive it; `executor` is null with workers. `on_start` runs first on each worker's
  // thread.
  Scheduler(int workers, Executor* executor, SystemMonitor* monitor,
            std::function<void()> on_start = nullptr);
  ~Scheduler();
  void Start();
  // `p` has become ready. On a worker: to its own queue; else to the shared one.
  void Ready(Process* p);
  // Runs what is ready on this thread until nothing is (executor mode only).
  void RunInline();
  void Stop();  // joins; what is still queued is not run

  // Between the two, Ready() from this thread does not wake workers; EndBatch() wakes for all.
  void BeginBatch();
  void EndBatch();

  // Whom this thread, a worker, runs right now; null: nobody. Async-signal-safe.
  static const Process* RunningOnThisThread() noexcept {
    return current_ != nullptr ? current_->running.load(std::memory_order_relaxed) : nullptr;
  }
  // The processes that workers are running right now.
  std::vector<Process*> Running() const;

 private:
  struct Queue {  // FIFO, intrusive through Process::run_next
    mutable Mutex mu;
    Process* head ABSL_GUARDED_BY(mu) = nullptr;
    Process* tail ABSL_GUARDED_BY(mu) = nullptr;
    std::atomic<size_t> size{0};
    void Push(Process* p);
    Process* Pop();
    Process* PopHalf(Queue* rest);  // the first; as many as are left of the half go to `rest`
  };
  struct Worker {
    Scheduler* scheduler = nullptr;
    // Before all of `queue`: a single ready process, which is the common case, needs no lock. Set
    // by the worker, taken by it or by a thief.
    std::atomic<Process*> first{nullptr};
    Queue queue;
    bool idle() const {
      return !first.load(std::memory_order_relaxed) &&
             queue.size.load(std::memory_order_relaxed) == 0;
    }
    Process* TakeFirst() {
      if (!first.load(std::memory_order_relaxed)) return nullptr;
      return first.exchange(nullptr, std::memory_order_acq_rel);
    }
    uint32_t tick = 0;
    uint32_t index = 0;
    std::atomic<Process*> running{nullptr};
    std::thread thread;
  };
  static thread_local Worker* current_;
  static thread_local int batch_depth_;
  static thread_local bool batch_wake_;

  bool Run(Process* p) { return monitor_->watching() ? monitor_->RunWatched(p) : p->Run(); }
  void Loop(Worker* w);
  Process* Next(Worker* w);
  Process* Steal(Worker* w);
  bool AnyReady() const;
  void Park(Worker* w);
  void WakeOne();
  void PostTurn();

  Executor* const executor_;
  SystemMonitor* const monitor_;
  const std::function<void()> on_start_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Queue shared_;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::atomic<bool> turn_posted_{false};
  bool in_turn_ = false;
  Mutex park_mu_;
  std::condition_variable_any park_cv_;
  uint64_t wakes_ ABSL_GUARDED_BY(park_mu_) = 0;
  std::shared_ptr<bool> live_ =
      std::make_shared<bool>(true);  // turns posted after our end do nothing
};

}  // namespace banyan
