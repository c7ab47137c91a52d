#include <algorithm>
#include <memory>
#include <utility>

#include "server/rpc/coordinator_routes.h"
#include "server/rpc/send_stream.h"

// SendStream on the coordinator: on to the nodes of the processes.

namespace banyan::rpc {

class CoordinatorBackend::SendRouter final : public SendFlow::Router {
 public:
  SendRouter(CoordinatorBackend* backend, CallContext context)
      : gate_(backend->gate_),
        clock_(backend->deps_.clock),
        coordinator_(backend->deps_.coordinator),
        legs_(backend->deps_.forwarder, context) {}

  const Clock& clock() const override { return *clock_; }
  bool stopping() const override { return gate_->stopped(); }

  void Find(const v1::Target& target, Instant deadline,
            std::function<void(absl::StatusOr<SendFlow::Place>)> done) override {
    const StopGate::Pass pass(gate_.get());
    if (!pass) return done(MakeError("NODE_STOPPING", "the coordinator is stopping"));
    coordinator_->ResolveTarget(
        TargetFrom(target), std::min(legs_.context().deadline, deadline),
        [target, done = std::move(done)](absl::StatusOr<ResolvedTarget> to) {
          if (!to.ok()) return done(to.status());
          SendFlow::Place place;
          place.address = to->address;
          place.target = target;
          WriteTarget(*to, &place.target);
          done(std::move(place));
        });
  }

  // Find() tells of no process here.
  absl::Status Put(Pid pid, Payload, bool) override {
    return MakeError("NOPROC", fmt::format("{} is on no node", FormatPid(pid)),
                     {{"target", FormatPid(pid)}});
  }

  absl::StatusOr<std::shared_ptr<SendFlow::Leg>> Open(const std::string& address,
                                                      SendFlow::Settle settle) override {
    return legs_.Open(address, std::move(settle));
  }

  void Lost(const std::string&) override {}  // it keeps no routes

 private:
  const std::shared_ptr<StopGate> gate_;
  const Clock* const clock_;
  Coordinator* const coordinator_;  // behind the gate
  SendLegs legs_;
};

void CoordinatorBackend::SendStream(const CallContext& context, std::shared_ptr<SendFlow> flow) {
  flow->Start(std::make_unique<SendRouter>(this, context));
}

}  // namespace banyan::rpc
