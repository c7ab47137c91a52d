#include "server/rpc/internal_services.h"

#include <charconv>

#include "banyan/internal/v1/membership.grpc.pb.h"
#include "banyan/internal/v1/peer.grpc.pb.h"

namespace banyan::rpc {
namespace {

class PeerService final
    : public internal::v1::Peer::WithRawCallbackMethod_Session<internal::v1::Peer::Service> {
 public:
  explicit PeerService(GrpcTransport* transport) : transport_(transport) {}
  GrpcTransport::Reactor* Session(grpc::CallbackServerContext* context) override {
    return transport_->Accept(StreamKind::kPeer, context);
  }

 private:
  GrpcTransport* const transport_;
};

using MembershipBase = internal::v1::Membership::WithRawCallbackMethod_Lease<
    internal::v1::Membership::WithRawCallbackMethod_Control<
        internal::v1::Membership::WithRawCallbackMethod_Watcher<
            internal::v1::Membership::WithCallbackMethod_Resolve<
                internal::v1::Membership::WithRawCallbackMethod_Relay<
                    internal::v1::Membership::Service>>>>>;

class MembershipService final : public MembershipBase {
 public:
  MembershipService(GrpcTransport* transport, ResolveFunction resolve)
      : transport_(transport), resolve_(std::move(resolve)) {}

  GrpcTransport::Reactor* Lease(grpc::CallbackServerContext* context) override {
    return transport_->Accept(StreamKind::kLease, context);
  }
  GrpcTransport::Reactor* Control(grpc::CallbackServerContext* context) override {
    return transport_->Accept(StreamKind::kControl, context);
  }
  GrpcTransport::Reactor* Watcher(grpc::CallbackServerContext* context) override {
    return transport_->Accept(StreamKind::kWatcher, context);
  }
  GrpcTransport::Reactor* Relay(grpc::CallbackServerContext* context) override {
    return transport_->Accept(StreamKind::kRelay, context);
  }
  grpc::ServerUnaryReactor* Resolve(grpc::CallbackServerContext* context,
                                    const internal::v1::ResolveRequest* request,
                                    internal::v1::ResolveResponse* response) override {
    auto* call = new PendingCall<internal::v1::ResolveResponse>(context, response);
    resolve_(*request, NodeOf(*context), Answer<internal::v1::ResolveResponse>(call));
    return call;
  }

 private:
  static uint32_t NodeOf(const grpc::CallbackServerContext& context) {
    auto it = context.client_metadata().find(kNodeKey);
    uint32_t node = 0;
    if (it != context.client_metadata().end()) {
      std::from_chars(it->second.begin(), it->second.end(), node);
    }
    return node;
  }

  GrpcTransport* const transport_;
  const ResolveFunction resolve_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakePeerService(GrpcTransport* transport) {
  return std::make_unique<PeerService>(transport);
}

std::unique_ptr<grpc::Service> MakeMembershipService(GrpcTransport* transport,
                                                     ResolveFunction resolve) {
  return std::make_unique<MembershipService>(transport, std::move(resolve));
}

}  // namespace banyan::rpc
