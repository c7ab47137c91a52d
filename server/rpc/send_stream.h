#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"

#include "common/base/mutex.h"
#include "server/rpc/call_context.h"
#include "server/rpc/forward.h"
#include "server/rpc/send_flow.h"

namespace banyan::rpc {

// SendStream on the wire, on raw bytes: of a message that cannot be read gRPC tells no more than of
// the end of the stream.
using SendReactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// The reactor to return from the service's method, and the flow behind it, to be started or
// refused.
std::pair<SendReactor*, std::shared_ptr<SendFlow>> OpenSendStream(
    grpc::CallbackServerContext* context);

// The legs of one flow. Each says the flow's number and its own: when one has broken and the next
// is open, what still comes over the first, such as from a socket that its server has not read for
// a while, must not arrive behind what the next one brought.
class SendLegs {
 public:
  SendLegs(Forwarder* forwarder, CallContext context);
  // A stream to the server at `address`. Errors: FORWARD_LOOP.
  absl::StatusOr<std::shared_ptr<SendFlow::Leg>> Open(const std::string& address,
                                                      SendFlow::Settle settle);
  const CallContext& context() const { return context_; }

 private:
  Forwarder* const forwarder_;
  CallContext context_;
  const std::string flow_;
  uint64_t opened_ = 0;
};

// Of the legs of a flow that a node serves, the latest is the one that may deliver.
class LegFences {
 public:
  class Leg {
   public:
    // Runs `put`, unless a later leg of the flow is open.
    absl::Status Put(const std::function<absl::Status()>& put) const;

   private:
    friend class LegFences;
    struct Flow {
      Mutex mu;
      uint64_t latest ABSL_GUARDED_BY(mu) = 0;
    };
    std::shared_ptr<Flow> flow_;  // null: no leg, but a client's stream
    uint64_t number_ = 0;
  };
  // `name`: what the leg says of itself, "FLOW.NUMBER".
  Leg Enter(std::string_view name);
  Leg Enter(const CallContext& context);

 private:
  Mutex mu_;
  std::map<std::string, std::weak_ptr<Leg::Flow>> flows_ ABSL_GUARDED_BY(mu_);
  size_t sweep_at_ ABSL_GUARDED_BY(mu_) = 64;
};

}  // namespace banyan::rpc
