#include "server/rpc/status.h"

#include "common/wire/status.h"

namespace banyan::rpc {

grpc::Status ToGrpcStatus(const absl::Status& status, grpc::CallbackServerContext* context,
                          const wire::NodeIdentity& self) {
  if (status.ok()) return grpc::Status::OK;
  for (auto& [key, value] : wire::Trailers(status)) context->AddTrailingMetadata(key, value);
  return wire::ToGrpc(status, self);
}

absl::Status FromGrpcStatus(const grpc::Status& status, const wire::NodeIdentity& self) {
  return status.ok() ? absl::OkStatus() : wire::FromGrpc(status, self);
}

}  // namespace banyan::rpc
