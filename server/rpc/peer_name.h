#pragma once

#include <string>
#include <string_view>

namespace banyan::rpc {

// "host:port" out of gRPC's name of a peer ("ipv4:127.0.0.1:80", "ipv6:%5B::1%5D:80").
std::string PeerName(std::string_view grpc_peer);

}  // namespace banyan::rpc
