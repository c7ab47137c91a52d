#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

#include "common/base/error.h"
#include "common/base/mutex.h"
#include "server/rpc/status.h"

namespace banyan::rpc {

// A unary call that waits for its answer. The reactor is freed when gRPC is done with it and no
// handle is left, in whichever order.
template <typename Response>
class PendingCall : public grpc::ServerUnaryReactor {
 public:
  PendingCall(grpc::CallbackServerContext* context, Response* response)
      : context_(context), response_(response) {}

  grpc::CallbackServerContext* context() const { return context_; }
  Response* response() const { return response_; }

  // True once: the caller may then fill the response in and must finish.
  bool Claim() { return !claimed_.exchange(true, std::memory_order_acq_rel); }
  bool claimed() const { return claimed_.load(std::memory_order_acquire); }
  void OnGivenUp(std::function<void()> fn) {
    {
      MutexLock lock(&mu_);
      if (!given_up_) {
        on_given_up_ = std::move(fn);
        return;
      }
    }
    fn();
  }
  void FinishWith(const absl::Status& status, const wire::NodeIdentity& self = {}) {
    Finish(ToGrpcStatus(status, context_, self));
  }

  void Ref() { handles_.fetch_add(1, std::memory_order_relaxed); }
  void Unref() {
    if (handles_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    // Nobody can answer any more: what should have done so was stopped, wherever it was.
    ErrorInfo stopped;
    stopped.metadata["outcome"] = std::string(kOutcomeUnknown);
    if (Claim())
      FinishWith(WithErrorInfo(MakeError("NODE_STOPPING", "the server is stopping"), stopped));
    Drop();
  }

 private:
  // The client gave up: there is nobody to tell, and what has not begun need not.
  void OnCancel() override {
    std::function<void()> fn;
    {
      MutexLock lock(&mu_);
      given_up_ = true;
      fn = std::exchange(on_given_up_, nullptr);
    }
    if (!Claim()) return;
    Finish(grpc::Status(grpc::StatusCode::CANCELLED, "cancelled by the client"));
    if (fn) fn();
  }
  void OnDone() override { Drop(); }
  void Drop() {
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  grpc::CallbackServerContext* const context_;
  Response* const response_;
  Mutex mu_;
  bool given_up_ ABSL_GUARDED_BY(mu_) = false;
  std::function<void()> on_given_up_ ABSL_GUARDED_BY(mu_);
  std::atomic<bool> claimed_{false};
  std::atomic<int> handles_{0};
  std::atomic<int> owners_{2};  // gRPC, and the handles together
};

// A handle of a pending call; copies share it. The first answer counts, from any thread.
template <typename Response>
class Answer {
 public:
  Answer() = default;
  explicit Answer(PendingCall<Response>* call) : call_(call) { call_->Ref(); }
  Answer(const Answer& other) : call_(other.call_) {
    if (call_ != nullptr) call_->Ref();
  }
  Answer(Answer&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
  Answer& operator=(Answer other) noexcept {
    std::swap(call_, other.call_);
    return *this;
  }
  ~Answer() {
    if (call_ != nullptr) call_->Unref();
  }

  // Whether it is too late, e.g. since the client has gone.
  bool closed() const { return call_->claimed(); }

  // `fn` runs once if the client gives up before there is an answer, at once if it has. It must
  // hold no handle of this call, which would never be freed.
  void OnGivenUp(std::function<void()> fn) const { call_->OnGivenUp(std::move(fn)); }

  void Fail(const absl::Status& status, const wire::NodeIdentity& self = {}) const {
    if (call_->Claim()) call_->FinishWith(status, self);
  }
  // Fills the response in, which must not be touched at any other time, and finishes. `fill` may
  // return an error instead.
  template <typename Fill>
  void With(Fill&& fill, const wire::NodeIdentity& self = {}) const {
    if (!call_->Claim()) return;
    if constexpr (std::is_void_v<std::invoke_result_t<Fill, Response*>>) {
      fill(call_->response());
      call_->Finish(grpc::Status::OK);
    } else {
      call_->FinishWith(fill(call_->response()), self);
    }
  }
  void Done(Response response) const {
    With([&](Response* out) { *out = std::move(response); });
  }
  // An answer that another server gave, with its trailers.
  void Raw(const grpc::Status& status) const {
    if (call_->Claim()) call_->Finish(status);
  }
  // For functions that answer with a StatusOr of the whole response.
  void operator()(absl::StatusOr<Response> result) const {
    result.ok() ? Done(*std::move(result)) : Fail(result.status());
  }

  PendingCall<Response>* call() const { return call_; }

 private:
  PendingCall<Response>* call_ = nullptr;
};

}  // namespace banyan::rpc
