// The service Sys, through the coordinator and through nodes.
#include "banyan/v1/sys.grpc.pb.h"
#include "tests/integration/cluster_fixture.h"

namespace banyan::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
namespace kv = ::banyan::modules::v1;

// The store "x" of the supervisor "local" on the second of two nodes.
class Sys : public ClusterTest {
 protected:
  void SetUp() override {
    StartCluster(2);
    v1::StartSupervisorRequest start;
    start.set_name("local");
    start.mutable_spec()->set_intensity(10);
    *start.mutable_spec()->add_children() = KvChild("x");
    start.mutable_spec()->mutable_placement()->set_node("n2");
    v1::StartSupervisorResponse started;
    Client c = client("n2");
    const Outcome outcome =
        Client::Do(c.supervisors, &v1::Supervisors::Stub::StartSupervisor, start, &started);
    ASSERT_TRUE(outcome.ok()) << outcome;
  }
  std::vector<std::string> servers() {
    return {coordinator().address(), node("n1").address(), node("n2").address()};
  }
  static Outcome Put(Client& c, std::string value) {
    kv::Put put;
    put.set_key("k");
    put.set_value(std::move(value));
    kv::PutReply reply;
    return c.Call(ChildAt("local", "x"), put, &reply);
  }
  template <typename Request, typename Response>
  static Outcome Do(const std::string& address,
                    grpc::Status (v1::Sys::Stub::*method)(grpc::ClientContext*, const Request&,
                                                          Response*),
                    Request request, Response* response) {
    Client c(address);
    std::unique_ptr<v1::Sys::Stub> stub = v1::Sys::NewStub(c.channel);
    *request.mutable_target() = ChildAt("local", "x");
    return Client::Do(stub, method, request, response);
  }
};

TEST_F(Sys, ShowsAndSteersAProcessFromEverywhere) {
  for (const std::string& address : servers()) {
    Client c(address);
    SCOPED_TRACE(address);
    v1::SetDebugRequest debug;
    debug.set_log_events(4);
    debug.set_statistics(true);
    v1::SetDebugResponse set;
    Outcome outcome = Do(address, &v1::Sys::Stub::SetDebug, debug, &set);
    ASSERT_TRUE(outcome.ok()) << outcome;
    EXPECT_TRUE(Put(c, "1").ok());

    v1::GetStatusResponse status;
    outcome = Do(address, &v1::Sys::Stub::GetStatus, v1::GetStatusRequest(), &status);
    ASSERT_TRUE(outcome.ok()) << outcome;
    EXPECT_EQ(status.engine(), "generic server");
    EXPECT_EQ(status.actor().module(), "kv");
    EXPECT_THAT(status.debug(), ElementsAre("log 4", "statistics"));
    ASSERT_EQ(status.log_size(), 2);
    EXPECT_EQ(status.log(0).kind(), "in");
    EXPECT_EQ(status.log(0).message_type(), "banyan.modules.v1.Put");
    EXPECT_EQ(status.log(1).kind(), "out");
    EXPECT_FALSE(status.ancestors().empty());

    v1::GetStatisticsResponse statistics;
    outcome = Do(address, &v1::Sys::Stub::GetStatistics, v1::GetStatisticsRequest(), &statistics);
    ASSERT_TRUE(outcome.ok()) << outcome;
    EXPECT_TRUE(statistics.on());
    EXPECT_EQ(statistics.messages_in(), 1u);
    EXPECT_EQ(statistics.messages_out(), 1u);

    debug.set_log_events(0);
    debug.set_statistics(false);
    EXPECT_TRUE(Do(address, &v1::Sys::Stub::SetDebug, debug, &set).ok());
    status.Clear();
    EXPECT_TRUE(Do(address, &v1::Sys::Stub::GetStatus, v1::GetStatusRequest(), &status).ok());
    EXPECT_THAT(status.debug(), IsEmpty());
    EXPECT_THAT(status.log(), IsEmpty());
  }
}

TEST_F(Sys, StateIsReadAndReplaced) {
  Client c(coordinator().address());
  ASSERT_TRUE(Put(c, "old").ok());
  v1::GetStateResponse state;
  Outcome outcome =
      Do(coordinator().address(), &v1::Sys::Stub::GetState, v1::GetStateRequest(), &state);
  ASSERT_TRUE(outcome.ok()) << outcome;
  ASSERT_TRUE(Put(c, "new").ok());
  v1::ReplaceStateRequest replace;
  *replace.mutable_state() = state.state();
  v1::ReplaceStateResponse replaced;
  outcome = Do(node("n1").address(), &v1::Sys::Stub::ReplaceState, replace, &replaced);
  ASSERT_TRUE(outcome.ok()) << outcome;
  kv::Get get;
  get.set_key("k");
  kv::GetReply reply;
  EXPECT_TRUE(c.Call(ChildAt("local", "x"), get, &reply).ok());
  EXPECT_EQ(reply.value(), "old");
}

TEST_F(Sys, SuspendedChangedResumedEnded) {
  const std::string at = coordinator().address();
  Client c(at);
  v1::ChangeCodeResponse changed;
  Outcome outcome = Do(at, &v1::Sys::Stub::ChangeCode, v1::ChangeCodeRequest(), &changed);
  EXPECT_EQ(outcome.reason, "NOT_SUSPENDED");
  v1::SuspendResponse suspended;
  ASSERT_TRUE(Do(at, &v1::Sys::Stub::Suspend, v1::SuspendRequest(), &suspended).ok());
  EXPECT_TRUE(suspended.has_pid());
  v1::GetStatusResponse status;
  ASSERT_TRUE(Do(at, &v1::Sys::Stub::GetStatus, v1::GetStatusRequest(), &status).ok());
  EXPECT_EQ(status.actor().state(), v1::ACTOR_STATE_SUSPENDED);
  v1::CastRequest cast;
  *cast.mutable_target() = ChildAt("local", "x");
  cast.set_ack(v1::ACK_ENQUEUED);
  v1::CastResponse accepted;
  ASSERT_TRUE(Client::Do(c.actors, &v1::Actors::Stub::Cast, cast, &accepted).ok());
  v1::ResumeResponse resumed;
  ASSERT_TRUE(Do(at, &v1::Sys::Stub::Resume, v1::ResumeRequest(), &resumed).ok());
  EXPECT_EQ(resumed.mailbox_length(), 1u);

  v1::SuspendRequest for_a_while;
  for_a_while.mutable_max_duration()->set_nanos(50'000'000);
  ASSERT_TRUE(Do(at, &v1::Sys::Stub::Suspend, for_a_while, &suspended).ok());
  EXPECT_TRUE(Put(c, "after").ok()) << "resumed by itself";

  v1::TerminateRequest terminate;
  terminate.mutable_reason()->set_kind(v1::ExitReason::KIND_SHUTDOWN);
  v1::TerminateResponse terminated;
  ASSERT_TRUE(Do(at, &v1::Sys::Stub::Terminate, terminate, &terminated).ok());
  EXPECT_TRUE(Put(c, "restarted").ok());
  v1::SuspendResponse after;
  ASSERT_TRUE(Do(at, &v1::Sys::Stub::Suspend, v1::SuspendRequest(), &after).ok());
  EXPECT_NE(after.pid().SerializeAsString(), suspended.pid().SerializeAsString());
}

}  // namespace
}  // namespace banyan::test
