#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "grpcpp/impl/service_type.h"

#include "banyan/internal/v1/membership.pb.h"
#include "server/rpc/answer.h"
#include "server/rpc/grpc_transport.h"

namespace banyan::rpc {

// The cluster's own protocol: its streams go to a component's transport as bytes. `transport`
// outlives the service.

std::unique_ptr<grpc::Service> MakePeerService(GrpcTransport* transport);

// `node_id`: who asks, 0 if it did not say.
using ResolveFunction = std::function<void(internal::v1::ResolveRequest, uint32_t node_id,
                                           Answer<internal::v1::ResolveResponse>)>;
std::unique_ptr<grpc::Service> MakeMembershipService(GrpcTransport* transport,
                                                     ResolveFunction resolve);

// Metadata of a Resolve by which a node says which one it is, in decimal.
inline constexpr char kNodeKey[] = "banyan-node";

}  // namespace banyan::rpc
