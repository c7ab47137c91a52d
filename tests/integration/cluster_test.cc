#include <csignal>
#include <set>

#include "common/os/process_tree.h"
#include "tests/integration/cluster_fixture.h"

namespace banyan::test {
namespace {

using ::testing::HasSubstr;
namespace kv = ::banyan::modules::v1;

class Cluster : public ClusterTest {
 protected:
  // Three kv children with names and one on each node, as a rule.
  void StartStores() {
    StartSupervisor("stores", v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE,
                    {KvChild("a", "store/a"), KvChild("b", "store/b"), KvChild("c", "store/c")});
  }
  static bool Runs(const v1::ChildInfo& child) { return child.state() == v1::CHILD_STATE_RUNNING; }
  static std::string Life(const v1::ChildInfo& child) {
    return child.pid().SerializeAsString() + "/" + std::to_string(child.fence());
  }
};

TEST_F(Cluster, ThreeNodesJoin) {
  StartCluster(3);
  for (const char* name : {"n1", "n2", "n3"}) {
    Client c = client(name);
    v1::ListNodesResponse response;
    ASSERT_TRUE(
        Client::Do(c.cluster, &v1::Cluster::Stub::ListNodes, v1::ListNodesRequest(), &response)
            .ok());
    ASSERT_EQ(response.nodes_size(), 3);
    EXPECT_EQ(response.nodes(0).name(), "n1");
    EXPECT_EQ(response.nodes(2).address(), node("n3").address());
  }
}

TEST_F(Cluster, ANodeSaysWhetherItHasAWatcher) {
  StartCluster(1);
  StartNode("bare", {"--no-watch"});
  ASSERT_TRUE(AwaitNodes([&] { return StateOf("bare") == v1::NODE_STATE_ACTIVE; }));
  Client c = client("n1");
  v1::ListNodesResponse response;
  ASSERT_TRUE(
      Client::Do(c.cluster, &v1::Cluster::Stub::ListNodes, v1::ListNodesRequest(), &response).ok());
  ASSERT_EQ(response.nodes_size(), 2);
  EXPECT_FALSE(response.nodes(0).has_watcher()) << response.nodes(0).name();
  EXPECT_TRUE(response.nodes(1).has_watcher()) << response.nodes(1).name();
}

TEST_F(Cluster, AChildIsCalledByNameAndByPlaceThroughEveryServer) {
  StartCluster(3);
  StartStores();
  std::set<std::string> hosts;
  for (const auto& [id, child] : Children("stores")) hosts.insert(child.node());
  EXPECT_EQ(hosts.size(), 3u) << "spread over the nodes";
  kv::Put put;
  put.set_key("k");
  put.set_value("v");
  kv::PutReply put_reply;
  Client first = client("n1");
  ASSERT_TRUE(first.Call(Named("store/b"), put, &put_reply).ok());
  for (const std::string& address : {coordinator().address(), node("n1").address(),
                                     node("n2").address(), node("n3").address()}) {
    Client c(address);
    for (const v1::Target& target : {Named("store/b"), ChildAt("stores", "b")}) {
      kv::Get get;
      get.set_key("k");
      kv::GetReply reply;
      const Outcome outcome = c.Call(target, get, &reply);
      EXPECT_TRUE(outcome.ok()) << outcome;
      EXPECT_EQ(reply.value(), "v");
    }
  }
}

TEST_F(Cluster, AKilledProgramIsRestartedInPlace) {
  StartCluster(2);
  StartSupervisor("programs", v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE,
                  {ExecChild("p", {"sleep", "600"}), ExecChild("q", {"sleep", "600"})});
  Client c = client("n1");
  const v1::ChildInfo before = Children("programs")["p"];
  const v1::ChildInfo other = Children("programs")["q"];
  const int64_t os_pid = OsPid(c, "programs", "p");
  ASSERT_GT(os_pid, 0);
  kill(static_cast<pid_t>(os_pid), SIGKILL);
  ASSERT_TRUE(AwaitChildren([&] {
    const v1::ChildInfo now = Children("programs")["p"];
    return Runs(now) && Life(now) != Life(before);
  }));
  const v1::ChildInfo after = Children("programs")["p"];
  EXPECT_EQ(after.node(), before.node());
  EXPECT_GT(after.fence(), before.fence());
  EXPECT_EQ(after.restarts(), 1u);
  EXPECT_EQ(after.last_exit_reason().type(), "signal");
  EXPECT_NE(OsPid(c, "programs", "p"), os_pid);
  EXPECT_EQ(Life(Children("programs")["q"]), Life(other)) << "its sibling is left alone";
}

TEST_F(Cluster, AKilledNodesChildrenRunElsewhereWithHigherFences) {
  StartCluster(3);
  StartStores();
  const auto before = Children("stores");
  const std::string victim = before.at("b").node();
  node(victim).Signal(SIGKILL);
  ASSERT_TRUE(AwaitChildren([&] {
    for (const auto& [id, child] : Children("stores")) {
      if (!Runs(child) || child.node() == victim) return false;
    }
    return true;
  }));
  for (const auto& [id, child] : Children("stores")) {
    if (before.at(id).node() == victim) {
      EXPECT_GT(child.fence(), before.at(id).fence()) << id;
      EXPECT_EQ(child.last_exit_reason().kind(), v1::ExitReason::KIND_NOCONNECTION) << id;
    } else {
      EXPECT_EQ(Life(child), Life(before.at(id))) << id;
    }
  }
  EXPECT_EQ(StateOf(victim), v1::NODE_STATE_DEAD);
  for (const char* name : {"n1", "n2", "n3"}) {
    if (name == victim) continue;
    Client c = client(name);
    kv::SizeReply reply;
    const Outcome outcome = c.Call(Named("store/b"), kv::Size(), &reply);
    EXPECT_TRUE(outcome.ok()) << name << ": " << outcome;
  }
}

TEST_F(Cluster, ARestartedCoordinatorRestartsNoChild) {
  StartCluster(2);
  StartStores();
  Client c = client("n1");
  const auto before = Children("stores");
  coordinator().Signal(SIGKILL);
  ASSERT_TRUE(coordinator().WaitForExit().has_value());
  // What runs goes on meanwhile: n1 reaches its own child without a coordinator.
  for (const auto& [id, child] : before) {
    if (child.node() != "n1") continue;
    kv::SizeReply reply;
    EXPECT_TRUE(c.Call(Named("store/" + id), kv::Size(), &reply).ok());
  }
  RestartCoordinator();
  ASSERT_TRUE(AwaitNodes([&] {
    return StateOf("n1") == v1::NODE_STATE_ACTIVE && StateOf("n2") == v1::NODE_STATE_ACTIVE;
  }));
  ASSERT_TRUE(AwaitChildren([&] {
    for (const auto& [id, child] : Children("stores")) {
      if (!Runs(child)) return false;
    }
    return true;
  }));
  const auto after = Children("stores");
  ASSERT_EQ(after.size(), before.size());
  for (const auto& [id, child] : after) {
    EXPECT_EQ(Life(child), Life(before.at(id))) << id;
    EXPECT_EQ(child.restarts(), 0u) << id;
  }
}

TEST_F(Cluster, TERMMovesTheChildrenAndEndsWithStatusZero) {
  StartCluster(2);
  StartStores();
  node("n1").SignalFirst(SIGTERM);
  EXPECT_EQ(node("n1").WaitForExit(), 0);
  ASSERT_TRUE(AwaitChildren([&] {
    for (const auto& [id, child] : Children("stores")) {
      if (!Runs(child) || child.node() != "n2") return false;
    }
    return true;
  }));
  EXPECT_EQ(StateOf("n1"), v1::NODE_STATE_LEFT);
}

TEST_F(Cluster, TERMEndsACoordinatorWithNodesAttached) {
  StartCluster(1);
  coordinator().Signal(SIGTERM);
  EXPECT_EQ(coordinator().WaitForExit(), 0) << coordinator().output();
  node("n1").SignalFirst(SIGTERM);
  EXPECT_EQ(node("n1").WaitForExit(), 0) << node("n1").output();
}

TEST_F(Cluster, DevIsACoordinatorAndANodeInOneProcess) {
  Daemon dev({"dev", "--listen", "127.0.0.1:0", "--state-dir", Folder("dev")});
  ASSERT_TRUE(dev.WaitUntilServing()) << dev.output();
  ASSERT_TRUE(dev.WaitForOutput("joined")) << dev.output();
  Client c(dev.address());
  v1::SpawnRequest spawn;
  v1::SpawnResponse spawned;
  spawn.mutable_start()->set_module("kv");
  const Outcome outcome = Client::Do(c.actors, &v1::Actors::Stub::Spawn, spawn, &spawned);
  ASSERT_TRUE(outcome.ok()) << outcome;
  v1::Target target;
  *target.mutable_pid() = spawned.pid();
  kv::SizeReply reply;
  EXPECT_TRUE(c.Call(target, kv::Size(), &reply).ok());
  dev.Signal(SIGTERM);
  EXPECT_EQ(dev.WaitForExit(), 0) << dev.output();
}

TEST_F(Cluster, ASecondNodeOfTheSameNameIsRefused) {
  StartCluster(1);
  StartStores();
  const auto before = Children("stores");
  Daemon second({"node", "--name", "n1", "--listen", "127.0.0.1:0", "--coordinator",
                 coordinator().address(), "--state-dir", Folder("elsewhere"), "--lease-scale",
                 "0.1"});
  EXPECT_TRUE(second.WaitForOutput("NAME_IN_USE")) << second.output();
  EXPECT_EQ(StateOf("n1"), v1::NODE_STATE_ACTIVE);
  for (const auto& [id, child] : Children("stores")) EXPECT_EQ(Life(child), Life(before.at(id)));
}

TEST_F(Cluster, ASecondNodeOnTheSameStateFolderEnds) {
  StartCluster(1);
  Daemon second({"node", "--name", "n1", "--listen", "127.0.0.1:0", "--coordinator",
                 coordinator().address(), "--state-dir", Folder("n1"), "--lease-scale", "0.1"});
  EXPECT_EQ(second.WaitForExit(), 1);
  EXPECT_THAT(second.output(), HasSubstr("in use by process"));
  EXPECT_EQ(StateOf("n1"), v1::NODE_STATE_ACTIVE);
}

TEST_F(Cluster, ASecondCoordinatorOnTheSameStoreEnds) {
  StartCoordinator();
  Daemon second({"coordinator", "--listen", "127.0.0.1:0", "--state-dir", Folder("coordinator")});
  EXPECT_EQ(second.WaitForExit(), 1);
  EXPECT_THAT(second.output(), HasSubstr("in use by process"));
  Client c = coordinator_client();
  v1::GetClusterResponse response;
  EXPECT_TRUE(
      Client::Do(c.cluster, &v1::Cluster::Stub::GetCluster, v1::GetClusterRequest(), &response)
          .ok());
}

TEST_F(Cluster, ANodesEndLeavesNoProgramBehind) {
  StartCluster(1);
  // A program that leaves its group and has a child of its own.
  StartSupervisor("programs", v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE,
                  {ExecChild("p", {"sh", "-c", "setsid sleep 600 & exec sleep 601"})});
  Client c = client("n1");
  const auto os_pid = static_cast<pid_t>(OsPid(c, "programs", "p"));
  ASSERT_GT(os_pid, 0);
  std::vector<ProcessHandle> all = DescendantsOf(os_pid);
  all.push_back({os_pid, OpenPidFd(os_pid)});
  node("n1").Signal(SIGKILL);
  for (const ProcessHandle& process : all) {
    EXPECT_TRUE(!process.fd.valid() || WaitForEnd(process.fd.get(), kPatience)) << process.pid;
  }
  EXPECT_TRUE(node("n1").WaitForExit().has_value());
}

TEST_F(Cluster, AMonitorTellsOfALostNode) {
  StartCluster(2);
  StartStores();
  std::string on_n2;
  for (const auto& [id, child] : Children("stores")) {
    if (child.node() == "n2") on_n2 = id;
  }
  ASSERT_FALSE(on_n2.empty());
  Client c = client("n1");
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::MonitorRequest request;
  *request.add_targets() = Named("store/" + on_n2);
  auto stream = c.actors->Monitor(&context, request);
  v1::MonitorResponse event;
  ASSERT_TRUE(stream->Read(&event));
  ASSERT_TRUE(event.has_established());
  node("n2").Signal(SIGKILL);
  ASSERT_TRUE(stream->Read(&event));
  EXPECT_EQ(event.down().reason().kind(), v1::ExitReason::KIND_NOCONNECTION);
  EXPECT_FALSE(stream->Read(&event));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(Cluster, LocalSupervisorsAreManagedFromAnywhere) {
  StartCluster(2);
  Client n1 = client("n1");
  v1::StartSupervisorRequest start;
  start.set_name("local");
  *start.mutable_spec()->add_children() = KvChild("x");
  start.mutable_spec()->mutable_placement()->set_node("n2");
  v1::StartSupervisorResponse started;
  Outcome outcome =
      Client::Do(n1.supervisors, &v1::Supervisors::Stub::StartSupervisor, start, &started);
  ASSERT_TRUE(outcome.ok()) << outcome;

  Client any = coordinator_client();
  v1::StartChildRequest add;
  v1::StartChildResponse added;
  *add.mutable_supervisor() = Named("local");
  *add.mutable_spec() = KvChild("y");
  outcome = Client::Do(any.supervisors, &v1::Supervisors::Stub::StartChild, add, &added);
  ASSERT_TRUE(outcome.ok()) << outcome;
  EXPECT_EQ(added.child().node(), "n2");
  v1::StartChildResponse again;
  outcome = Client::Do(any.supervisors, &v1::Supervisors::Stub::StartChild, add, &again);
  EXPECT_EQ(outcome.reason, "CHILD_ALREADY_STARTED") << outcome;

  v1::GetTreeRequest tree;
  v1::GetTreeResponse shown;
  *tree.mutable_supervisor() = Named("local");
  outcome = Client::Do(n1.supervisors, &v1::Supervisors::Stub::GetTree, tree, &shown);
  ASSERT_TRUE(outcome.ok()) << outcome;
  ASSERT_EQ(shown.root().children_size(), 2);
  EXPECT_EQ(shown.root().children(1).child().id(), "y");

  v1::StopSupervisorRequest stop;
  v1::StopSupervisorResponse stopped;
  *stop.mutable_supervisor() = Named("local");
  outcome = Client::Do(n1.supervisors, &v1::Supervisors::Stub::StopSupervisor, stop, &stopped);
  ASSERT_TRUE(outcome.ok()) << outcome;
  EXPECT_EQ(stopped.exit_reason().kind(), v1::ExitReason::KIND_SHUTDOWN);
}

TEST_F(Cluster, ActorsOfAllNodesAreListedInPages) {
  StartCluster(2);
  StartStores();
  for (const std::string& address : {coordinator().address(), node("n1").address()}) {
    Client c(address);
    std::set<std::string> seen;
    v1::ListActorsRequest request;
    request.set_page_size(2);
    request.set_filter("module = kv");
    for (int page = 0; page < 10; ++page) {
      v1::ListActorsResponse response;
      const Outcome outcome =
          Client::Do(c.actors, &v1::Actors::Stub::ListActors, request, &response);
      ASSERT_TRUE(outcome.ok()) << outcome;
      for (const v1::ActorInfo& actor : response.actors()) {
        EXPECT_TRUE(seen.insert(actor.pid().SerializeAsString()).second) << "twice";
        EXPECT_EQ(actor.module(), "kv");
      }
      request.set_page_token(response.next_page_token());
      if (response.next_page_token().empty()) break;
    }
    EXPECT_EQ(seen.size(), 3u) << address;
  }
}

TEST_F(Cluster, AnErrorSaysWhetherTheCallRan) {
  StartCluster(1);
  StartStores();
  Client c = client("n1");
  kv::Crash crash;
  kv::SizeReply reply;
  const Outcome crashed = c.Call(Named("store/a"), crash, &reply);
  EXPECT_EQ(crashed.reason, "CALLEE_EXITED") << crashed;
  EXPECT_EQ(crashed.metadata.at("outcome"), "unknown");
  const Outcome nobody = c.Call(Named("nobody"), kv::Size(), &reply);
  EXPECT_EQ(nobody.code, grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(nobody.reason, "NAME_NOT_REGISTERED");
  EXPECT_EQ(nobody.metadata.at("outcome"), "not_executed");
}

}  // namespace
}  // namespace banyan::test
