#pragma once

#include <atomic>

#include "server/rpc/backend.h"

namespace banyan::app {

// Stands for a backend that comes after the server, whose address it must know, and goes before it.
// While there is none, requests are answered NODE_STOPPING.
class LateBackend final : public rpc::Backend {
 public:
  explicit LateBackend(const Clock* clock) : clock_(clock) {}
  void Set(rpc::Backend* backend) { backend_.store(backend, std::memory_order_release); }

  const Clock& clock() const override { return *clock_; }

#define BANYAN_RPC(Method)                                                   \
  void Method(const rpc::CallContext& context, v1::Method##Request* request, \
              rpc::Answer<v1::Method##Response> answer) override {           \
    if (rpc::Backend* b = backend_.load(std::memory_order_acquire)) {        \
      return b->Method(context, request, std::move(answer));                 \
    }                                                                        \
    answer.Fail(NotNow());                                                   \
  }
#define BANYAN_STREAM(Method)                                                \
  void Method(const rpc::CallContext& context, v1::Method##Request* request, \
              rpc::EventStreamPtr<v1::Method##Response> stream) override {   \
    if (rpc::Backend* b = backend_.load(std::memory_order_acquire)) {        \
      return b->Method(context, request, std::move(stream));                 \
    }                                                                        \
    stream->Close(NotNow());                                                 \
  }
#include "server/rpc/methods.inc"
#undef BANYAN_RPC
#undef BANYAN_STREAM
  void SendStream(const rpc::CallContext& context, std::shared_ptr<rpc::SendFlow> flow) override {
    if (rpc::Backend* b = backend_.load(std::memory_order_acquire)) {
      return b->SendStream(context, std::move(flow));
    }
    flow->Refuse(NotNow());
  }

 private:
  static absl::Status NotNow() {
    return MakeError("NODE_STOPPING", "the server is starting or stopping");
  }

  const Clock* const clock_;
  std::atomic<rpc::Backend*> backend_{nullptr};
};

}  // namespace banyan::app
