// Actors.Spawn: links to a process that is there, wherever it is, and requests that come twice.
#include "tests/integration/cluster_fixture.h"

namespace banyan::test {
namespace {

using ::testing::ElementsAre;

class Spawn : public ClusterTest {
 protected:
  void SetUp() override { StartCluster(2); }
  std::vector<std::string> servers() {
    return {coordinator().address(), node("n1").address(), node("n2").address()};
  }
  static v1::SpawnRequest Kv(const std::string& node) {
    v1::SpawnRequest request;
    request.mutable_start()->set_module("kv");
    request.mutable_placement()->set_node(node);
    return request;
  }
  static Outcome Do(Client& c, const v1::SpawnRequest& request, v1::Pid* pid) {
    v1::SpawnResponse response;
    const Outcome outcome = Client::Do(c.actors, &v1::Actors::Stub::Spawn, request, &response);
    *pid = response.pid();
    return outcome;
  }
  static v1::Pid Start(Client& c, const v1::SpawnRequest& request) {
    v1::Pid pid;
    const Outcome outcome = Do(c, request, &pid);
    EXPECT_TRUE(outcome.ok()) << outcome;
    return pid;
  }
  static v1::Target Of(const v1::Pid& pid) {
    v1::Target target;
    *target.mutable_pid() = pid;
    return target;
  }
  static std::vector<std::string> LinksOf(Client& c, const v1::Pid& pid) {
    v1::GetActorRequest request;
    v1::GetActorResponse response;
    *request.mutable_target() = Of(pid);
    EXPECT_TRUE(Client::Do(c.actors, &v1::Actors::Stub::GetActor, request, &response).ok());
    std::vector<std::string> out;
    for (const v1::Pid& link : response.actor().links()) out.push_back(link.SerializeAsString());
    return out;
  }
  // Ends one, and returns why the other has ended.
  static v1::ExitReason EndOfOther(Client& c, const v1::Pid& ended, const v1::Pid& other) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::MonitorRequest monitor;
    *monitor.add_targets() = Of(other);
    auto stream = c.actors->Monitor(&context, monitor);
    v1::MonitorResponse event;
    EXPECT_TRUE(stream->Read(&event) && event.has_established());
    v1::ExitRequest exit;
    v1::ExitResponse exited;
    *exit.mutable_target() = Of(ended);
    exit.mutable_reason()->set_kind(v1::ExitReason::KIND_ERROR);
    exit.mutable_reason()->set_type("boom");
    EXPECT_TRUE(Client::Do(c.actors, &v1::Actors::Stub::Exit, exit, &exited).ok());
    EXPECT_TRUE(stream->Read(&event) && event.has_down());
    return event.down().reason();
  }
  size_t Processes(Client& c) {
    v1::ListActorsRequest request;
    v1::ListActorsResponse response;
    request.set_page_size(1000);
    request.set_filter("module = \"kv\"");
    EXPECT_TRUE(Client::Do(c.actors, &v1::Actors::Stub::ListActors, request, &response).ok());
    return static_cast<size_t>(response.actors_size());
  }
};

TEST_F(Spawn, ALinkEndsTheOtherWhicheverEndsAndWhereverTheyAre) {
  for (const std::string& address : servers()) {
    Client c(address);
    for (const char* there : {"n1", "n2"}) {
      for (const bool parent_ends : {true, false}) {
        SCOPED_TRACE(address + " " + there + (parent_ends ? " parent" : " child"));
        const v1::Pid parent = Start(c, Kv("n1"));
        v1::SpawnRequest request = Kv(there);
        *request.mutable_link_to() = parent;
        const v1::Pid child = Start(c, request);
        EXPECT_THAT(LinksOf(c, child), ElementsAre(parent.SerializeAsString()));
        const v1::ExitReason why =
            EndOfOther(c, parent_ends ? parent : child, parent_ends ? child : parent);
        // The monitor may come too late to hear of it.
        if (why.kind() != v1::ExitReason::KIND_NOPROC) {
          EXPECT_EQ(why.type(), "boom");
        }
      }
    }
  }
}

TEST_F(Spawn, AProcessThatIsNotThereCannotBeLinkedAndNothingIsStarted) {
  Client n1 = client("n1");
  const v1::Pid dead_here = Start(n1, Kv("n1"));
  const v1::Pid dead_there = Start(n1, Kv("n2"));
  for (const v1::Pid& pid : {dead_here, dead_there}) {
    v1::ExitRequest exit;
    v1::ExitResponse exited;
    *exit.mutable_target() = Of(pid);
    exit.set_wait(true);
    ASSERT_TRUE(Client::Do(n1.actors, &v1::Actors::Stub::Exit, exit, &exited).ok());
  }
  v1::Pid former = dead_here, no_node = dead_here, nothing, only_node;
  former.set_incarnation(former.incarnation() + 1);
  no_node.set_node_id(77);
  only_node.set_node_id(dead_here.node_id());
  only_node.set_incarnation(dead_here.incarnation());
  const std::vector<std::pair<v1::Pid, std::string>> cases = {
      {dead_here, "NOPROC"},       {dead_there, "NOPROC"},       {former, "NOPROC"},
      {no_node, "NODE_NOT_FOUND"}, {nothing, "REQUEST_INVALID"}, {only_node, "REQUEST_INVALID"}};
  for (const std::string& address : servers()) {
    Client c(address);
    for (const auto& [pid, reason] : cases) {
      SCOPED_TRACE(address + " " + pid.ShortDebugString());
      v1::SpawnRequest request = Kv("n1");
      request.set_request_id("once");
      *request.mutable_link_to() = pid;
      v1::Pid started;
      const Outcome outcome = Do(c, request, &started);
      EXPECT_EQ(outcome.reason, reason) << outcome;
      if (reason == "REQUEST_INVALID") {
        EXPECT_THAT(outcome.fields, ElementsAre("link_to.id"));
      } else {
        EXPECT_EQ(outcome.metadata.at("field"), "link_to");
        EXPECT_EQ(outcome.metadata.at("outcome"), "not_executed");
      }
    }
    EXPECT_EQ(Processes(c), 0u);
  }
}

TEST_F(Spawn, ALinkToANodeThatCannotBeReachedIsAnError) {
  Client c = client("n1");
  const v1::Pid parent = Start(c, Kv("n2"));
  node("n2").Signal(SIGKILL);
  v1::SpawnRequest request = Kv("n1");
  *request.mutable_link_to() = parent;
  v1::Pid started;
  const Outcome outcome = Do(c, request, &started);
  EXPECT_THAT(outcome.reason, ::testing::AnyOf("NOT_DELIVERED", "NOCONNECTION", "NOPROC"))
      << outcome;
  EXPECT_EQ(Processes(c), 0u);
}

TEST_F(Spawn, ARequestThatComesTwiceStartsOneProcess) {
  Client first = coordinator_client();
  v1::SpawnRequest request;
  request.mutable_start()->set_module("kv");
  request.set_request_id("a");
  const v1::Pid parent = Start(first, Kv("n1"));
  *request.mutable_link_to() = parent;
  const v1::Pid pid = Start(first, request);
  EXPECT_EQ(Start(first, request).SerializeAsString(), pid.SerializeAsString());
  // Also when the process that it was linked to is gone, and it with that.
  EndOfOther(first, parent, pid);
  EXPECT_EQ(Start(first, request).SerializeAsString(), pid.SerializeAsString());
  EXPECT_EQ(Processes(first), 0u);

  v1::SpawnRequest other = request;
  other.clear_link_to();
  v1::Pid none;
  EXPECT_EQ(Do(first, other, &none).reason, "REQUEST_ID_REUSED");
}

// Where the first one went it is known whether it ran, so the second goes there too.
TEST_F(Spawn, ARepeatedRequestGoesToTheNodeOfTheFirst) {
  Client c = coordinator_client();
  v1::SpawnRequest request;
  request.mutable_start()->set_module("kv");
  request.set_request_id("b");
  const v1::Pid pid = Start(c, request);
  v1::CordonRequest cordon;
  v1::CordonResponse cordoned;
  v1::GetActorRequest get;
  v1::GetActorResponse actor;
  *get.mutable_target() = Of(pid);
  ASSERT_TRUE(Client::Do(c.actors, &v1::Actors::Stub::GetActor, get, &actor).ok());
  cordon.set_name(actor.actor().node());
  ASSERT_TRUE(Client::Do(c.cluster, &v1::Cluster::Stub::Cordon, cordon, &cordoned).ok());
  EXPECT_EQ(Start(c, request).SerializeAsString(), pid.SerializeAsString());
  EXPECT_EQ(Processes(c), 1u);
  request.set_request_id("c");
  EXPECT_NE(Start(c, request).node_id(), pid.node_id());
}

}  // namespace
}  // namespace banyan::test
