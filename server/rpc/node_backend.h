#pragma once

#include <functional>
#include <string>

#include "server/behaviours/module.h"
#include "server/behaviours/sys.h"
#include "server/node/node.h"
#include "server/node/routed_calls.h"
#include "server/rpc/backend.h"
#include "server/rpc/forward.h"
#include "server/rpc/send_stream.h"
#include "server/rpc/server_info.h"
#include "server/rpc/spawn_requests.h"
#include "server/rpc/stop_gate.h"
#include "server/rpc/supervisor_codec.h"
#include "server/runtime/runtime.h"

namespace banyan::rpc {

// The public services as a node gives them. What concerns its own processes it does itself;
// processes elsewhere are reached through the runtime's router; what the coordinator or another
// node must do is passed on to it.
class NodeBackend final : public Backend {
 public:
  struct Deps {
    Runtime* runtime = nullptr;  // all outlive the backend
    Node* node = nullptr;
    Forwarder* forwarder = nullptr;
    const Modules* modules = nullptr;
    const Clock* clock = nullptr;
    Timers* timers = nullptr;
    ServerInfo info;
  };
  explicit NodeBackend(Deps deps) : deps_(std::move(deps)) {}

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
  using PidDone = std::function<void(absl::StatusOr<Pid>)>;
  struct Spawning;

  wire::NodeIdentity self() const { return deps_.node->identity(); }
  OfNode of_node() const { return {deps_.runtime, self(), deps_.info.name}; }

  // --- where a target is (node_resolve.cc)
  // The process if that can be told at once: a pid, or a name of this node. Invalid: ask Locate or
  // ResolvePid.
  absl::StatusOr<Pid> ResolveNow(const v1::Target& target) const;
  // The process as far as nodes know: also one at a place in a tree of this node, and one with a
  // node-local name. Invalid: the coordinator knows.
  void Locate(const CallContext& context, const v1::Target& target, Instant deadline, PidDone done);
  // The process behind a target of any kind, in this runtime's form.
  void ResolvePid(const CallContext& context, const v1::Target& target, Instant deadline,
                  PidDone done);
  // The same for a call, within the context's deadline.
  void FindRoute(const CallContext& context, const v1::Target& target, RoutedCalls::Found found);
  void AskCoordinatorFor(const CallContext& context, const v1::Target& target, PidDone done);
  void AskFor(const CallContext& context, Hop hop, const std::string& address,
              const v1::Target& target, PidDone done);
  // The coordinator in use; empty: none is known.
  std::string Coordinator() const;
  absl::StatusOr<std::string> AddressOf(uint32_t node_id, uint32_t incarnation) const;

  template <typename Request, typename Response>
  void PassToCoordinator(const CallContext& context, const char* method, Request request,
                         Answer<Response> answer);
  template <typename Request, typename Response>
  void PassToNode(const CallContext& context, Pid pid, const char* method, Request* request,
                  v1::Target* target, Answer<Response> answer);

  // Runs `here` with the local supervisor that the request is for, or passes the request on to who
  // has it.
  template <typename Request, typename Response>
  void OnSupervisor(const CallContext& context, Request* request, const char* method,
                    Answer<Response> answer,
                    std::function<void(Request, Pid, Answer<Response>)> here);

  // --- groups (node_groups.cc)
  template <typename Request, typename Response>
  void ChangeGroup(const CallContext& context, Request* request, const char* method, bool join,
                   Answer<Response> answer);
  void ChangeGroupHere(const std::string& group, std::vector<Pid> pids, bool join,
                       std::function<void(const absl::Status&)> done);

  // --- actors
  Runtime::CallDone Replies(Answer<v1::CallResponse> answer);
  void Deliver(Pid pid, Payload payload, bool cast);
  template <typename Request, typename Response>
  void OneWay(const CallContext& context, Request* request, bool cast, Answer<Response> answer);
  void RefuseSpawn(const Spawning& spawning, const absl::Status& status);
  void FindLinked(std::shared_ptr<Spawning> spawning);
  void SpawnHere(std::shared_ptr<Spawning> spawning, Pid link_to);
  void ExitPid(const CallContext& context, Pid pid, ExitReason reason, bool wait,
               Answer<v1::ExitResponse> answer);
  absl::StatusOr<v1::ListActorsResponse> ListHere(const v1::ListActorsRequest& request) const;

  // --- sys (node_sys.cc)
  // Runs `here` with the process that the request is for, or passes the request on to its node.
  template <typename Request, typename Response>
  void OnProcess(const CallContext& context, Request* request, const char* method,
                 Answer<Response> answer, std::function<void(Request, Pid, Answer<Response>)> here);
  // Sends a system request to a process of this node and answers with what `fill` makes of its
  // answer.
  template <typename Response>
  void AskSys(const CallContext& context, Pid pid, SysRequest request, Answer<Response> answer,
              std::function<absl::Status(const Payload&, Response*)> fill);
  template <typename Response>
  std::function<absl::Status(const Payload&, Response*)> Who(Pid pid) const;

  // --- supervisors
  void StartRoot(const CallContext& context, v1::StartSupervisorRequest request,
                 Answer<v1::StartSupervisorResponse> answer);
  void StartUnder(v1::StartSupervisorRequest request, Pid parent,
                  Answer<v1::StartSupervisorResponse> answer);
  void DescribeSupervisor(Pid pid, Answer<v1::StartSupervisorResponse> answer);
  void ListSupervisorsHere(const v1::ListSupervisorsRequest& request,
                           std::function<void(v1::ListSupervisorsResponse)> done);
  void WatchThere(const CallContext& context, Hop hop, const std::string& address,
                  v1::WatchEventsRequest request, EventStreamPtr<v1::WatchEventsResponse> stream);
  void WatchHere(Pid supervisor, v1::WatchEventsRequest request,
                 EventStreamPtr<v1::WatchEventsResponse> stream);

  const Deps deps_;
  SpawnRequests spawns_;
  LegFences leg_fences_;
  const std::shared_ptr<StopGate> gate_ = std::make_shared<StopGate>();
};

}  // namespace banyan::rpc
