#include "tests/integration/cluster_fixture.h"

#include <cstdlib>
#include <filesystem>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/create_channel.h"

namespace banyan::test {
namespace {

constexpr char kScale[] = "0.1";

}  // namespace

Outcome OutcomeOf(const grpc::Status& status) {
  Outcome out;
  out.code = status.error_code();
  out.message = status.error_message();
  google::rpc::Status details;
  details.ParseFromString(status.error_details());
  for (const google::protobuf::Any& any : details.details()) {
    if (google::rpc::ErrorInfo info; any.UnpackTo(&info)) {
      out.reason = info.reason();
      out.metadata = {info.metadata().begin(), info.metadata().end()};
    } else if (google::rpc::BadRequest bad; any.UnpackTo(&bad)) {
      for (const auto& v : bad.field_violations()) out.fields.push_back(v.field());
    }
  }
  return out;
}

std::ostream& operator<<(std::ostream& out, const Outcome& o) {
  return out << o.code << " " << o.reason << " " << o.message;
}

Client::Client(const std::string& address) {
  grpc::ChannelArguments args;
  // A server that has been replaced on the same address is found again at once.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), args);
  actors = v1::Actors::NewStub(channel);
  supervisors = v1::Supervisors::NewStub(channel);
  cluster = v1::Cluster::NewStub(channel);
  registry = v1::Registry::NewStub(channel);
}

v1::Target Named(const std::string& name) {
  v1::Target target;
  target.set_name(name);
  return target;
}

v1::Target ChildAt(const std::string& supervisor, const std::string& id) {
  v1::Target target;
  target.mutable_child()->set_supervisor(supervisor);
  target.mutable_child()->add_child_ids(id);
  return target;
}

ClusterTest::ClusterTest() {
  std::string pattern = std::filesystem::temp_directory_path() / "banyan-test-XXXXXX";
  folder_ = mkdtemp(pattern.data());
}

ClusterTest::~ClusterTest() {
  nodes_.clear();
  coordinator_.reset();
  if (std::getenv("BANYAN_KEEP") == nullptr || !HasFailure()) std::filesystem::remove_all(folder_);
}

Daemon& ClusterTest::StartCoordinator() {
  coordinator_ = std::make_unique<Daemon>(
      std::vector<std::string>{"coordinator", "--listen", "127.0.0.1:0", "--state-dir",
                               Folder("coordinator"), "--lease-scale", kScale});
  EXPECT_TRUE(coordinator_->WaitUntilServing()) << coordinator_->output();
  coordinator_address_ = coordinator_->address();
  return *coordinator_;
}

Daemon& ClusterTest::RestartCoordinator() {
  coordinator_.reset();
  coordinator_ = std::make_unique<Daemon>(
      std::vector<std::string>{"coordinator", "--listen", coordinator_address_, "--state-dir",
                               Folder("coordinator"), "--lease-scale", kScale});
  EXPECT_TRUE(coordinator_->WaitUntilServing()) << coordinator_->output();
  return *coordinator_;
}

Daemon& ClusterTest::StartNode(const std::string& name, std::vector<std::string> more) {
  std::vector<std::string> args = {"node",
                                   "--name",
                                   name,
                                   "--listen",
                                   "127.0.0.1:0",
                                   "--coordinator",
                                   coordinator_address_,
                                   "--state-dir",
                                   Folder(name),
                                   "--lease-scale",
                                   kScale};
  args.insert(args.end(), more.begin(), more.end());
  auto& slot = nodes_[name];
  slot.reset();
  slot = std::make_unique<Daemon>(std::move(args), node_program_);
  EXPECT_TRUE(slot->WaitUntilServing()) << slot->output();
  return *slot;
}

void ClusterTest::StartCluster(int nodes) {
  StartCoordinator();
  for (int i = 1; i <= nodes; ++i) StartNode("n" + std::to_string(i));
  ASSERT_TRUE(AwaitNodes([&] {
    for (int i = 1; i <= nodes; ++i) {
      if (StateOf("n" + std::to_string(i)) != v1::NODE_STATE_ACTIVE) return false;
    }
    return true;
  }));
}

v1::NodeState ClusterTest::StateOf(const std::string& name) {
  Client c = coordinator_client();
  v1::GetNodeRequest request;
  v1::GetNodeResponse response;
  request.set_name(name);
  const Outcome outcome = Client::Do(c.cluster, &v1::Cluster::Stub::GetNode, request, &response);
  return outcome.ok() ? response.node().state() : v1::NODE_STATE_UNSPECIFIED;
}

bool ClusterTest::AwaitNodes(const std::function<bool()>& so) {
  Client c = coordinator_client();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::WatchClusterRequest request;
  request.set_send_snapshot(true);
  auto stream = c.cluster->WatchCluster(&context, request);
  v1::WatchClusterResponse message;
  // The first message comes at once and begins the watching, so nothing is missed after it.
  while (stream->Read(&message)) {
    if (so()) return true;
  }
  return so();
}

bool ClusterTest::AwaitChildren(const std::function<bool()>& so) {
  Client c = coordinator_client();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::WatchEventsRequest request;
  request.set_send_snapshot(true);
  auto stream = c.supervisors->WatchEvents(&context, request);
  v1::WatchEventsResponse message;
  while (stream->Read(&message)) {
    if (so()) return true;
  }
  return so();
}

void ClusterTest::StartSupervisor(const std::string& name, v1::SupervisorSpec::Strategy strategy,
                                  std::vector<v1::ChildSpec> children) {
  Client c = coordinator_client();
  v1::StartSupervisorRequest request;
  v1::StartSupervisorResponse response;
  request.set_name(name);
  request.set_cluster_wide(true);
  request.mutable_spec()->set_strategy(strategy);
  request.mutable_spec()->set_intensity(10);
  for (v1::ChildSpec& child : children) *request.mutable_spec()->add_children() = std::move(child);
  const Outcome outcome =
      Client::Do(c.supervisors, &v1::Supervisors::Stub::StartSupervisor, request, &response);
  ASSERT_TRUE(outcome.ok()) << outcome;
}

v1::ChildSpec ClusterTest::KvChild(const std::string& id, const std::string& name) {
  v1::ChildSpec spec;
  spec.set_id(id);
  spec.mutable_start()->set_module("kv");
  spec.mutable_start()->set_name(name);
  return spec;
}

v1::ChildSpec ClusterTest::ExecChild(const std::string& id, std::vector<std::string> argv) {
  v1::ChildSpec spec;
  spec.set_id(id);
  spec.mutable_start()->set_module("exec");
  modules::v1::ExecArgs args;
  for (std::string& arg : argv) args.add_argv(std::move(arg));
  spec.mutable_start()->add_args()->mutable_value()->PackFrom(args);
  return spec;
}

std::map<std::string, v1::ChildInfo> ClusterTest::Children(const std::string& supervisor) {
  Client c = coordinator_client();
  v1::ListChildrenRequest request;
  v1::ListChildrenResponse response;
  *request.mutable_supervisor() = Named(supervisor);
  Client::Do(c.supervisors, &v1::Supervisors::Stub::ListChildren, request, &response);
  std::map<std::string, v1::ChildInfo> out;
  for (const v1::ChildInfo& child : response.children()) out[child.id()] = child;
  return out;
}

int64_t ClusterTest::OsPid(Client& client, const std::string& supervisor, const std::string& id) {
  modules::v1::StatusReply reply;
  return client.Call(ChildAt(supervisor, id), modules::v1::Status(), &reply).ok() ? reply.os_pid()
                                                                                  : 0;
}

}  // namespace banyan::test
