#include "server/rpc/forward.h"

#include "fmt/format.h"
#include "grpcpp/generic/generic_stub.h"

#include "common/base/error.h"
#include "common/wire/status.h"

namespace banyan::rpc {
namespace {

bool CouldNotConnect(const grpc::Status& status, const grpc::ClientContext& client) {
  return client.peer().empty() ||
         status.error_message().find("failed to connect") != std::string::npos;
}

}  // namespace

grpc::Status ExplainHop(const grpc::Status& status, Hop hop, const std::string& address,
                        const grpc::ClientContext& client) {
  // Servers of ours attach details to every error but those that gRPC makes for them.
  if (status.ok() || !status.error_details().empty()) return status;
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return wire::ToGrpc(MakeError("CALL_TIMEOUT",
                                  fmt::format("the server at {} has not answered in time", address),
                                  {{"address", address}}));
  }
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return status;
  if (hop == Hop::kCoordinator) {
    absl::Status error = MakeError(
        "COORDINATOR_UNAVAILABLE",
        fmt::format("the coordinator at {} cannot be reached: {}", address, status.error_message()),
        {{"address", address}});
    if (CouldNotConnect(status, client)) return wire::ToGrpc(error);
    // It may have been taken. Those that may be sent again say so by their method or request id.
    ErrorInfo taken;
    taken.metadata["outcome"] = std::string(kOutcomeUnknown);
    return wire::ToGrpc(WithErrorInfo(error, taken));
  }
  const char* reason = CouldNotConnect(status, client) ? "NOT_DELIVERED" : "NOCONNECTION";
  return wire::ToGrpc(MakeError(
      reason, fmt::format("the node at {} cannot be reached: {}", address, status.error_message()),
      {{"node", address}}));
}

void Forwarder::Start(Hop hop, const std::string& address, const char* method,
                      grpc::ClientContext* client, const google::protobuf::MessageLite* request,
                      google::protobuf::MessageLite* response,
                      std::function<void(grpc::Status)> done) {
  using google::protobuf::MessageLite;
  grpc::TemplatedGenericStub<MessageLite, MessageLite> stub(channels_->Get(address));
  stub.UnaryCall(client, method, {}, request, response,
                 [hop, address, client, done = std::move(done)](const grpc::Status& status) {
                   done(ExplainHop(status, hop, address, *client));
                 });
}

void CopyTrailers(const grpc::ClientContext& from, grpc::CallbackServerContext* to) {
  const auto& trailers = from.GetServerTrailingMetadata();
  for (const char* key : {wire::kOriginTrailer, wire::kPushbackTrailer}) {
    if (auto it = trailers.find(key); it != trailers.end()) {
      to->AddTrailingMetadata(key, std::string(it->second.data(), it->second.size()));
    }
  }
}

bool FromServer(const grpc::ClientContext& client) {
  return client.GetServerTrailingMetadata().contains(wire::kOriginTrailer);
}

bool FromActor(const grpc::ClientContext& client) {
  const auto& trailers = client.GetServerTrailingMetadata();
  const auto origin = trailers.find(wire::kOriginTrailer);
  return origin != trailers.end() && origin->second == wire::kActorOrigin;
}

absl::Status CheckHops(const CallContext& context) {
  if (context.hops < kForwardsMax) return absl::OkStatus();
  return MakeError("FORWARD_LOOP",
                   "the request was passed on too often: servers disagree about where "
                   "its target lives",
                   {{"hops", fmt::format("{}", context.hops)}});
}

}  // namespace banyan::rpc
