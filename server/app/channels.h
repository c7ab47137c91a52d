#pragma once

#include "server/rpc/channels.h"

namespace banyan::app {

// The process's channels to others; never destroyed (see rpc::Channels).
inline rpc::Channels* ProcessChannels() {
  static auto* const channels = new rpc::Channels(grpc::InsecureChannelCredentials());
  return channels;
}

}  // namespace banyan::app
