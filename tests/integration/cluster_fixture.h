#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "grpcpp/channel.h"
#include "gtest/gtest.h"

#include "banyan/modules/v1/exec.pb.h"
#include "banyan/modules/v1/kv.pb.h"
#include "banyan/v1/actors.grpc.pb.h"
#include "banyan/v1/cluster.grpc.pb.h"
#include "banyan/v1/registry.grpc.pb.h"
#include "banyan/v1/supervisors.grpc.pb.h"
#include "tests/integration/daemon.h"

namespace banyan::test {

// What a call ended with: the words that programs branch on.
struct Outcome {
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::string reason;
  std::string message;
  std::vector<std::string> fields;  // of BadRequest
  std::map<std::string, std::string> metadata;
  bool ok() const { return code == grpc::StatusCode::OK; }
};
Outcome OutcomeOf(const grpc::Status& status);
std::ostream& operator<<(std::ostream& out, const Outcome& outcome);

// A client of one server.
class Client {
 public:
  explicit Client(const std::string& address);

  std::unique_ptr<v1::Actors::Stub> actors;
  std::unique_ptr<v1::Supervisors::Stub> supervisors;
  std::unique_ptr<v1::Cluster::Stub> cluster;
  std::unique_ptr<v1::Registry::Stub> registry;
  std::shared_ptr<grpc::Channel> channel;

  // Calls a method of a stub with a deadline, e.g. Do(c.cluster, &v1::Cluster::Stub::GetNode,
  // request, &out).
  template <typename Stub, typename Request, typename Response>
  static Outcome Do(Stub& stub,
                    grpc::Status (std::decay_t<decltype(*stub)>::*method)(grpc::ClientContext*,
                                                                          const Request&,
                                                                          Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    return OutcomeOf(((*stub).*method)(&context, request, response));
  }

  template <typename Reply, typename Message>
  Outcome Call(const v1::Target& target, const Message& message, Reply* reply) {
    v1::CallRequest request;
    v1::CallResponse response;
    *request.mutable_target() = target;
    request.mutable_payload()->mutable_value()->PackFrom(message);
    Outcome outcome = Do(actors, &v1::Actors::Stub::Call, request, &response);
    if (outcome.ok()) response.payload().value().UnpackTo(reply);
    return outcome;
  }
};

v1::Target Named(const std::string& name);
v1::Target ChildAt(const std::string& supervisor, const std::string& id);

// Starts and stops real processes. Times of leases are a tenth of the usual ones.
class ClusterTest : public ::testing::Test {
 protected:
  ClusterTest();
  ~ClusterTest() override;

  Daemon& StartCoordinator();
  Daemon& RestartCoordinator();  // on the address and store of the one before
  void StopCoordinator() { coordinator_.reset(); }
  Daemon& StartNode(const std::string& name, std::vector<std::string> more = {});
  // A coordinator and nodes n1.., all of them joined.
  void StartCluster(int nodes);
  Daemon& node(const std::string& name) { return *nodes_.at(name); }
  Daemon& coordinator() { return *coordinator_; }
  Client coordinator_client() { return Client(coordinator_address_); }
  Client client(const std::string& node_name) { return Client(node(node_name).address()); }
  std::string Folder(const std::string& name) const { return folder_ + "/" + name; }

  // Waits for events of the cluster until `so` holds: looked at now, and after each event.
  bool AwaitNodes(const std::function<bool()>& so);
  bool AwaitChildren(const std::function<bool()>& so);
  v1::NodeState StateOf(const std::string& name);

  std::string node_program_;  // of nodes started from now on; empty: banyand

  // A cluster-wide supervisor with these children.
  void StartSupervisor(const std::string& name, v1::SupervisorSpec::Strategy strategy,
                       std::vector<v1::ChildSpec> children = {});
  static v1::ChildSpec KvChild(const std::string& id, const std::string& name = "");
  static v1::ChildSpec ExecChild(const std::string& id, std::vector<std::string> argv);
  std::map<std::string, v1::ChildInfo> Children(const std::string& supervisor);
  // The OS process of an exec child; 0: no answer.
  int64_t OsPid(Client& client, const std::string& supervisor, const std::string& id);

 private:
  std::string folder_;
  std::unique_ptr<Daemon> coordinator_;
  std::string coordinator_address_;
  std::map<std::string, std::unique_ptr<Daemon>> nodes_;
};

}  // namespace banyan::test
