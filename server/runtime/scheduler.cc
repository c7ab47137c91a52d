#include "server/runtime/scheduler.h"

#include <string>

#include <pthread.h>

namespace banyan {

thread_local Scheduler::Worker* Scheduler::current_ = nullptr;
thread_local int Scheduler::batch_depth_ = 0;
thread_local bool Scheduler::batch_wake_ = false;

void Scheduler::Queue::Push(Process* p) {
  p->run_next = nullptr;
  MutexLock lock(&mu);
  if (tail) {
    tail->run_next = p;
  } else {
    head = p;
  }
  tail = p;
  size.store(size.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
}

Process* Scheduler::Queue::Pop() {
  if (size.load(std::memory_order_relaxed) == 0) return nullptr;
  MutexLock lock(&mu);
  Process* p = head;
  if (!p) return nullptr;
  head = p->run_next;
  if (!head) tail = nullptr;
  size.store(size.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  return p;
}

Process* Scheduler::Queue::PopHalf(Queue* rest) {
  Process* first = Pop();
  if (!first) return nullptr;
  for (size_t n = size.load(std::memory_order_relaxed) / 2; n > 0; --n) {
    Process* p = Pop();
    if (!p) break;
    rest->Push(p);
  }
  return first;
}

Scheduler::Scheduler(int workers, Executor* executor, SystemMonitor* monitor,
                     std::function<void()> on_start)
    : executor_(executor), monitor_(monitor), on_start_(std::move(on_start)) {
  for (int i = 0; i < workers; ++i) {
    workers_.push_back(std::make_unique<Worker>());
    workers_.back()->scheduler = this;
    workers_.back()->index = i;
  }
}

Scheduler::~Scheduler() { Stop(); }

void Scheduler::Start() {
  for (auto& w : workers_) {
    w->thread = std::thread([this, worker = w.get()] { Loop(worker); });
    pthread_setname_np(w->thread.native_handle(), ("sched-" + std::to_string(w->index)).c_str());
  }
}

void Scheduler::Stop() {
  *live_ = false;
  stop_.store(true);
  {
    MutexLock lock(&park_mu_);
    ++wakes_;
    park_cv_.notify_all();
  }
  for (auto& w : workers_) {
    if (w->thread.joinable()) w->thread.join();
  }
}

void Scheduler::Ready(Process* p) {
  Worker* w = current_;
  if (w && w->scheduler == this) {
    if (w->idle()) {
      w->first.store(p, std::memory_order_seq_cst);
      return;
    }
    w->queue.Push(p);
    // The worker itself takes the one; a second is worth a sleeper's wake-up.
    if (sleepers_.load() > 0) WakeOne();
    return;
  }
  shared_.Push(p);
  if (workers_.empty()) {
    PostTurn();
  } else if (batch_depth_ > 0) {
    batch_wake_ = true;
  } else if (sleepers_.load() > 0) {
    WakeOne();
  }
}

void Scheduler::BeginBatch() { ++batch_depth_; }

void Scheduler::EndBatch() {
  if (--batch_depth_ > 0 || !batch_wake_) return;
  batch_wake_ = false;
  if (sleepers_.load() > 0) WakeOne();
}

void Scheduler::WakeOne() {
  MutexLock lock(&park_mu_);
  ++wakes_;
  park_cv_.notify_one();
}

void Scheduler::PostTurn() {
  if (in_turn_ || turn_posted_.exchange(true)) return;
  executor_->Post([this, live = live_] {
    if (!*live) return;
    turn_posted_ = false;
    RunInline();
  });
}

void Scheduler::RunInline() {
  if (in_turn_) return;
  in_turn_ = true;
  while (Process* p = shared_.Pop()) {
    if (Run(p)) shared_.Push(p);
  }
  in_turn_ = false;
}

void Scheduler::Loop(Worker* w) {
  if (on_start_) on_start_();
  current_ = w;
  while (!stop_.load(std::memory_order_relaxed)) {
    Process* p = Next(w);
    if (!p) {
      Park(w);
      continue;
    }
    w->running.store(p, std::memory_order_release);
    bool again = Run(p);
    w->running.store(nullptr, std::memory_order_release);
    if (again) w->queue.Push(p);
  }
  current_ = nullptr;
}

Process* Scheduler::Next(Worker* w) {
  // Now and then the shared queue comes first, or busy workers would starve what comes from
  // outside.
  if (++w->tick % 61 == 0) {
    if (Process* p = shared_.Pop()) return p;
  }
  if (Process* p = w->TakeFirst()) return p;
  if (Process* p = w->queue.Pop()) return p;
  if (Process* p = shared_.Pop()) {
    // More where that came from: pass the wake-up on.
    if (shared_.size.load(std::memory_order_relaxed) > 0 && sleepers_.load() > 0) WakeOne();
    return p;
  }
  return Steal(w);
}

Process* Scheduler::Steal(Worker* w) {
  for (size_t i = 1; i < workers_.size(); ++i) {
    Worker* victim = workers_[(w->index + i) % workers_.size()].get();
    if (Process* p = victim->TakeFirst()) return p;
    if (Process* p = victim->queue.PopHalf(&w->queue)) return p;
  }
  return nullptr;
}

bool Scheduler::AnyReady() const {
  if (shared_.size.load() > 0) return true;
  for (const auto& w : workers_) {
    if (w->first.load() || w->queue.size.load() > 0) return true;
  }
  return false;
}

void Scheduler::Park(Worker* w) {
  park_mu_.Lock();
  uint64_t seen = wakes_;
  // Announced before the queues are looked at once more; pushers look at sleepers_ after they
  // pushed.
  sleepers_.fetch_add(1);
  if (!AnyReady()) {
    while (wakes_ == seen && !stop_.load()) park_cv_.wait(park_mu_);
  }
  sleepers_.fetch_sub(1);
  park_mu_.Unlock();
}

std::vector<Process*> Scheduler::Running() const {
  std::vector<Process*> out;
  for (const auto& w : workers_) {
    if (Process* p = w->running.load(std::memory_order_acquire)) out.push_back(p);
  }
  return out;
}

}  // namespace banyan
