#pragma once

#include "absl/status/statusor.h"
#include "grpcpp/client_context.h"
#include "grpcpp/server_context.h"

#include "common/time/clock.h"

namespace banyan::rpc {

// Metadata on requests that one server of the cluster passes on to another: how often that
// happened.
inline constexpr char kForwardedKey[] = "banyan-forwarded";
// A request is passed on at most this often: to the coordinator, and from there to a node.
inline constexpr int kForwardsMax = 2;

// What a request comes with besides its message.
struct CallContext {
  Instant deadline = Instant::Infinite();  // the RPC's own
  int hops = 0;                            // how often it was passed on to get here
  // Who passes it on must not touch this after the call was answered.
  grpc::CallbackServerContext* server = nullptr;
};

// Errors: FORWARD_LOOP; INVALID_ARGUMENT for metadata that cannot be read.
absl::StatusOr<CallContext> ReadContext(grpc::CallbackServerContext* context, const Clock& clock);

// Sets deadline and metadata of a request that is passed on.
void WriteContext(const CallContext& from, const Clock& clock, grpc::ClientContext* to);

}  // namespace banyan::rpc
