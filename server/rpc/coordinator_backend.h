#pragma once

#include <functional>
#include <string>
#include <vector>

#include "server/coordinator/coordinator.h"
#include "server/rpc/backend.h"
#include "server/rpc/fan_out.h"
#include "server/rpc/forward.h"
#include "server/rpc/server_info.h"

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

 private:
  // A request that its target's node does.
  template <typename Request>
  struct Routed;
  template <typename Request, typename Response>
  void Route(const CallContext& context, Request request, v1::Target* (*target_of)(Request*),
             const char* method, Instant deadline, Answer<Response> answer, int tries = 0);
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

  void WatchOnNode(const CallContext& context, v1::WatchEventsRequest request,
                   EventStreamPtr<v1::WatchEventsResponse> stream);
  // Members that can be asked, by name.
  void ActiveNodes(std::function<void(absl::StatusOr<std::vector<FanOutNode>>)> done);
  void ExpandLocalTrees(const CallContext& context, uint32_t depth, v1::GetTreeResponse tree,
                        Answer<v1::GetTreeResponse> answer);

  const Deps deps_;
};

}  // namespace banyan::rpc
