#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "google/protobuf/message_lite.h"
#include "grpcpp/channel.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/support/client_callback.h"

#include "server/rpc/answer.h"
#include "server/rpc/call_context.h"
#include "server/rpc/channels.h"
#include "server/rpc/event_stream.h"

namespace banyan::rpc {

// Where a request is passed on to, for the errors of the way there.
enum class Hop { kCoordinator, kNode };

// The error for an answer that came from gRPC itself, not from the other server: nobody was
// reached, or the connection broke, or the time was over. An answer of the other server is returned
// unchanged.
grpc::Status ExplainHop(const grpc::Status& status, Hop hop, const std::string& address,
                        const grpc::ClientContext& client);
// Copies what the other server said beside its error.
void CopyTrailers(const grpc::ClientContext& from, grpc::CallbackServerContext* to);
// Whether the answer, an error, was made by the other server, not on the way there.
bool FromServer(const grpc::ClientContext& client);
// Whether the answer, an error, is a process's own.
bool FromActor(const grpc::ClientContext& client);
// FORWARD_LOOP if it was passed on too often already.
absl::Status CheckHops(const CallContext& context);

// Passes requests on to other servers of the cluster, as ordinary calls of the public services.
class Forwarder {
 public:
  Forwarder(Channels* channels, const Clock* clock) : channels_(channels), clock_(clock) {}

  // `done` gets the other server's answer, on a thread of gRPC's. What is returned lives until
  // then: TryCancel() tells that server that nobody waits any more.
  template <typename Request, typename Response>
  std::weak_ptr<grpc::ClientContext> Ask(
      const CallContext& context, Hop hop, const std::string& address, const char* method,
      Request request,
      std::function<void(grpc::Status, Response*, const grpc::ClientContext&)> done) {
    struct State {
      grpc::ClientContext client;
      Request request;
      Response response;
    };
    auto state = std::make_shared<State>();
    state->request = std::move(request);
    WriteContext(context, *clock_, &state->client);
    Start(hop, address, method, &state->client, &state->request, &state->response,
          [state, done = std::move(done)](const grpc::Status& status) {
            done(status, &state->response, state->client);
          });
    return std::shared_ptr<grpc::ClientContext>(state, &state->client);
  }

  // The same, answered as the other server does.
  template <typename Request, typename Response>
  void Pass(const CallContext& context, Hop hop, const std::string& address, const char* method,
            Request request, Answer<Response> answer) {
    if (absl::Status hops = CheckHops(context); !hops.ok()) return answer.Fail(hops);
    Ask<Request, Response>(context, hop, address, method, std::move(request),
                           [answer](const grpc::Status& status, Response* response,
                                    const grpc::ClientContext& client) {
                             if (status.ok()) return answer.Done(std::move(*response));
                             PassError(answer, status, client);
                           });
  }

  template <typename Response>
  static void PassError(const Answer<Response>& answer, const grpc::Status& status,
                        const grpc::ClientContext& client) {
    if (!answer.call()->Claim()) return;
    CopyTrailers(client, answer.call()->context());
    answer.call()->Finish(status);
  }

  // A server stream. One message is under way at a time, so the reader's pace is the sender's.
  template <typename Request, typename Response>
  void PassStream(const CallContext& context, Hop hop, const std::string& address,
                  const char* method, Request request, EventStreamPtr<Response> stream);

  const Clock& clock() const { return *clock_; }
  // For what is no ordinary call; the errors of the way are explained by ExplainHop().
  std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address) {
    return channels_->Get(address);
  }

 private:
  // `done` keeps the messages and the context alive.
  void Start(Hop hop, const std::string& address, const char* method, grpc::ClientContext* client,
             const google::protobuf::MessageLite* request, google::protobuf::MessageLite* response,
             std::function<void(grpc::Status)> done);

  Channels* const channels_;
  const Clock* const clock_;
};

// The client's side of a stream that is passed on. Freed by its OnDone.
template <typename Request, typename Response>
class StreamPass : public grpc::ClientReadReactor<Response> {
 public:
  StreamPass(std::shared_ptr<grpc::Channel> channel, Hop hop, std::string address, Request request,
             EventStreamPtr<Response> stream)
      : channel_(std::move(channel)),
        hop_(hop),
        address_(std::move(address)),
        request_(std::move(request)),
        stream_(std::move(stream)),
        shared_(std::make_shared<Shared>()) {
    MutexLock lock(&shared_->mu);
    shared_->self = this;
  }

  grpc::ClientContext* client() { return &client_; }

  void Start(const char* method) {
    grpc::internal::ClientCallbackReaderFactory<Response>::Create(
        channel_.get(),
        grpc::internal::RpcMethod(method, nullptr, grpc::internal::RpcMethod::SERVER_STREAMING),
        &client_, &request_, this);
    // One hold for the reads that `drained` starts.
    this->AddHold();
    auto shared = shared_;
    stream_->SetCallbacks(
        [shared] {
          MutexLock lock(&shared->mu);
          shared->gone = true;
          if (shared->self == nullptr) return;
          shared->self->client_.TryCancel();
          shared->self->ReadOn();  // its failure ends the call
        },
        [shared] {
          MutexLock lock(&shared->mu);
          if (shared->self != nullptr) shared->self->ReadOn();
        });
    {
      MutexLock lock(&shared_->mu);
      ReadOn();
    }
    this->StartCall();
  }

 private:
  struct Shared {
    Mutex mu;
    StreamPass* self ABSL_GUARDED_BY(mu) = nullptr;  // null: no read may be started any more
    bool reading ABSL_GUARDED_BY(mu) = false;
    bool gone ABSL_GUARDED_BY(mu) = false;
  };

  // Under the lock; clang cannot see that it is the same one through two names.
  void ReadOn() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (std::exchange(shared_->reading, true)) return;
    this->StartRead(&message_);
  }

  void OnReadDone(bool ok) override {
    {
      MutexLock lock(&shared_->mu);
      shared_->reading = false;
      if (!ok) shared_->self = nullptr;
      if (ok && shared_->gone) return ReadOn();
    }
    if (ok) return stream_->Write(std::move(message_));
    this->RemoveHold();
  }
  void OnDone(const grpc::Status& status) override {
    stream_->Close(FromGrpcStatus(ExplainHop(status, hop_, address_, client_)));
    delete this;
  }

  const std::shared_ptr<grpc::Channel> channel_;
  const Hop hop_;
  const std::string address_;
  const Request request_;
  const EventStreamPtr<Response> stream_;
  const std::shared_ptr<Shared> shared_;
  grpc::ClientContext client_;
  Response message_;
};

template <typename Request, typename Response>
void Forwarder::PassStream(const CallContext& context, Hop hop, const std::string& address,
                           const char* method, Request request, EventStreamPtr<Response> stream) {
  if (absl::Status hops = CheckHops(context); !hops.ok()) return stream->Close(hops);
  auto* pass = new StreamPass<Request, Response>(channels_->Get(address), hop, address,
                                                 std::move(request), std::move(stream));
  WriteContext(context, *clock_, pass->client());
  pass->Start(method);
}

}  // namespace banyan::rpc
