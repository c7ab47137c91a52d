#include "common/time/thread_executor.h"

#include <pthread.h>

#include "common/base/check.h"

namespace banyan {

ThreadExecutor::ThreadExecutor(const std::string& name) : thread_([this] { Loop(); }) {
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

ThreadExecutor::~ThreadExecutor() {
  BANYAN_CHECK(!RunsOnThisThread());
  {
    MutexLock lock(&mu_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void ThreadExecutor::Post(std::function<void()> fn) {
  bool was_empty;
  {
    MutexLock lock(&mu_);
    was_empty = queue_.empty();
    queue_.push_back(std::move(fn));
  }
  if (was_empty) wake_.notify_one();
}

void ThreadExecutor::Loop() {
  std::vector<std::function<void()>> batch;
  while (true) {
    {
      MutexLock lock(&mu_);
      while (queue_.empty() && !stop_) wake_.wait(mu_);
      if (queue_.empty()) return;
      batch.swap(queue_);
    }
    for (std::function<void()>& fn : batch) {
      fn();
      fn = nullptr;  // what it captured is released in order too
    }
    batch.clear();
  }
}

}  // namespace banyan
