#pragma once

#include <condition_variable>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "common/time/clock.h"

namespace banyan {

// A strand on a thread of its own. Post is thread-safe and unbounded: callers bound what they post.
// The destructor runs everything that was posted, also by what it runs, then joins; it must not run
// on the strand itself.
class ThreadExecutor : public Executor {
 public:
  // `name` shows in debuggers; the kernel keeps 15 characters of it.
  explicit ThreadExecutor(const std::string& name = "strand");
  ~ThreadExecutor() override;
  ThreadExecutor(const ThreadExecutor&) = delete;
  ThreadExecutor& operator=(const ThreadExecutor&) = delete;

  void Post(std::function<void()> fn) override;
  bool RunsOnThisThread() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  void Loop();

  Mutex mu_;
  std::condition_variable_any wake_;
  std::vector<std::function<void()>> queue_ ABSL_GUARDED_BY(mu_);
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace banyan
