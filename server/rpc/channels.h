#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grpcpp/channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"

#include "common/base/mutex.h"

namespace grpc {
class ServerBuilder;
}

namespace banyan::rpc {

// Bytes of one payload that the platform takes by default; the transport's own limit lies above it,
// so that an oversized one gets an error that says so.
inline constexpr int kPayloadBytesMax = 4 << 20;
inline constexpr int kMessageBytesMax = kPayloadBytesMax + (1 << 20);

// The gRPC settings of cluster.md 3.7 for what this process dials and for what it serves.
grpc::ChannelArguments DialArguments();
void SetServerArguments(grpc::ServerBuilder* builder);

// Channels to other servers of the cluster. Thread-safe.
//
// The last channel or server in a process takes gRPC's callback threads with it, and one of those
// cannot wait for itself. So channels are kept here, not by the calls on them, and this is
// destroyed, on a thread of the process's own, only when no call is under way; a program rather
// keeps it for ever.
class Channels {
 public:
  explicit Channels(std::shared_ptr<grpc::ChannelCredentials> credentials)
      : credentials_(std::move(credentials)) {}

  // The one for ordinary calls to this address.
  std::shared_ptr<grpc::Channel> Get(const std::string& address);
  // One of its own for a long-lived stream: nothing large holds up a heartbeat, and a new attempt
  // to connect does not wait for the delays of former ones.
  std::shared_ptr<grpc::Channel> ForStream(const std::string& address);

 private:
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  Mutex mu_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> shared_ ABSL_GUARDED_BY(mu_);
  std::vector<std::shared_ptr<grpc::Channel>> streams_ ABSL_GUARDED_BY(mu_);
};

}  // namespace banyan::rpc
