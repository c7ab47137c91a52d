#include "server/rpc/channels.h"

#include "grpcpp/create_channel.h"
#include "grpcpp/server_builder.h"

namespace banyan::rpc {
namespace {

constexpr int kKeepaliveTimeMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 5'000;
// Clients' pings may come this often; gRPC's default of 5 minutes punishes the keepalive above.
constexpr int kMinPingIntervalMs = 5'000;
constexpr int kReconnectFirstMs = 50;
constexpr int kReconnectMaxMs = 1'000;
// Also the time that one attempt to connect may take.
constexpr int kReconnectMinMs = 2'000;
// Unused ones are looked for when there are more entries than this.
constexpr size_t kSweepAbove = 64;

}  // namespace

grpc::ChannelArguments DialArguments() {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectFirstMs);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMinMs);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetMaxReceiveMessageSize(kMessageBytesMax);
  args.SetMaxSendMessageSize(kMessageBytesMax);
  return args;
}

void SetServerArguments(grpc::ServerBuilder* builder) {
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                              kMinPingIntervalMs);
  // A second process on the same port must fail rather than get every other connection.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->SetMaxReceiveMessageSize(kMessageBytesMax);
  builder->SetMaxSendMessageSize(kMessageBytesMax);
}

std::shared_ptr<grpc::Channel> Channels::Get(const std::string& address) {
  MutexLock lock(&mu_);
  std::shared_ptr<grpc::Channel>& channel = shared_[address];
  if (channel != nullptr) return channel;
  channel = grpc::CreateCustomChannel(address, credentials_, DialArguments());
  auto out = channel;
  if (shared_.size() > kSweepAbove) {
    std::erase_if(shared_, [](const auto& e) { return e.second.use_count() == 1; });
  }
  return out;
}

std::shared_ptr<grpc::Channel> Channels::ForStream(const std::string& address) {
  grpc::ChannelArguments args = DialArguments();
  // Without it gRPC would share one connection between channels that look alike.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  auto channel = grpc::CreateCustomChannel(address, credentials_, args);
  MutexLock lock(&mu_);
  std::erase_if(streams_, [](const auto& c) { return c.use_count() == 1; });
  streams_.push_back(channel);
  return channel;
}

}  // namespace banyan::rpc
