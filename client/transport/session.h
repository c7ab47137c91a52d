#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/transport/error.h"
#include "client/transport/target.h"
#include "grpcpp/grpcpp.h"

#include "banyan/v1/cluster.grpc.pb.h"

namespace banyan::client {

// "n1:7400,n2:7400" as a list. InvalidArgument for an empty entry or one without a port.
absl::StatusOr<std::vector<std::string>> ParseAddresses(std::string_view text);

// Whether an RPC that failed with UNAVAILABLE is sent again by itself (docs/errors.md, "What a
// client may try again").
enum class Retry {
  kNever,
  kNotExecuted,  // Call, Cast, Send: only if the server says that it did not run
  kUnavailable,  // those marked NO_SIDE_EFFECTS or IDEMPOTENT and those with a request_id
};

struct CallOptions {
  Retry retry = Retry::kNever;
  // Overrides the session's. Infinite: no deadline.
  std::optional<absl::Duration> timeout;
};

// For what may be repeated: reads, and requests with a request_id.
inline constexpr CallOptions kSafe = {.retry = Retry::kUnavailable};

struct SessionOptions {
  std::vector<std::string> addresses;  // tried in this order
  absl::Duration timeout = absl::Seconds(10);
  absl::Duration probe = absl::Seconds(2);  // the most that one address gets to accept a connection
  // Called after each RPC, for -v. May be empty.
  std::function<void(std::string_view rpc, absl::Duration took, const ApiError&)> trace;
};

// A connection to whichever of several servers answers first, and blocking RPCs over it. Connects
// at the first RPC. One thread at a time.
class Session {
 public:
  explicit Session(SessionOptions options);

  // UNAVAILABLE with `connected` false if no address accepts a connection.
  ApiError Connect();
  // Forgets the connection; the next RPC begins with the address after the present one.
  void Disconnect();
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  // The address in use; empty before Connect.
  const std::string& address() const { return address_; }
  const SessionOptions& options() const { return options_; }

  // One unary RPC, e.g. Invoke<v1::Cluster>(&v1::Cluster::Stub::GetNode, request, &response).
  template <typename Service, typename Method, typename Request, typename Response>
  ApiError Invoke(Method method, const Request& request, Response* response,
                  CallOptions options = {}) {
    return InvokeWith(RpcName(Request::descriptor()->name()), options,
                      [&](grpc::ClientContext* context) {
                        auto stub = Service::NewStub(channel_);
                        return (stub.get()->*method)(context, request, response);
                      });
  }
  // The same for anything that needs a channel and a context.
  ApiError InvokeWith(std::string rpc, CallOptions options,
                      const std::function<grpc::Status(grpc::ClientContext*)>& call);

  // Nodes of the cluster by name and number, dead ones included; asked for once.
  NodeResolver node_resolver();
  NodeNamer node_namer();

 private:
  struct Node {
    uint32_t id;
    std::string name;
  };
  static std::string RpcName(std::string_view request_type);
  ApiError ConnectTo(const std::string& address, absl::Duration limit);
  ApiError LoadNodes();

  const SessionOptions options_;
  std::shared_ptr<grpc::Channel> channel_;
  std::string address_;
  size_t next_address_ = 0;
  std::optional<std::vector<Node>> nodes_;
};

// Sets the deadline of one RPC; an infinite timeout sets none.
void SetTimeout(grpc::ClientContext* context, absl::Duration timeout);
// The arguments of every channel: quick reconnects and keepalive that servers allow.
grpc::ChannelArguments ClientChannelArguments();

// Follows next_page_token to the end. `page` gets each response; `limit` ends it early (0: none).
template <typename Service, typename Method, typename Request, typename Response>
ApiError ListAll(Session* session, Method method, Request request, Response* all,
                 const std::function<void(Response*, const Response&)>& append) {
  for (;;) {
    Response page;
    ApiError error =
        session->Invoke<Service>(method, request, &page, {.retry = Retry::kUnavailable});
    if (!error.ok()) return error;
    const std::string next = page.next_page_token();
    page.clear_next_page_token();
    append(all, page);
    // A server that repeats its token would keep us here for ever.
    if (next.empty() || next == request.page_token()) return error;
    request.set_page_token(next);
  }
}

}  // namespace banyan::client
