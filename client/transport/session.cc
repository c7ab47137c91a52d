#include "client/transport/session.h"

#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include <fmt/format.h>

namespace banyan::client {
namespace {

constexpr int kTriesMax = 5;
constexpr absl::Duration kFirstRetryDelay = absl::Milliseconds(50);

bool LooksLikeAddress(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (text.substr(0, 5) == "unix:") return text.size() > 5;
  return colon != std::string_view::npos && colon > 0 && colon + 1 < text.size();
}

// A negative pushback is the server's "never", whatever the policy.
bool MayRepeat(const ApiError& error, Retry retry) {
  if (error.code != grpc::StatusCode::UNAVAILABLE || !error.connected) return false;
  if (error.pushback_ms.value_or(0) < 0) return false;
  return retry == Retry::kUnavailable ||
         (retry == Retry::kNotExecuted && error.outcome() == "not_executed");
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseAddresses(std::string_view text) {
  std::vector<std::string> addresses;
  size_t begin = 0;
  for (;;) {
    const size_t end = text.find(',', begin);
    std::string_view one = text.substr(begin, end == std::string_view::npos ? end : end - begin);
    if (!LooksLikeAddress(one)) {
      return absl::InvalidArgumentError(fmt::format(
          "\"{}\" is not an address; the form is HOST:PORT[,HOST:PORT..], e.g. localhost:7400",
          one));
    }
    addresses.emplace_back(one);
    if (end == std::string_view::npos) return addresses;
    begin = end + 1;
  }
}

void SetTimeout(grpc::ClientContext* context, absl::Duration timeout) {
  if (timeout == absl::InfiniteDuration()) return;
  context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout));
}

grpc::ChannelArguments ClientChannelArguments() {
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  // In spite of its name the limit of one attempt to connect.
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // Slow enough for a server with gRPC's default limits; quick enough to notice a dead one.
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000);
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetMaxReceiveMessageSize(64 << 20);
  return args;
}

Session::Session(SessionOptions options) : options_(std::move(options)) {}

ApiError Session::ConnectTo(const std::string& address, absl::Duration limit) {
  auto channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                           ClientChannelArguments());
  const auto deadline = std::chrono::system_clock::now() + absl::ToChronoMicroseconds(limit);
  grpc_connectivity_state state = channel->GetState(true);
  while (state != GRPC_CHANNEL_READY && state != GRPC_CHANNEL_TRANSIENT_FAILURE) {
    if (!channel->WaitForStateChange(state, deadline)) break;
    state = channel->GetState(true);
  }
  if (state == GRPC_CHANNEL_READY) {
    channel_ = std::move(channel);
    address_ = address;
    return ApiError{};
  }
  const std::string why =
      state == GRPC_CHANNEL_TRANSIENT_FAILURE
          ? "no connection"
          : fmt::format("no answer within {}",
                        absl::FormatDuration(absl::Ceil(limit, absl::Milliseconds(1))));
  return LocalError(grpc::StatusCode::UNAVAILABLE, fmt::format("{} ({})", address, why));
}

ApiError Session::Connect() {
  if (channel_) return ApiError{};
  // All addresses together get no longer than one RPC would.
  const absl::Time end = absl::Now() + options_.timeout;
  std::string tried;
  for (size_t i = 0; i < options_.addresses.size(); ++i) {
    const size_t index = (next_address_ + i) % options_.addresses.size();
    const absl::Duration left = end - absl::Now();
    if (i > 0 && left <= absl::ZeroDuration()) break;
    ApiError error = ConnectTo(options_.addresses[index], std::min(options_.probe, left));
    if (error.ok()) {
      next_address_ = index;
      return error;
    }
    tried += fmt::format("{}{}", tried.empty() ? "" : ", ", error.message);
  }
  ApiError error =
      LocalError(grpc::StatusCode::UNAVAILABLE, fmt::format("nobody answered at {}", tried));
  error.connected = false;
  return error;
}

void Session::Disconnect() {
  channel_.reset();
  address_.clear();
  ++next_address_;
}

ApiError Session::InvokeWith(std::string rpc, CallOptions options,
                             const std::function<grpc::Status(grpc::ClientContext*)>& call) {
  const absl::Duration timeout = options.timeout.value_or(options_.timeout);
  const absl::Time end = absl::Now() + timeout;
  absl::Duration delay = kFirstRetryDelay;
  for (int attempt = 1;; ++attempt) {
    ApiError error = Connect();
    // What an earlier attempt did is unknown, so "nothing was sent" no longer holds.
    if (attempt > 1) error.connected = true;
    const absl::Time begin = absl::Now();
    if (error.ok()) {
      grpc::ClientContext context;
      SetTimeout(&context, timeout == absl::InfiniteDuration() ? timeout : end - begin);
      error = DecodeError(call(&context), &context);
      if (options_.trace) options_.trace(rpc, absl::Now() - begin, error);
    }
    if (error.code == grpc::StatusCode::DEADLINE_EXCEEDED && error.reason.empty()) {
      error.message = fmt::format("{} did not answer {} within {}", address_, rpc,
                                  absl::FormatDuration(absl::Ceil(timeout, absl::Milliseconds(1))));
    }
    const bool again = attempt < kTriesMax && MayRepeat(error, options.retry);
    if (!again || absl::Now() + delay >= end) return error;
    if (error.reason.empty()) Disconnect();  // the transport failed: another address may do
    absl::SleepFor(std::max(delay, absl::Milliseconds(error.pushback_ms.value_or(0))));
    delay *= 2;
  }
}

std::string Session::RpcName(std::string_view request_type) {
  constexpr std::string_view kSuffix = "Request";
  if (request_type.size() > kSuffix.size()) request_type.remove_suffix(kSuffix.size());
  return std::string(request_type);
}

ApiError Session::LoadNodes() {
  if (nodes_) return ApiError{};
  v1::ListNodesRequest request;
  request.set_page_size(1000);
  request.set_show_gone(true);
  v1::ListNodesResponse all;
  ApiError error = ListAll<v1::Cluster, decltype(&v1::Cluster::Stub::ListNodes),
                           v1::ListNodesRequest, v1::ListNodesResponse>(
      this, &v1::Cluster::Stub::ListNodes, request, &all,
      [](v1::ListNodesResponse* sum, const v1::ListNodesResponse& page) { sum->MergeFrom(page); });
  if (!error.ok()) return error;
  nodes_.emplace();
  for (const v1::NodeInfo& node : all.nodes()) nodes_->push_back({node.node_id(), node.name()});
  return error;
}

NodeResolver Session::node_resolver() {
  return [this](const std::string& name) -> absl::StatusOr<uint32_t> {
    if (ApiError error = LoadNodes(); !error.ok()) {
      return absl::Status(static_cast<absl::StatusCode>(error.code),
                          fmt::format("node \"{}\" can't be looked up: {}", name, error.message));
    }
    for (const Node& node : *nodes_) {
      if (node.name == name) return node.id;
    }
    return absl::NotFoundError(fmt::format("there is no node \"{}\"", name));
  };
}

NodeNamer Session::node_namer() {
  return [this](uint32_t id) -> std::string {
    // Without the list, numbers are shown: a name is a comfort, not a reason to fail.
    if (!LoadNodes().ok() && !nodes_) nodes_.emplace();
    for (const Node& node : *nodes_) {
      if (node.id == id) return node.name;
    }
    return "";
  };
}

}  // namespace banyan::client
