#pragma once

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"

#include "common/wire/pid.h"

namespace banyan::rpc {

// The status to finish a call with; its trailers are put on `context`, so it must be called before
// Finish() and only once.
grpc::Status ToGrpcStatus(const absl::Status& status, grpc::CallbackServerContext* context,
                          const wire::NodeIdentity& self = {});

// What another server of the cluster answered.
absl::Status FromGrpcStatus(const grpc::Status& status, const wire::NodeIdentity& self = {});

}  // namespace banyan::rpc
