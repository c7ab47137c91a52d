#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

#include "common/base/mutex.h"
#include "common/time/clock.h"
#include "server/cluster/transport.h"
#include "server/rpc/channels.h"
#include "server/rpc/stream_core.h"

namespace banyan::rpc {

// The gRPC method of each kind, "/banyan.internal.v1.Membership/Lease" and so on.
const char* MethodOf(StreamKind kind);

// One component's streams over gRPC. Frames and ends reach its handlers on its executor.
//
// The executor outlives the transport. The destructor, like Stop(), cuts every stream and waits
// until gRPC has let go of all of them; it must not run on the executor or on a thread of gRPC's.
class GrpcTransport : public Transport {
 public:
  GrpcTransport(Executor* executor, Channels* channels);
  ~GrpcTransport() override;

  std::unique_ptr<Stream> Dial(const std::string& address, StreamKind kind,
                               StreamHandler* handler) override;
  void Listen(StreamKind kind, Acceptor acceptor) override;

  // For the services of the process's server: the reactor of a stream that somebody has opened.
  // Null: this component takes no such streams.
  using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;
  Reactor* Accept(StreamKind kind, grpc::CallbackServerContext* context);

  // From now on nothing is accepted, and dialled streams end at once. Cuts and waits. Idempotent.
  void Stop();

  class Live;  // the streams that gRPC still has

 private:
  Executor* const executor_;
  Channels* const channels_;
  const std::shared_ptr<Live> live_;
  Mutex mu_;
  std::map<StreamKind, Acceptor> acceptors_ ABSL_GUARDED_BY(mu_);
};

}  // namespace banyan::rpc
