#include <utility>

#include "google/protobuf/util/field_mask_util.h"

#include "common/wire/time.h"
#include "server/rpc/filter.h"
#include "server/rpc/node_backend_routes.h"
#include "server/rpc/page_token.h"

namespace banyan::rpc {
namespace {

v1::NodeInfo FromView(const ClusterView::Member& member) {
  v1::NodeInfo out;
  out.set_name(member.name);
  out.set_node_id(member.id.node_id);
  out.set_incarnation(member.id.incarnation);
  out.set_address(member.address);
  out.set_state(member.state);
  return out;
}

}  // namespace

void NodeBackend::GetServerInfo(const CallContext&, v1::GetServerInfoRequest*,
                                Answer<v1::GetServerInfoResponse> answer) {
  answer.With([&](v1::GetServerInfoResponse* out) {
    FillServerInfo(deps_.info, *deps_.clock, out);
    out->set_cluster_id(deps_.node->options().cluster_id);
  });
}

// With the coordinator away this node tells what it saw last.
void NodeBackend::GetCluster(const CallContext& context, v1::GetClusterRequest* request,
                             Answer<v1::GetClusterResponse> answer) {
  const auto from_view = [this, answer] {
    answer.With([&](v1::GetClusterResponse* out) {
      out->set_name(deps_.info.cluster_name);
      for (const auto& [id, member] : deps_.node->view()->members()) {
        if (!member.gone()) ++(*out->mutable_nodes_by_state())[v1::NodeState_Name(member.state)];
      }
      out->set_actors(deps_.node->Load().actors());
      out->set_coordinator_available(false);
    });
  };
  const std::string address = Coordinator();
  if (address.empty() || context.hops >= kForwardsMax) return from_view();
  deps_.forwarder->Ask<v1::GetClusterRequest, v1::GetClusterResponse>(
      context, Hop::kCoordinator, address, method::kGetCluster, *request,
      [answer, from_view](const grpc::Status& status, v1::GetClusterResponse* response,
                          const grpc::ClientContext&) {
        status.ok() ? answer.Done(std::move(*response)) : from_view();
      });
}

void NodeBackend::ListNodes(const CallContext& context, v1::ListNodesRequest* request,
                            Answer<v1::ListNodesResponse> answer) {
  PassToCoordinator(context, method::kListNodes, std::move(*request), answer);
}

void NodeBackend::GetNode(const CallContext& context, v1::GetNodeRequest* request,
                          Answer<v1::GetNodeResponse> answer) {
  if (request->name().empty()) {
    return answer.With(
        [&](v1::GetNodeResponse* out) { *out->mutable_node() = deps_.node->Info(); });
  }
  const std::string name = request->name();
  const std::string address = Coordinator();
  const auto from_view = [this, name, answer](const absl::Status& error) {
    const std::optional<ClusterView::Member> member = deps_.node->FindNode(name);
    if (!member) return answer.Fail(error);
    answer.With([&](v1::GetNodeResponse* out) { *out->mutable_node() = FromView(*member); });
  };
  if (address.empty() || context.hops >= kForwardsMax) {
    return from_view(MakeError("COORDINATOR_UNAVAILABLE", "this node knows no coordinator"));
  }
  deps_.forwarder->Ask<v1::GetNodeRequest, v1::GetNodeResponse>(
      context, Hop::kCoordinator, address, method::kGetNode, *request,
      [answer, from_view](const grpc::Status& status, v1::GetNodeResponse* response,
                          const grpc::ClientContext& client) {
        if (status.ok()) return answer.Done(std::move(*response));
        if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
          return from_view(FromGrpcStatus(status));
        }
        Forwarder::PassError(answer, status, client);
      });
}

#define BANYAN_TO_COORDINATOR(Method)                                                      \
  void NodeBackend::Method(const CallContext& context, v1::Method##Request* request,       \
                           Answer<v1::Method##Response> answer) {                          \
    PassToCoordinator(context, method::k##Method, std::move(*request), std::move(answer)); \
  }
BANYAN_TO_COORDINATOR(ListModules)
BANYAN_TO_COORDINATOR(ConfirmDead)
BANYAN_TO_COORDINATOR(Cordon)
BANYAN_TO_COORDINATOR(Uncordon)
BANYAN_TO_COORDINATOR(Drain)
BANYAN_TO_COORDINATOR(RemoveNode)
BANYAN_TO_COORDINATOR(Rebalance)
BANYAN_TO_COORDINATOR(UpdateNode)
BANYAN_TO_COORDINATOR(FinalizeUpgrade)
BANYAN_TO_COORDINATOR(EndSafeMode)
BANYAN_TO_COORDINATOR(Unregister)
BANYAN_TO_COORDINATOR(ListNames)
#undef BANYAN_TO_COORDINATOR

#define BANYAN_STREAM_OF_COORDINATOR(Method)                                            \
  void NodeBackend::Method(const CallContext& context, v1::Method##Request* request,    \
                           EventStreamPtr<v1::Method##Response> stream) {               \
    const std::string address = Coordinator();                                          \
    if (address.empty()) {                                                              \
      return stream->Close(                                                             \
          MakeError("COORDINATOR_UNAVAILABLE", "this node knows no coordinator"));      \
    }                                                                                   \
    deps_.forwarder->PassStream(context, Hop::kCoordinator, address, method::k##Method, \
                                std::move(*request), std::move(stream));                \
  }
BANYAN_STREAM_OF_COORDINATOR(WatchCluster)
BANYAN_STREAM_OF_COORDINATOR(WatchNames)
#undef BANYAN_STREAM_OF_COORDINATOR

void NodeBackend::Backup(const CallContext& context, v1::BackupRequest* request,
                         EventStreamPtr<v1::BackupResponse> stream) {
  const std::string address = Coordinator();
  if (address.empty()) {
    return stream->Close(MakeError("COORDINATOR_UNAVAILABLE", "this node knows no coordinator"));
  }
  deps_.forwarder->PassStream(context, Hop::kCoordinator, address, method::kBackup,
                              std::move(*request), std::move(stream));
}

// ------------------------------------------------------------- registry

void NodeBackend::Register(const CallContext& context, v1::RegisterRequest* request,
                           Answer<v1::RegisterResponse> answer) {
  auto kept = std::make_shared<v1::RegisterRequest>(std::move(*request));
  ResolvePid(context, kept->target(), context.deadline,
             [this, context, kept, answer](absl::StatusOr<Pid> pid) {
               if (!pid.ok()) return answer.Fail(pid.status(), self());
               if (!pid->local()) {
                 // Its node must know of the name too.
                 return PassToNode(context, *pid, method::kRegister, kept.get(),
                                   kept->mutable_target(), answer);
               }
               deps_.node->RegisterName(
                   kept->name(), *pid, {kept->metadata().begin(), kept->metadata().end()},
                   kept->exclusive(), [this, answer](absl::StatusOr<v1::NameEntry> entry) {
                     if (!entry.ok()) return answer.Fail(entry.status(), self());
                     answer.With([&](v1::RegisterResponse* out) {
                       *out->mutable_entry() = *std::move(entry);
                     });
                   });
             });
}

// The coordinator's word; while it is away, who has the name as far as this node knows.
void NodeBackend::Lookup(const CallContext& context, v1::LookupRequest* request,
                         Answer<v1::LookupResponse> answer) {
  const std::string address = Coordinator();
  const std::string name = request->name();
  const bool must_ask = request->linearizable();
  const auto from_here = [this, name, answer](const absl::Status& error) {
    deps_.node->ResolveTarget(Target::Named(name), deps_.clock->Now(),
                              [this, name, error, answer](absl::StatusOr<Resolved> r) {
                                if (!r.ok() || !r->pid.valid()) return answer.Fail(error, self());
                                answer.With([&](v1::LookupResponse* out) {
                                  out->mutable_entry()->set_name(name);
                                  out->mutable_entry()->set_reg_version(r->reg_version);
                                  wire::ToProto(r->pid, self(),
                                                out->mutable_entry()->mutable_pid());
                                  out->set_stale(true);
                                });
                              });
  };
  if (address.empty() || context.hops >= kForwardsMax) {
    return from_here(MakeError("COORDINATOR_UNAVAILABLE", "this node knows no coordinator"));
  }
  deps_.forwarder->Ask<v1::LookupRequest, v1::LookupResponse>(
      context, Hop::kCoordinator, address, method::kLookup, std::move(*request),
      [answer, must_ask, from_here](const grpc::Status& status, v1::LookupResponse* response,
                                    const grpc::ClientContext& client) {
        if (status.ok()) return answer.Done(std::move(*response));
        if (status.error_code() == grpc::StatusCode::UNAVAILABLE && !must_ask) {
          return from_here(FromGrpcStatus(status));
        }
        Forwarder::PassError(answer, status, client);
      });
}

}  // namespace banyan::rpc
