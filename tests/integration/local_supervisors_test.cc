#include "fmt/format.h"

#include "tests/integration/cluster_fixture.h"

namespace banyan::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace kv = ::banyan::modules::v1;

// On the second of two nodes: "local" with the stores "x" and, below the supervisor "a", "b". What
// is asked, is asked through the coordinator and through both nodes.
class LocalSupervisors : public ClusterTest {
 protected:
  void SetUp() override {
    StartCluster(2);
    v1::StartSupervisorRequest start;
    start.set_name("local");
    start.mutable_spec()->set_intensity(10);
    *start.mutable_spec()->add_children() = KvChild("x");
    start.mutable_spec()->mutable_children(0)->mutable_start()->set_name("box");
    v1::ChildSpec* nested = start.mutable_spec()->add_children();
    nested->set_id("a");
    nested->set_type(v1::CHILD_TYPE_SUPERVISOR);
    nested->mutable_supervisor()->set_intensity(10);
    *nested->mutable_supervisor()->add_children() = KvChild("b");
    start.mutable_spec()->mutable_placement()->set_node("n2");
    v1::StartSupervisorResponse started;
    Client c = client("n2");
    const Outcome outcome =
        Client::Do(c.supervisors, &v1::Supervisors::Stub::StartSupervisor, start, &started);
    ASSERT_TRUE(outcome.ok()) << outcome;
    supervisor_ = started.supervisor();
  }
  std::vector<std::string> servers() {
    return {coordinator().address(), node("n1").address(), node("n2").address()};
  }
  static v1::Target Place(std::vector<std::string> ids) {
    v1::Target target;
    target.mutable_child()->set_supervisor("local");
    for (std::string& id : ids) target.mutable_child()->add_child_ids(std::move(id));
    return target;
  }
  static std::map<std::string, v1::ChildInfo> ChildrenAt(Client& c, const v1::Target& supervisor) {
    v1::ListChildrenRequest request;
    v1::ListChildrenResponse response;
    *request.mutable_supervisor() = supervisor;
    const Outcome outcome =
        Client::Do(c.supervisors, &v1::Supervisors::Stub::ListChildren, request, &response);
    EXPECT_TRUE(outcome.ok()) << outcome;
    std::map<std::string, v1::ChildInfo> out;
    for (const v1::ChildInfo& child : response.children()) out[child.id()] = child;
    return out;
  }
  v1::SupervisorInfo supervisor_;
};

TEST_F(LocalSupervisors, AChildIsReachedByItsPlaceFromEverywhere) {
  int n = 0;
  for (const std::string& address : servers()) {
    Client c(address);
    for (const std::vector<std::string>& ids :
         {std::vector<std::string>{"x"}, std::vector<std::string>{"a", "b"}}) {
      const v1::Target place = Place(ids);
      kv::Put put;
      put.set_key("n");
      put.set_value(std::to_string(++n));
      kv::PutReply stored;
      const Outcome outcome = c.Call(place, put, &stored);
      EXPECT_TRUE(outcome.ok()) << address << ": " << outcome;
      kv::Get get;
      get.set_key("n");
      kv::GetReply reply;
      EXPECT_TRUE(c.Call(place, get, &reply).ok());
      EXPECT_EQ(reply.value(), put.value());
      v1::GetActorRequest request;
      v1::GetActorResponse actor;
      *request.mutable_target() = place;
      EXPECT_TRUE(Client::Do(c.actors, &v1::Actors::Stub::GetActor, request, &actor).ok());
      EXPECT_EQ(actor.actor().child_id(), ids.back());
      EXPECT_EQ(actor.actor().module(), "kv");
    }
    EXPECT_EQ(ChildrenAt(c, Place({"a"})).count("b"), 1u) << address;
    kv::SizeReply reply;
    const Outcome missing = c.Call(Place({"a", "nope"}), kv::Size(), &reply);
    EXPECT_EQ(missing.reason, "CHILD_NOT_FOUND") << address << ": " << missing;
    EXPECT_EQ(missing.metadata.at("supervisor"), "local/a");
    EXPECT_EQ(missing.metadata.at("childId"), "nope");
  }
}

// A child's name is one of its node: others say which node they mean.
TEST_F(LocalSupervisors, AChildsNameIsItsNodesAndReachedWithTheNodesName) {
  const auto on = [](const std::string& where) {
    v1::Target target;
    target.mutable_local_name()->set_node(where);
    target.mutable_local_name()->set_name("box");
    return target;
  };
  for (const std::string& address : servers()) {
    SCOPED_TRACE(address);
    Client c(address);
    kv::Put put;
    put.set_key("from");
    put.set_value(address);
    kv::PutReply stored;
    Outcome outcome = c.Call(on("n2"), put, &stored);
    EXPECT_TRUE(outcome.ok()) << outcome;
    kv::Get get;
    get.set_key("from");
    kv::GetReply reply;
    EXPECT_TRUE(c.Call(Place({"x"}), get, &reply).ok());
    EXPECT_EQ(reply.value(), address) << "the name leads to the child";
    v1::WhereisRequest request;
    v1::WhereisResponse found;
    *request.mutable_target() = on("n2");
    EXPECT_TRUE(Client::Do(c.actors, &v1::Actors::Stub::Whereis, request, &found).ok());
    EXPECT_EQ(found.pid().id(), ChildrenAt(c, Named("local"))["x"].pid().id());
    EXPECT_EQ(c.Call(on("n1"), get, &reply).reason, "NAME_NOT_REGISTERED");
    EXPECT_EQ(c.Call(on("n9"), get, &reply).reason, "NODE_NOT_FOUND");
    outcome = c.Call(Named("box"), get, &reply);
    if (address == node("n2").address()) {
      EXPECT_TRUE(outcome.ok()) << outcome;
    } else {
      EXPECT_EQ(outcome.reason, "NAME_NOT_REGISTERED") << outcome;
    }
  }
}

TEST_F(LocalSupervisors, TheirEventsAreWatchedFromEverywhere) {
  uint64_t restarts = 0;
  for (const std::string& address : servers()) {
    SCOPED_TRACE(address);
    Client c(address);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::WatchEventsRequest request;
    *request.mutable_supervisor() = Named("local");
    request.set_send_snapshot(true);
    auto stream = c.supervisors->WatchEvents(&context, request);
    v1::WatchEventsResponse message;
    ASSERT_TRUE(stream->Read(&message)) << OutcomeOf(stream->Finish());
    EXPECT_TRUE(message.snapshot_complete());
    ASSERT_EQ(message.events_size(), 3);
    EXPECT_THAT(message.events(2).path(), ElementsAre("local", "a", "b"));
    for (const v1::SupervisorEvent& event : message.events()) {
      EXPECT_EQ(event.kind(), v1::SupervisorEvent::KIND_CHILD_PRESENT);
      EXPECT_TRUE(event.has_time());
      EXPECT_TRUE(event.child().has_start_time());
    }
    kv::SizeReply reply;
    const Outcome crashed = c.Call(Place({"a", "b"}), kv::Crash(), &reply);
    EXPECT_EQ(crashed.reason, "CALLEE_EXITED") << crashed;
    const v1::Pid& before = message.events(2).child().pid();
    const std::string pid = fmt::format("{}:{}:", before.node_id(), before.incarnation());
    EXPECT_GT(before.node_id(), 0u);
    EXPECT_THAT(crashed.metadata.at("target"), ::testing::StartsWith(pid));
    EXPECT_THAT(crashed.message, HasSubstr(pid));
    std::vector<v1::SupervisorEvent> news;
    while (news.size() < 2 && stream->Read(&message)) {
      news.insert(news.end(), message.events().begin(), message.events().end());
    }
    ASSERT_EQ(news.size(), 2u);
    EXPECT_EQ(news[0].kind(), v1::SupervisorEvent::KIND_CHILD_EXITED);
    EXPECT_EQ(news[1].kind(), v1::SupervisorEvent::KIND_CHILD_RESTARTED);
    EXPECT_THAT(news[1].path(), ElementsAre("local", "a", "b"));
    EXPECT_EQ(news[1].child().restarts(), ++restarts);
    EXPECT_TRUE(news[1].child().has_start_time());
    EXPECT_EQ(news[1].previous_pid().id(), news[0].child().pid().id());
    context.TryCancel();
  }
}

TEST_F(LocalSupervisors, SayWhenTheyWereStartedAndHowAChildEnded) {
  EXPECT_TRUE(supervisor_.has_start_time());
  for (const std::string& address : servers()) {
    Client c(address);
    EXPECT_TRUE(ChildrenAt(c, Named("local"))["x"].has_start_time()) << address;
    v1::TerminateChildRequest request;
    v1::TerminateChildResponse response;
    *request.mutable_supervisor() = Named("local");
    request.set_child_id("x");
    Outcome outcome =
        Client::Do(c.supervisors, &v1::Supervisors::Stub::TerminateChild, request, &response);
    EXPECT_TRUE(outcome.ok()) << outcome;
    EXPECT_EQ(response.exit_reason().kind(), v1::ExitReason::KIND_SHUTDOWN) << address;
    outcome = Client::Do(c.supervisors, &v1::Supervisors::Stub::TerminateChild, request, &response);
    EXPECT_TRUE(outcome.ok()) << outcome;
    EXPECT_FALSE(response.has_exit_reason()) << "it was not running";
    v1::RestartChildRequest again;
    v1::RestartChildResponse restarted;
    *again.mutable_supervisor() = Named("local");
    again.set_child_id("x");
    outcome = Client::Do(c.supervisors, &v1::Supervisors::Stub::RestartChild, again, &restarted);
    EXPECT_TRUE(outcome.ok()) << outcome;
    EXPECT_TRUE(restarted.child().has_start_time());
  }
}

TEST_F(LocalSupervisors, AWatchOfAWorkerIsRefused) {
  for (const std::string& address : servers()) {
    Client c(address);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::WatchEventsRequest request;
    *request.mutable_supervisor() = Place({"x"});
    auto stream = c.supervisors->WatchEvents(&context, request);
    v1::WatchEventsResponse message;
    EXPECT_FALSE(stream->Read(&message));
    EXPECT_EQ(OutcomeOf(stream->Finish()).reason, "NOT_A_SUPERVISOR") << address;
  }
}

}  // namespace
}  // namespace banyan::test
