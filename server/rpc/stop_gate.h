#pragma once

#include <condition_variable>

#include "common/base/mutex.h"

namespace banyan::rpc {

// Lets what outlives a server's parts, such as an open stream, use them until they go.
class StopGate {
 public:
  // While one that is true is alive, Stop() waits.
  class Pass {
   public:
    explicit Pass(StopGate* gate) : gate_(gate->Enter() ? gate : nullptr) {}
    ~Pass() {
      if (gate_ != nullptr) gate_->Leave();
    }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    explicit operator bool() const { return gate_ != nullptr; }

   private:
    StopGate* const gate_;
  };

  // Not on a thread that has a pass.
  void Stop() {
    MutexLock lock(&mu_);
    stopped_ = true;
    while (inside_ > 0) left_.wait(mu_);
  }
  bool stopped() const {
    MutexLock lock(&mu_);
    return stopped_;
  }

 private:
  bool Enter() {
    MutexLock lock(&mu_);
    if (stopped_) return false;
    ++inside_;
    return true;
  }
  void Leave() {
    MutexLock lock(&mu_);
    if (--inside_ == 0 && stopped_) left_.notify_all();
  }

  mutable Mutex mu_;
  std::condition_variable_any left_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  int inside_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace banyan::rpc
