// A child that is moved leaves its state for its next life.
#include <csignal>
#include <thread>
#include <utility>
#include <vector>

#include "google/protobuf/wrappers.pb.h"

#include "tests/integration/cluster_fixture.h"

namespace banyan::test {
namespace {

class HandOff : public ClusterTest {
 protected:
  void SetUp() override {
    node_program_ = TEST_NODE_PATH;
    StartCoordinator();
    StartNode("n1");
    ASSERT_TRUE(AwaitNodes([&] { return StateOf("n1") == v1::NODE_STATE_ACTIVE; }));
    v1::ChildSpec spec = KvChild("count", "count");
    spec.mutable_start()->set_module("counter");
    spec.set_hand_off(true);
    StartSupervisor("s", v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE, {spec});
    StartNode("n2");
    ASSERT_TRUE(AwaitNodes([&] { return StateOf("n2") == v1::NODE_STATE_ACTIVE; }));
  }
  int64_t Call() {
    Client c = client("n2");
    google::protobuf::Int64Value reply;
    const Outcome outcome = c.Call(Named("count"), google::protobuf::Int64Value(), &reply);
    EXPECT_TRUE(outcome.ok()) << outcome;
    return reply.value();
  }
};

TEST_F(HandOff, ADrainTakesTheStateAlong) {
  EXPECT_EQ(Call(), 1);
  EXPECT_EQ(Call(), 2);
  Client c = coordinator_client();
  v1::DrainRequest request;
  v1::DrainResponse response;
  request.set_name("n1");
  ASSERT_TRUE(Client::Do(c.cluster, &v1::Cluster::Stub::Drain, request, &response).ok());
  ASSERT_TRUE(AwaitChildren([&] { return Children("s")["count"].node() == "n2"; }));
  EXPECT_EQ(Call(), 3);
  // Its own crash leaves nothing, and what was left before has been taken.
  v1::ExitRequest kill;
  v1::ExitResponse killed;
  *kill.mutable_target() = Named("count");
  kill.mutable_reason()->set_kind(v1::ExitReason::KIND_KILL);
  kill.set_wait(true);
  ASSERT_TRUE(Client::Do(c.actors, &v1::Actors::Stub::Exit, kill, &killed).ok());
  EXPECT_EQ(Call(), 1);
}

TEST_F(HandOff, SoDoesTheEndOfTheNode) {
  EXPECT_EQ(Call(), 1);
  node("n1").Signal(SIGTERM);
  EXPECT_EQ(node("n1").WaitForExit(), 0);
  EXPECT_EQ(Call(), 2);
  EXPECT_EQ(Children("s")["count"].node(), "n2");
}

TEST_F(HandOff, ACallThatItsHolderNeverLookedAtIsMadeToTheNext) {
  v1::ChildSpec spec = KvChild("waiter", "waiter");
  spec.mutable_start()->set_module("crasher");
  StartSupervisor("w", v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE, {spec});
  google::protobuf::StringValue wait;
  wait.set_value("wait");
  Client c = client("n2");
  Outcome outcomes[2];
  std::vector<std::thread> callers;
  for (Outcome& outcome : outcomes) {
    callers.emplace_back([&] {
      google::protobuf::StringValue reply;
      outcome = client("n2").Call(Named("waiter"), wait, &reply);
    });
  }
  // One of them is being handled, for ever, and the other one waits.
  v1::GetActorRequest who;
  v1::GetActorResponse actor;
  *who.mutable_target() = Named("waiter");
  bool asked = true;
  while (asked && actor.actor().mailbox_length() == 0)
    asked = Client::Do(c.actors, &v1::Actors::Stub::GetActor, who, &actor).ok();
  EXPECT_TRUE(asked);
  v1::ExitRequest kill;
  v1::ExitResponse killed;
  *kill.mutable_target() = Named("waiter");
  kill.mutable_reason()->set_kind(v1::ExitReason::KIND_KILL);
  EXPECT_TRUE(Client::Do(c.actors, &v1::Actors::Stub::Exit, kill, &killed).ok());
  for (std::thread& caller : callers) caller.join();
  if (!outcomes[0].ok()) std::swap(outcomes[0], outcomes[1]);
  EXPECT_TRUE(outcomes[0].ok()) << outcomes[0];
  EXPECT_EQ(outcomes[1].reason, "CALLEE_EXITED") << outcomes[1];
}

TEST_F(HandOff, AnErrorThatAServerPassesOnIsNoReasonToAskItAgain) {
  v1::ChildSpec spec = KvChild("asker", "asker");
  spec.mutable_start()->set_module("crasher");
  StartSupervisor("a", v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE, {spec});
  Client clients[] = {coordinator_client(), client("n1"), client("n2")};
  int calls = 0;
  for (Client& by : clients) {
    google::protobuf::StringValue word, reply;
    word.set_value("ask nobody");
    const Outcome outcome = by.Call(Named("asker"), word, &reply);
    EXPECT_EQ(outcome.reason, "NOPROC") << outcome;
    EXPECT_FALSE(outcome.metadata.contains("outcome")) << "it ran";
    word.set_value("asked");
    EXPECT_TRUE(by.Call(Named("asker"), word, &reply).ok());
    calls += 2;
    EXPECT_EQ(reply.value(), std::to_string(calls));
  }
}

}  // namespace
}  // namespace banyan::test
