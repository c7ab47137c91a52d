#include "server/rpc/peer_name.h"

namespace banyan::rpc {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string PeerName(std::string_view grpc_peer) {
  for (std::string_view scheme : {"ipv4:", "ipv6:"}) {
    if (grpc_peer.substr(0, scheme.size()) == scheme) grpc_peer.remove_prefix(scheme.size());
  }
  std::string out;
  for (size_t i = 0; i < grpc_peer.size(); ++i) {
    if (grpc_peer[i] == '%' && i + 2 < grpc_peer.size()) {
      const int high = HexDigit(grpc_peer[i + 1]);
      const int low = HexDigit(grpc_peer[i + 2]);
      if (high >= 0 && low >= 0) {
        out.push_back(static_cast<char>(high * 16 + low));
        i += 2;
        continue;
      }
    }
    out.push_back(grpc_peer[i]);
  }
  return out;
}

}  // namespace banyan::rpc
