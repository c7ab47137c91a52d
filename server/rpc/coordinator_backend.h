#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/time/random.h"
#include "server/coordinator/coordinator.h"
#include "server/core/call_tries.h"
#include "server/core/retry_budget.h"
#include "server/rpc/backend.h"
#include "server/rpc/fan_out.h"
#include "server/rpc/forward.h"
#include "server/rpc/server_info.h"
#include "server/rpc/spawn_requests.h"
#include "server/rpc/stop_gate.h"

namespace banyan::rpc {

// The public services as the coordinator gives them: what is cluster-wide it does itself, what
// concerns a process or a local supervisor it passes on to the hosting node, with the target
// resolved.
class CoordinatorBackend final : public Backend {
 public:
  struct Deps {
    Coordinator* coordinator = nullptr;  // all outlive the backend
    Forwarder* forwarder = nullptr;
    const Clock* clock = nullptr;
    Timers* timers = nullptr;
    ServerInfo info;
    // Begins a backup of the store; asks for its parts are answered one by one, on any thread, an
    // empty one is the end.
    using ReadBackup = std::function<void(std::function<void(absl::StatusOr<std::string>)>)>;
    std::function<void(std::function<void(absl::StatusOr<ReadBackup>)>)> open_backup;
  };
  explicit CoordinatorBackend(Deps deps) : deps_(std::move(deps)) {}

  const Clock& clock() const override { return *deps_.clock; }

#define BANYAN_RPC(Method)                                              \
  void Method(const CallContext& context, v1::Method##Request* request, \
              Answer<v1::Method##Response> answer) override;
#define BANYAN_STREAM(Method)                                           \
  void Method(const CallContext& context, v1::Method##Request* request, \
              EventStreamPtr<v1::Method##Response> stream) override;
#include "server/rpc/methods.inc"
#undef BANYAN_RPC
#undef BANYAN_STREAM
  void SendStream(const CallContext& context, std::shared_ptr<SendFlow> flow) override;

  // From here on open streams use nothing that stands behind this; waits for those that do.
  void Stop() { gate_->Stop(); }

 private:
  class SendRouter;
  // A request that its target's node does.
  template <typename Request>
  struct Routed;
  template <typename Request, typename Response>
  void Route(const CallContext& context, Request request, v1::Target* (*target_of)(Request*),
             const char* method, Instant deadline, Answer<Response> answer, CallTries tries = {});
  // One more idempotent call is sent again; false: too many of them are.
  bool MayRepeat();
  // For what concerns a supervisor: a process's is its node's, else `here` is tried, and what it
  // says is not cluster-wide is passed on.
  template <typename Request, typename Response>
  void OnSupervisor(const CallContext& context, Request* request, const char* method,
                    Answer<Response> answer,
                    std::function<void(const Request&, Reply<Response>)> here);

  // For what each node can answer.
  template <typename Request, typename Response>
  void OnAnyNode(const CallContext& context, Request* request, const char* method,
                 Answer<Response> answer);

  // Null: no node fits.
  const v1::NodeInfo* PlaceSpawn(const v1::SpawnRequest& request,
                                 const v1::ListNodesResponse& nodes);
  void WatchOnNode(const CallContext& context, v1::WatchEventsRequest request,
                   EventStreamPtr<v1::WatchEventsResponse> stream);
  // Members that can be asked, by name.
  void ActiveNodes(std::function<void(absl::StatusOr<std::vector<FanOutNode>>)> done);
  void ExpandLocalTrees(const CallContext& context, uint32_t depth, v1::GetTreeResponse tree,
                        Answer<v1::GetTreeResponse> answer);

  SystemRandom random_;
  Mutex budget_mu_;
  RetryBudget budget_ ABSL_GUARDED_BY(budget_mu_);
  const Deps deps_;
  Mutex spawns_mu_;
  // Name and life of the node that was chosen for a Spawn.
  ByRequestId<std::pair<std::string, uint32_t>> spawns_ ABSL_GUARDED_BY(spawns_mu_);
  const std::shared_ptr<StopGate> gate_ = std::make_shared<StopGate>();
};

}  // namespace banyan::rpc
