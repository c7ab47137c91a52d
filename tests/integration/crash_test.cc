// C++ code that crashes takes its node along. Whose code it was is known: by the watcher's word, or
// by what the dying process left in its state folder.
#include <csignal>
#include <cstdlib>

#include "google/protobuf/wrappers.pb.h"

#include "tests/integration/cluster_fixture.h"

namespace banyan::test {
namespace {

class Crash : public ClusterTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    // A sanitizer would turn the crash into an exit, and say so in the output.
    setenv("ASAN_OPTIONS", "handle_segv=0:handle_abort=0:handle_sigbus=0", 1);
    setenv("UBSAN_OPTIONS", "handle_segv=0:handle_abort=0:handle_sigbus=0", 1);
    node_program_ = TEST_NODE_PATH;
    StartCoordinator();
  }
  void TearDown() override {
    unsetenv("ASAN_OPTIONS");
    unsetenv("UBSAN_OPTIONS");
  }
  void StartChildrenOn(const std::string& name, std::vector<std::string> more = {}) {
    StartNode(name, std::move(more));
    ASSERT_TRUE(AwaitNodes([&] { return StateOf(name) == v1::NODE_STATE_ACTIVE; }));
    v1::ChildSpec bad = KvChild("bad", "bad");
    bad.mutable_start()->set_module("crasher");
    StartSupervisor("s", v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE, {bad, KvChild("good", "good")});
    for (const auto& [id, child] : Children("s")) ASSERT_EQ(child.node(), name) << id;
  }
  void TellToCrash(const std::string& how) {
    Client c = coordinator_client();
    google::protobuf::StringValue word;
    word.set_value(how);
    if (how == "blocking") {
      google::protobuf::StringValue reply;
      EXPECT_FALSE(c.Call(Named("bad"), word, &reply).ok());
      return;
    }
    v1::CastRequest request;
    v1::CastResponse response;
    *request.mutable_target() = Named("bad");
    request.mutable_payload()->mutable_value()->PackFrom(word);
    EXPECT_TRUE(Client::Do(c.actors, &v1::Actors::Stub::Cast, request, &response).ok());
  }
  void ExpectBadIsBlamed(uint64_t bad_fence) {
    ASSERT_TRUE(AwaitChildren([&] {
      auto children = Children("s");
      return children["bad"].state() == v1::CHILD_STATE_RUNNING &&
             children["bad"].fence() > bad_fence &&
             children["good"].state() == v1::CHILD_STATE_RUNNING;
    }));
    auto children = Children("s");
    EXPECT_EQ(children["bad"].last_exit_reason().type(), "crashed_its_node");
    EXPECT_EQ(children["good"].last_exit_reason().kind(), v1::ExitReason::KIND_NOCONNECTION);
    Client c = coordinator_client();
    v1::ListSupervisorsRequest request;
    v1::ListSupervisorsResponse response;
    ASSERT_TRUE(
        Client::Do(c.supervisors, &v1::Supervisors::Stub::ListSupervisors, request, &response)
            .ok());
    ASSERT_EQ(response.supervisors_size(), 1);
    EXPECT_EQ(response.supervisors(0).recent_restarts(), 1u) << "the one, and not the other";
  }
};

TEST_P(Crash, TheWatcherTellsWhoseItWas) {
  StartChildrenOn("n1");
  StartNode("n2");
  ASSERT_TRUE(AwaitNodes([&] { return StateOf("n2") == v1::NODE_STATE_ACTIVE; }));
  const uint64_t fence = Children("s")["bad"].fence();
  TellToCrash(GetParam());
  ExpectBadIsBlamed(fence);
  for (const auto& [id, child] : Children("s")) EXPECT_EQ(child.node(), "n2") << id;
}

INSTANTIATE_TEST_SUITE_P(All, Crash, ::testing::Values("segv", "abort", "stack", "blocking"),
                         [](const auto& info) { return std::string(info.param); });

TEST_F(Crash, WithoutAWatcherTheNodesNextLifeTells) {
  StartChildrenOn("n1", {"--no-watch"});
  const uint64_t fence = Children("s")["bad"].fence();
  TellToCrash("segv");
  ASSERT_TRUE(node("n1").WaitForExit().has_value());
  StartNode("n1", {"--no-watch"});
  ExpectBadIsBlamed(fence);
  // The next life's own end is not the old crash once more.
  const uint64_t next = Children("s")["bad"].fence();
  StartNode("n2");
  ASSERT_TRUE(AwaitNodes([&] { return StateOf("n2") == v1::NODE_STATE_ACTIVE; }));
  node("n1").Signal(SIGKILL);
  ASSERT_TRUE(node("n1").WaitForExit().has_value());
  StartNode("n1", {"--no-watch"});
  ASSERT_TRUE(AwaitChildren([&] {
    const v1::ChildInfo bad = Children("s")["bad"];
    return bad.state() == v1::CHILD_STATE_RUNNING && bad.fence() > next;
  }));
  EXPECT_EQ(Children("s")["bad"].last_exit_reason().kind(), v1::ExitReason::KIND_NOCONNECTION);
}

}  // namespace
}  // namespace banyan::test
