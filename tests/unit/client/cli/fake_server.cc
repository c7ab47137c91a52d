#include "tests/unit/client/cli/fake_server.h"

#include <sstream>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

#include "banyan/modules/v1/kv.pb.h"

namespace banyan::cli {
namespace {

void SetPid(v1::Pid* pid, uint32_t node, uint64_t id) {
  pid->set_node_id(node);
  pid->set_incarnation(3);
  pid->set_id(id);
}

void FillNode(v1::NodeInfo* node, const std::string& name, uint32_t id, v1::NodeState state) {
  node->set_name(name);
  node->set_node_id(id);
  node->set_incarnation(3);
  node->set_state(state);
  node->set_schedulable(true);
  node->set_version("0.1.0");
  node->mutable_load()->set_actors(1204);
}

grpc::Status Refuse(grpc::StatusCode code, const std::string& text, const std::string& reason,
                    const std::string& outcome) {
  google::rpc::ErrorInfo info;
  info.set_domain("banyan");
  info.set_reason(reason);
  if (!outcome.empty()) (*info.mutable_metadata())["outcome"] = outcome;
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(text);
  status.add_details()->PackFrom(info);
  return grpc::Status(code, text, status.SerializeAsString());
}

void FillTree(v1::TreeNode* root) {
  v1::SupervisorInfo* sup = root->mutable_supervisor();
  sup->set_name("shop");
  sup->set_cluster_wide(true);
  sup->mutable_spec()->set_strategy(v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE);
  sup->mutable_spec()->set_intensity(3);
  root->mutable_child()->set_id("shop");
  root->mutable_child()->set_state(v1::CHILD_STATE_RUNNING);
  v1::TreeNode* payments = root->add_children();
  payments->mutable_child()->set_id("payments");
  payments->mutable_child()->set_state(v1::CHILD_STATE_RUNNING);
  payments->mutable_child()->set_type(v1::CHILD_TYPE_SUPERVISOR);
  SetPid(payments->mutable_child()->mutable_pid(), 1, 14);
  payments->mutable_supervisor()->mutable_spec()->set_strategy(
      v1::SupervisorSpec::STRATEGY_REST_FOR_ONE);
  v1::ChildInfo* ledger = payments->add_children()->mutable_child();
  ledger->set_id("ledger");
  ledger->set_module("kv");
  ledger->set_state(v1::CHILD_STATE_RUNNING);
  SetPid(ledger->mutable_pid(), 2, 15);
  ledger->set_restarts(3);
  v1::ChildInfo* waiting = root->add_children()->mutable_child();
  waiting->set_id("settlement");
  waiting->set_state(v1::CHILD_STATE_PENDING);
  waiting->set_state_reason("no_node_fits");
}

}  // namespace

FakeServer::FakeServer() {
  int port = 0;
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(static_cast<v1::Actors::Service*>(this));
  builder.RegisterService(static_cast<v1::Cluster::Service*>(this));
  builder.RegisterService(static_cast<v1::Registry::Service*>(this));
  builder.RegisterService(static_cast<v1::Supervisors::Service*>(this));
  server_ = builder.BuildAndStart();
  address_ = "127.0.0.1:" + std::to_string(port);
}

FakeServer::~FakeServer() { server_->Shutdown(std::chrono::system_clock::now()); }

grpc::Status FakeServer::GetCluster(grpc::ServerContext*, const v1::GetClusterRequest*,
                                    v1::GetClusterResponse* response) {
  response->set_name("dev");
  response->set_coordinator_leader("coord-0");
  response->set_coordinator_epoch(4);
  response->set_coordinator_available(true);
  response->set_actors(1204);
  return grpc::Status::OK;
}

grpc::Status FakeServer::ListNodes(grpc::ServerContext*, const v1::ListNodesRequest* request,
                                   v1::ListNodesResponse* response) {
  ++list_nodes_calls;
  // Two pages, whatever size was asked for.
  if (request->page_token().empty()) {
    FillNode(response->add_nodes(), "n1", 1, v1::NODE_STATE_ACTIVE);
    response->set_next_page_token("more");
  } else {
    FillNode(response->add_nodes(), "n2", 2,
             all_well ? v1::NODE_STATE_ACTIVE : v1::NODE_STATE_SUSPECT);
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::GetNode(grpc::ServerContext*, const v1::GetNodeRequest* request,
                                 v1::GetNodeResponse* response) {
  // Joins while it is being waited for.
  ++get_node_calls;
  if (request->name() == "n9")
    return Refuse(grpc::StatusCode::NOT_FOUND, "no node n9", "NODE_NOT_FOUND", "");
  FillNode(response->mutable_node(), request->name(), 1,
           get_node_calls < 3 ? v1::NODE_STATE_JOINING : v1::NODE_STATE_ACTIVE);
  if (drained.name() == request->name()) {
    v1::DrainStatus* drain = response->mutable_node()->mutable_drain();
    drain->set_moved_children(4);
    drain->set_remaining_children(looks_until_drained > 0 ? 1 : 0);
    SetPid(drain->add_stuck(), 1, 14);
    if (looks_until_drained-- <= 0) drain->mutable_end_time()->set_seconds(1);
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::StartSupervisor(grpc::ServerContext*,
                                         const v1::StartSupervisorRequest* request,
                                         v1::StartSupervisorResponse* response) {
  started_supervisor = *request;
  response->mutable_supervisor()->set_name(request->name());
  response->mutable_supervisor()->set_cluster_wide(request->cluster_wide());
  if (!request->cluster_wide()) SetPid(response->mutable_supervisor()->mutable_pid(), 1, 20);
  return grpc::Status::OK;
}

grpc::Status FakeServer::StopSupervisor(grpc::ServerContext*, const v1::StopSupervisorRequest*,
                                        v1::StopSupervisorResponse* response) {
  ++stops;
  response->mutable_exit_reason()->set_kind(v1::ExitReason::KIND_SHUTDOWN);
  return grpc::Status::OK;
}

grpc::Status FakeServer::StartChild(grpc::ServerContext*, const v1::StartChildRequest* request,
                                    v1::StartChildResponse* response) {
  started_child = *request;
  if (request->spec().id() == "taken") {
    return Refuse(grpc::StatusCode::ALREADY_EXISTS, "child \"taken\" is running as n1:3:9",
                  "CHILD_ALREADY_STARTED", "");
  }
  response->mutable_child()->set_id(request->spec().id());
  SetPid(response->mutable_child()->mutable_pid(), 2, 101);
  return grpc::Status::OK;
}

grpc::Status FakeServer::ListChildren(grpc::ServerContext*, const v1::ListChildrenRequest*,
                                      v1::ListChildrenResponse* response) {
  v1::ChildInfo* child = response->add_children();
  child->set_id("cart");
  child->set_module("kv");
  child->set_state(v1::CHILD_STATE_RUNNING);
  SetPid(child->mutable_pid(), 2, 101);
  child->set_fence(Fence::Make(4, 17, 1).value());
  return grpc::Status::OK;
}

grpc::Status FakeServer::GetTree(grpc::ServerContext*, const v1::GetTreeRequest*,
                                 v1::GetTreeResponse* response) {
  FillTree(response->mutable_root());
  return grpc::Status::OK;
}

grpc::Status FakeServer::ListSupervisors(grpc::ServerContext*, const v1::ListSupervisorsRequest*,
                                         v1::ListSupervisorsResponse* response) {
  response->add_supervisors()->set_name("shop");
  return grpc::Status::OK;
}

// Breaks off after the first event; the second stream must carry the first one's token.
grpc::Status FakeServer::WatchEvents(grpc::ServerContext*, const v1::WatchEventsRequest* request,
                                     grpc::ServerWriter<v1::WatchEventsResponse>* writer) {
  watch_tokens.push_back(request->resume_token());
  v1::WatchEventsResponse message;
  v1::SupervisorEvent* event = message.add_events();
  event->add_path("shop");
  event->add_path("cart");
  if (watch_tokens.size() == 1) {
    event->set_kind(v1::SupervisorEvent::KIND_CHILD_EXITED);
    event->mutable_reason()->set_kind(v1::ExitReason::KIND_KILLED);
    message.set_resume_token("t1");
    writer->Write(message);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "restarting");
  }
  event->set_kind(v1::SupervisorEvent::KIND_CHILD_RESTARTED);
  message.set_resume_token("t2");
  message.set_snapshot_complete(true);
  writer->Write(message);
  return grpc::Status::OK;
}

grpc::Status FakeServer::Call(grpc::ServerContext*, const v1::CallRequest* request,
                              v1::CallResponse* response) {
  called = *request;
  if (request->target().name() == "counter/us" ||
      request->target().local_name().name() == "counter/us") {
    return Refuse(grpc::StatusCode::NOT_FOUND, "no process is registered as \"counter/us\"",
                  "NAME_NOT_REGISTERED", "not_executed");
  }
  modules::v1::GetReply reply;
  reply.set_found(true);
  reply.set_value("hi");
  response->mutable_payload()->mutable_value()->PackFrom(reply);
  SetPid(response->mutable_pid(), 2, 81);
  return grpc::Status::OK;
}

// Confirms one by one; those for "full" do not fit.
grpc::Status FakeServer::SendStream(
    grpc::ServerContext*,
    grpc::ServerReaderWriter<v1::SendStreamResponse, v1::SendStreamRequest>* stream) {
  v1::SendStreamRequest message;
  while (stream->Read(&message)) {
    if (message.target().name() == "counter/us") {
      return Refuse(grpc::StatusCode::UNAVAILABLE, "the node is stopping", "NODE_STOPPING",
                    "not_executed");
    }
    streamed.push_back(message);
    v1::SendStreamResponse answer;
    answer.set_accepted_seq(message.seq());
    if (message.target().name() == "full") {
      v1::SendFailure* failure = answer.add_failures();
      failure->set_seq(message.seq());
      failure->set_reason("MAILBOX_FULL");
    }
    stream->Write(answer);
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::Spawn(grpc::ServerContext*, const v1::SpawnRequest* request,
                               v1::SpawnResponse* response) {
  spawned = *request;
  if (request->start().name() == "none") {
    response->set_ignored(true);
  } else {
    SetPid(response->mutable_pid(), 2, 81);
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::Exit(grpc::ServerContext*, const v1::ExitRequest*,
                              v1::ExitResponse* response) {
  ++exits;
  SetPid(response->mutable_pid(), 2, 81);
  return grpc::Status::OK;
}

grpc::Status FakeServer::Monitor(grpc::ServerContext*, const v1::MonitorRequest* request,
                                 grpc::ServerWriter<v1::MonitorResponse>* writer) {
  for (int i = 0; i < request->targets_size(); ++i) {
    v1::MonitorResponse event;
    event.set_index(static_cast<uint32_t>(i));
    SetPid(event.mutable_established()->mutable_pid(), 2, 81);
    writer->Write(event);
    event.mutable_down()->mutable_reason()->set_kind(monitored_end);
    SetPid(event.mutable_down()->mutable_pid(), 2, 81);
    writer->Write(event);
  }
  return grpc::Status::OK;
}

grpc::Status FakeServer::Lookup(grpc::ServerContext*, const v1::LookupRequest* request,
                                v1::LookupResponse* response) {
  if (request->name() == "nobody") {
    return Refuse(grpc::StatusCode::NOT_FOUND, "nobody has it", "NAME_NOT_REGISTERED", "");
  }
  response->mutable_entry()->set_name(request->name());
  SetPid(response->mutable_entry()->mutable_pid(), 1, 7);
  return grpc::Status::OK;
}

// Two names are there; the first stream breaks after them, the next one knows of one of them only,
// and is over for good.
grpc::Status FakeServer::WatchNames(grpc::ServerContext*, const v1::WatchNamesRequest* request,
                                    grpc::ServerWriter<v1::WatchNamesResponse>* writer) {
  watch_versions.push_back(request->after_reg_version());
  v1::WatchNamesResponse response;
  const bool first = watch_versions.size() == 1;
  if (first) {
    for (const auto& [name, version] : {std::pair("counter", 47), std::pair("cart", 46)}) {
      v1::NameEntry* entry = response.add_registered();
      entry->set_name(name);
      entry->set_reg_version(version);
    }
  } else {
    response.add_unchanged("cart");
  }
  response.set_snapshot_complete(true);
  response.set_caught_up(true);
  writer->Write(response);
  return first ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "restarted")
               : grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "enough");
}

grpc::Status FakeServer::Rebalance(grpc::ServerContext*, const v1::RebalanceRequest* request,
                                   v1::RebalanceResponse* response) {
  rebalanced = *request;
  if (request->max_moves() == 7) return grpc::Status::OK;
  auto* move = response->add_moves();
  move->add_path("shop");
  move->add_path("cart");
  move->set_from_node("n1");
  move->set_to_node("n2");
  return grpc::Status::OK;
}

grpc::Status FakeServer::Drain(grpc::ServerContext*, const v1::DrainRequest* request,
                               v1::DrainResponse* response) {
  drained = *request;
  response->mutable_node()->set_name(request->name());
  return grpc::Status::OK;
}

grpc::Status FakeServer::WaitOperation(grpc::ServerContext*, const v1::WaitOperationRequest*,
                                       v1::WaitOperationResponse* response) {
  response->set_done(--waits_until_stopped <= 0);
  if (response->done()) response->set_result("stopped_by_death");
  return grpc::Status::OK;
}

Ran RunBanyan(const std::string& address, std::vector<std::string> args, const std::string& input,
              bool terminal) {
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  Environment env{.in = in, .out = out, .err = err};
  env.in_is_terminal = terminal;
  if (!address.empty()) {
    args.push_back("--addr");
    args.push_back(address);
  }
  const int code = Main(args, env);
  return {code, out.str(), err.str()};
}

}  // namespace banyan::cli
