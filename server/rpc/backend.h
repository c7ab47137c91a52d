#pragma once

#include "banyan/v1/actors.pb.h"
#include "banyan/v1/cluster.pb.h"
#include "banyan/v1/registry.pb.h"
#include "banyan/v1/supervisors.pb.h"
#include "banyan/v1/sys.pb.h"
#include "server/rpc/answer.h"
#include "server/rpc/call_context.h"
#include "server/rpc/event_stream.h"
#include "server/rpc/send_flow.h"

namespace banyan::rpc {

// What stands behind the public services: a node or the coordinator. Requests come validated as far
// as their own fields go (validate.h); whoever cannot answer one passes it on.
//
// Called on gRPC's threads, so nothing in here waits. `request` may be taken apart and is gone when
// the function returns.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual const Clock& clock() const = 0;

#define BANYAN_RPC(Method)                                                      \
  virtual void Method(const CallContext& context, v1::Method##Request* request, \
                      Answer<v1::Method##Response> answer) = 0;
#define BANYAN_STREAM(Method)                                                   \
  virtual void Method(const CallContext& context, v1::Method##Request* request, \
                      EventStreamPtr<v1::Method##Response> stream) = 0;
#include "server/rpc/methods.inc"
#undef BANYAN_RPC
#undef BANYAN_STREAM
  // The flow is to be started or refused.
  virtual void SendStream(const CallContext& context, std::shared_ptr<SendFlow> flow) = 0;
};

}  // namespace banyan::rpc
