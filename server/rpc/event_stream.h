#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

#include "common/base/mutex.h"
#include "server/rpc/status.h"

namespace banyan::rpc {

// A server stream as its producer sees it: thread-safe, kept alive by whoever holds it. Producers
// bound what they queue by waiting for `drained`.
template <typename T>
class EventStream : public std::enable_shared_from_this<EventStream<T>> {
 public:
  // The reactor to return from the service's method, and the stream.
  static std::pair<grpc::ServerWriteReactor<T>*, std::shared_ptr<EventStream>> Open(
      grpc::CallbackServerContext* context) {
    auto stream = std::make_shared<EventStream>();
    auto* reactor = new Reactor(stream, context);
    MutexLock lock(&stream->mu_);
    stream->reactor_ = reactor;
    return {reactor, stream};
  }

  // `gone` runs once, when the client has cancelled or the stream has ended; it may run at once.
  // `drained` runs whenever all that was written has been taken. Both on threads of gRPC's. To be
  // set before the first write.
  void SetCallbacks(std::function<void()> gone, std::function<void()> drained) {
    {
      MutexLock lock(&mu_);
      gone_ = std::move(gone);
      drained_ = std::move(drained);
      if (!ended_ && !cancelled_) return;
    }
    Gone();
  }
  void Write(T message) {
    {
      MutexLock lock(&mu_);
      if (ending_ || cancelled_) return;
      queue_.push_back(std::move(message));
    }
    Pump();
  }
  // Ends the stream after what is queued.
  void Close(absl::Status status, wire::NodeIdentity self = {}) {
    {
      MutexLock lock(&mu_);
      if (ending_) return;
      ending_ = true;
      status_ = std::move(status);
      self_ = self;
    }
    Pump();
  }
  bool closed() const {
    MutexLock lock(&mu_);
    return ending_ || cancelled_;
  }
  size_t queued() const {
    MutexLock lock(&mu_);
    return queue_.size() + (writing_ ? 1 : 0);
  }

 private:
  class Reactor : public grpc::ServerWriteReactor<T> {
   public:
    Reactor(std::shared_ptr<EventStream> stream, grpc::CallbackServerContext* context)
        : stream_(std::move(stream)), context_(context) {}
    void OnWriteDone(bool ok) override { stream_->OnWritten(ok); }
    void OnCancel() override { stream_->OnCancelled(); }
    void OnDone() override {
      stream_->OnDone();
      delete this;
    }
    grpc::CallbackServerContext* context() const { return context_; }

   private:
    const std::shared_ptr<EventStream> stream_;
    grpc::CallbackServerContext* const context_;
  };

  void Pump() {
    Reactor* reactor = nullptr;
    bool end = false;
    absl::Status status;
    wire::NodeIdentity self;
    {
      MutexLock lock(&mu_);
      if (reactor_ == nullptr || writing_ || ended_) return;
      if (cancelled_) queue_.clear();
      if (!queue_.empty()) {
        current_ = std::move(queue_.front());
        queue_.pop_front();
        writing_ = true;
      } else if (ending_ || cancelled_) {
        ended_ = end = true;
        status = ending_ ? status_ : absl::CancelledError("cancelled by the client");
        self = self_;
      } else {
        return;
      }
      reactor = reactor_;
    }
    // `writing_` and `ended_` keep others off, and the reactor lives until its end was begun here.
    if (end) {
      reactor->Finish(ToGrpcStatus(status, reactor->context(), self));
    } else {
      reactor->StartWrite(&current_);
    }
  }

  void OnWritten(bool ok) {
    std::function<void()> drained;
    {
      MutexLock lock(&mu_);
      writing_ = false;
      if (!ok) cancelled_ = true;
      if (ok && queue_.empty() && !ending_ && !cancelled_) drained = drained_;
    }
    Pump();
    if (drained) drained();
  }
  void OnCancelled() {
    {
      MutexLock lock(&mu_);
      cancelled_ = true;
    }
    Pump();
    Gone();
  }
  void OnDone() {
    {
      MutexLock lock(&mu_);
      reactor_ = nullptr;
      ended_ = true;
    }
    Gone();
  }
  void Gone() {
    std::function<void()> gone;
    std::function<void()> drained;  // destroyed outside the lock too: both may hold this stream
    {
      MutexLock lock(&mu_);
      gone = std::exchange(gone_, nullptr);
      drained = std::exchange(drained_, nullptr);
    }
    if (gone) gone();
  }
  mutable Mutex mu_;
  Reactor* reactor_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::deque<T> queue_ ABSL_GUARDED_BY(mu_);
  T current_;  // the write under way
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool ending_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  wire::NodeIdentity self_ ABSL_GUARDED_BY(mu_);
  std::function<void()> gone_ ABSL_GUARDED_BY(mu_);
  std::function<void()> drained_ ABSL_GUARDED_BY(mu_);
};

template <typename T>
using EventStreamPtr = std::shared_ptr<EventStream<T>>;

}  // namespace banyan::rpc
