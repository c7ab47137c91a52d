#include "server/rpc/grpc_transport.h"

#include <utility>

#include "grpcpp/client_context.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/client_callback.h"

#include "server/rpc/peer_name.h"
#include "server/rpc/status.h"

namespace banyan::rpc {

const char* MethodOf(StreamKind kind) {
  switch (kind) {
    case StreamKind::kLease:
      return "/banyan.internal.v1.Membership/Lease";
    case StreamKind::kControl:
      return "/banyan.internal.v1.Membership/Control";
    case StreamKind::kWatcher:
      return "/banyan.internal.v1.Membership/Watcher";
    case StreamKind::kPeer:
      return "/banyan.internal.v1.Peer/Session";
    case StreamKind::kRelay:
      return "/banyan.internal.v1.Membership/Relay";
  }
  return "";
}

// Shared by the transport and its streams' calls, which outlive it for a moment.
class GrpcTransport::Live {
 public:
  // False: stopping.
  bool Add(const std::shared_ptr<StreamCore>& core) {
    MutexLock lock(&mu_);
    if (stopping_) return false;
    cores_.insert(core);
    return true;
  }
  void Remove(const std::shared_ptr<StreamCore>& core) {
    MutexLock lock(&mu_);
    cores_.erase(core);
    if (cores_.empty()) empty_.notify_all();
  }
  void StopAndWait() {
    std::set<std::shared_ptr<StreamCore>> cores;
    {
      MutexLock lock(&mu_);
      stopping_ = true;
      cores = cores_;
    }
    for (const auto& core : cores) core->Cut();
    cores.clear();
    std::unique_lock<Mutex> lock(mu_);
    empty_.wait(lock, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return cores_.empty(); });
  }

 private:
  Mutex mu_;
  std::condition_variable_any empty_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::set<std::shared_ptr<StreamCore>> cores_ ABSL_GUARDED_BY(mu_);
};

namespace {

grpc::WriteOptions OptionsFor(bool more) {
  grpc::WriteOptions options;
  if (more) options.set_buffer_hint();
  return options;
}

class ServerWire : public GrpcTransport::Reactor, public StreamCore::Wire {
 public:
  ServerWire(std::shared_ptr<StreamCore> core, std::shared_ptr<GrpcTransport::Live> live,
             grpc::CallbackServerContext* context)
      : core_(std::move(core)), live_(std::move(live)), context_(context) {}

  void StartReading(grpc::ByteBuffer* into) override { StartRead(into); }
  void StartWriting(const grpc::ByteBuffer* from, bool more) override {
    StartWrite(from, OptionsFor(more));
  }
  void End(const absl::Status& status) override {
    status_ = status;
    Finish(ToGrpcStatus(status, context_));
  }
  void Cancel() override { context_->TryCancel(); }
  void RemoveTheHold() override {}

  void OnReadDone(bool ok) override { core_->OnRead(ok); }
  void OnWriteDone(bool ok) override { core_->OnWritten(ok); }
  void OnCancel() override { core_->OnCancelled(); }
  void OnDone() override {
    // A broken call may look like the other side's orderly close until here.
    if (status_.ok() && context_->IsCancelled()) {
      status_ = absl::CancelledError("the stream was cancelled or its connection broke");
    }
    core_->OnOver(status_);
    const auto core = core_;
    const auto live = live_;
    delete this;
    live->Remove(core);
  }

 private:
  const std::shared_ptr<StreamCore> core_;
  const std::shared_ptr<GrpcTransport::Live> live_;
  grpc::CallbackServerContext* const context_;
  absl::Status status_;
};

class ClientWire : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                   public StreamCore::Wire {
 public:
  ClientWire(std::shared_ptr<StreamCore> core, std::shared_ptr<GrpcTransport::Live> live,
             std::shared_ptr<grpc::Channel> channel)
      : core_(std::move(core)),
        live_(std::move(live)),
        channel_(std::move(channel)),
        stub_(channel_) {}

  void Start(StreamKind kind) {
    stub_.PrepareBidiStreamingCall(&context_, MethodOf(kind), {}, this);
    AddHold();
    core_->Attach(this);
    core_->StartReading();
    StartCall();
  }

  void StartReading(grpc::ByteBuffer* into) override { StartRead(into); }
  void StartWriting(const grpc::ByteBuffer* from, bool more) override {
    StartWrite(from, OptionsFor(more));
  }
  void End(const absl::Status&) override { StartWritesDone(); }
  void Cancel() override { context_.TryCancel(); }
  void RemoveTheHold() override { RemoveHold(); }

  void OnReadDone(bool ok) override { core_->OnRead(ok); }
  void OnWriteDone(bool ok) override { core_->OnWritten(ok); }
  void OnWritesDoneDone(bool ok) override { core_->OnWritten(ok); }
  void OnDone(const grpc::Status& status) override {
    core_->OnOver(FromGrpcStatus(status));
    const auto core = core_;
    const auto live = live_;
    delete this;  // lets the channel go before Stop() returns
    live->Remove(core);
  }

 private:
  const std::shared_ptr<StreamCore> core_;
  const std::shared_ptr<GrpcTransport::Live> live_;
  const std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
};

}  // namespace

GrpcTransport::GrpcTransport(Executor* executor, Channels* channels)
    : executor_(executor), channels_(channels), live_(std::make_shared<Live>()) {}

GrpcTransport::~GrpcTransport() { Stop(); }

void GrpcTransport::Stop() { live_->StopAndWait(); }

std::unique_ptr<Stream> GrpcTransport::Dial(const std::string& address, StreamKind kind,
                                            StreamHandler* handler) {
  auto core = std::make_shared<StreamCore>(StreamCore::Side::kClient, executor_, address);
  core->Bind(handler);
  if (live_->Add(core)) {
    auto channel = channels_->ForStream(address);
    (new ClientWire(core, live_, std::move(channel)))->Start(kind);
  } else {
    core->OnOver(absl::UnavailableError("this process is stopping"));
  }
  return std::make_unique<GrpcStream>(core);
}

void GrpcTransport::Listen(StreamKind kind, Acceptor acceptor) {
  MutexLock lock(&mu_);
  acceptors_[kind] = std::move(acceptor);
}

GrpcTransport::Reactor* GrpcTransport::Accept(StreamKind kind,
                                              grpc::CallbackServerContext* context) {
  Acceptor acceptor;
  {
    MutexLock lock(&mu_);
    auto it = acceptors_.find(kind);
    if (it == acceptors_.end()) return nullptr;
    acceptor = it->second;
  }
  auto core =
      std::make_shared<StreamCore>(StreamCore::Side::kServer, executor_, PeerName(context->peer()));
  auto* wire = new ServerWire(core, live_, context);
  core->Attach(wire);
  if (!live_->Add(core)) {
    wire->End(absl::UnavailableError("this server is stopping"));
    return wire;
  }
  executor_->Post([core, acceptor = std::move(acceptor)] {
    StreamHandler* handler = acceptor(std::make_unique<GrpcStream>(core));
    if (handler == nullptr) return;  // the handle is destroyed, which ends the stream
    core->Bind(handler);
    core->StartReading();
  });
  return wire;
}

}  // namespace banyan::rpc
