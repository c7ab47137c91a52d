#include <algorithm>
#include <memory>
#include <utility>

#include "server/rpc/node_backend_routes.h"
#include "server/rpc/send_stream.h"

// SendStream on a node: to its own processes, and on to the nodes of others.

namespace banyan::rpc {

class NodeBackend::SendRouter final : public SendFlow::Router {
 public:
  SendRouter(NodeBackend* backend, CallContext context)
      : backend_(backend),
        gate_(backend->gate_),
        clock_(backend->deps_.clock),
        runtime_(backend->deps_.runtime),
        fence_(backend->leg_fences_.Enter(context)),
        legs_(backend->deps_.forwarder, context) {}

  const Clock& clock() const override { return *clock_; }
  bool stopping() const override { return gate_->stopped(); }

  void Find(const v1::Target& target, Instant deadline,
            std::function<void(absl::StatusOr<SendFlow::Place>)> done) override {
    const StopGate::Pass pass(gate_.get());
    if (!pass) return done(Stopping());
    CallContext limited = legs_.context();
    limited.deadline = std::min(limited.deadline, deadline);
    backend_->ResolvePid(limited, target, limited.deadline,
                         [backend = backend_, gate = gate_, done = std::move(done)](
                             absl::StatusOr<Pid> pid) { done(PlaceOf(backend, *gate, pid)); });
  }

  absl::Status Put(Pid pid, Payload payload, bool cast) override {
    return fence_.Put([&] {
      return runtime_->Put(pid, std::move(payload),
                           cast ? SignalKind::kCast : SignalKind::kMessage);
    });
  }

  absl::StatusOr<std::shared_ptr<SendFlow::Leg>> Open(const std::string& address,
                                                      SendFlow::Settle settle) override {
    return legs_.Open(address, std::move(settle));
  }

  void Lost(const std::string& name) override {
    const StopGate::Pass pass(gate_.get());
    if (pass) backend_->deps_.node->ForgetRoute(name);
  }

 private:
  static absl::Status Stopping() { return MakeError("NODE_STOPPING", "the node is stopping"); }

  static absl::StatusOr<SendFlow::Place> PlaceOf(NodeBackend* backend, StopGate& gate,
                                                 const absl::StatusOr<Pid>& pid) {
    if (!pid.ok()) return pid.status();
    SendFlow::Place place;
    if (pid->local()) {
      place.pid = *pid;
      return place;
    }
    const StopGate::Pass pass(&gate);
    if (!pass) return Stopping();
    absl::StatusOr<std::string> address = backend->AddressOf(pid->node_id, pid->incarnation);
    if (!address.ok()) return address.status();
    place.address = *std::move(address);
    wire::ToProto(*pid, backend->self(), place.target.mutable_pid());
    return place;
  }

  NodeBackend* const backend_;  // behind the gate
  const std::shared_ptr<StopGate> gate_;
  const Clock* const clock_;
  Runtime* const runtime_;
  const LegFences::Leg fence_;
  SendLegs legs_;
};

void NodeBackend::SendStream(const CallContext& context, std::shared_ptr<SendFlow> flow) {
  flow->Start(std::make_unique<SendRouter>(this, context));
}

}  // namespace banyan::rpc
