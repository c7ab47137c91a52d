#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/cli/cli.h"
#include "grpcpp/grpcpp.h"

#include "banyan/v1/actors.grpc.pb.h"
#include "banyan/v1/cluster.grpc.pb.h"
#include "banyan/v1/registry.grpc.pb.h"
#include "banyan/v1/supervisors.grpc.pb.h"
#include "common/base/pid.h"

namespace banyan::cli {

// A server with one cluster of two nodes and canned answers, which keeps the requests it got.
class FakeServer : public v1::Actors::Service,
                   public v1::Cluster::Service,
                   public v1::Registry::Service,
                   public v1::Supervisors::Service {
 public:
  FakeServer();
  ~FakeServer();
  const std::string& address() const { return address_; }

  grpc::Status GetCluster(grpc::ServerContext*, const v1::GetClusterRequest*,
                          v1::GetClusterResponse*) override;
  grpc::Status ListNodes(grpc::ServerContext*, const v1::ListNodesRequest*,
                         v1::ListNodesResponse*) override;
  grpc::Status GetNode(grpc::ServerContext*, const v1::GetNodeRequest*,
                       v1::GetNodeResponse*) override;
  grpc::Status StartSupervisor(grpc::ServerContext*, const v1::StartSupervisorRequest*,
                               v1::StartSupervisorResponse*) override;
  grpc::Status StopSupervisor(grpc::ServerContext*, const v1::StopSupervisorRequest*,
                              v1::StopSupervisorResponse*) override;
  grpc::Status StartChild(grpc::ServerContext*, const v1::StartChildRequest*,
                          v1::StartChildResponse*) override;
  grpc::Status ListChildren(grpc::ServerContext*, const v1::ListChildrenRequest*,
                            v1::ListChildrenResponse*) override;
  grpc::Status GetTree(grpc::ServerContext*, const v1::GetTreeRequest*,
                       v1::GetTreeResponse*) override;
  grpc::Status ListSupervisors(grpc::ServerContext*, const v1::ListSupervisorsRequest*,
                               v1::ListSupervisorsResponse*) override;
  grpc::Status WatchEvents(grpc::ServerContext*, const v1::WatchEventsRequest*,
                           grpc::ServerWriter<v1::WatchEventsResponse>*) override;
  grpc::Status Call(grpc::ServerContext*, const v1::CallRequest*, v1::CallResponse*) override;
  grpc::Status SendStream(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::SendStreamResponse, v1::SendStreamRequest>*) override;
  grpc::Status Spawn(grpc::ServerContext*, const v1::SpawnRequest*, v1::SpawnResponse*) override;
  grpc::Status Exit(grpc::ServerContext*, const v1::ExitRequest*, v1::ExitResponse*) override;
  grpc::Status Monitor(grpc::ServerContext*, const v1::MonitorRequest*,
                       grpc::ServerWriter<v1::MonitorResponse>*) override;
  grpc::Status Lookup(grpc::ServerContext*, const v1::LookupRequest*, v1::LookupResponse*) override;

  grpc::Status WatchNames(grpc::ServerContext*, const v1::WatchNamesRequest*,
                          grpc::ServerWriter<v1::WatchNamesResponse>*) override;
  grpc::Status Rebalance(grpc::ServerContext*, const v1::RebalanceRequest*,
                         v1::RebalanceResponse*) override;
  grpc::Status Drain(grpc::ServerContext*, const v1::DrainRequest*, v1::DrainResponse*) override;
  grpc::Status WaitOperation(grpc::ServerContext*, const v1::WaitOperationRequest*,
                             v1::WaitOperationResponse*) override;

  std::vector<uint64_t> watch_versions;  // of each WatchNames, in order
  v1::RebalanceRequest rebalanced;
  v1::DrainRequest drained;
  int looks_until_drained = 1;
  int waits_until_stopped = 2;
  v1::StartSupervisorRequest started_supervisor;
  v1::StartChildRequest started_child;
  v1::CallRequest called;
  v1::SpawnRequest spawned;
  std::vector<v1::SendStreamRequest> streamed;  // what came over SendStream
  int stops = 0;
  int exits = 0;
  int list_nodes_calls = 0;
  int get_node_calls = 0;
  bool all_well = true;
  std::vector<std::string> watch_tokens;  // of each WatchEvents, in order
  v1::ExitReason::Kind monitored_end = v1::ExitReason::KIND_NORMAL;

 private:
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

struct Ran {
  int code;
  std::string out;
  std::string err;
};
// Runs the program in-process against `address` (empty: as the arguments say).
Ran RunBanyan(const std::string& address, std::vector<std::string> args,
              const std::string& input = "", bool terminal = false);

}  // namespace banyan::cli
