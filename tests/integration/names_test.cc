#include <csignal>
#include <map>

#include "tests/integration/cluster_fixture.h"

namespace banyan::test {
namespace {

namespace kv = ::banyan::modules::v1;

// WatchNames at one server, read on a thread of its own.
class NameReader {
 public:
  NameReader(const std::string& address, const std::string& prefix, uint64_t after = 0)
      : client_(address) {
    context_.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::WatchNamesRequest request;
    request.set_prefix(prefix);
    request.set_after_reg_version(after);
    stream_ = client_.registry->WatchNames(&context_, request);
  }
  ~NameReader() { context_.TryCancel(); }
  // Reads until `so` of the names that are registered by then.
  bool Until(const std::function<bool(const std::map<std::string, uint64_t>&)>& so) {
    v1::WatchNamesResponse message;
    while (!so(names)) {
      if (!stream_->Read(&message)) return false;
      ++messages;
      complete = complete || message.snapshot_complete();
      for (const auto& entry : message.registered()) {
        names[entry.name()] = entry.reg_version();
        version = std::max(version, entry.reg_version());
      }
      for (const auto& entry : message.released()) {
        if (names[entry.name()] == entry.reg_version()) names.erase(entry.name());
      }
    }
    return true;
  }
  std::map<std::string, uint64_t> names;
  uint64_t version = 0;
  int messages = 0;
  bool complete = false;

 private:
  Client client_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchNamesResponse>> stream_;
};

class WatchedNames : public ClusterTest {};

TEST_F(WatchedNames, ThroughEveryServerAndOverARestartOfTheCoordinator) {
  StartCluster(2);
  StartSupervisor("s", v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE, {KvChild("a", "store/a")});
  uint64_t version = 0;
  for (const std::string& address :
       {coordinator().address(), node("n1").address(), node("n2").address()}) {
    NameReader reader(address, "store/");
    EXPECT_TRUE(reader.Until([](const auto& names) { return names.contains("store/a"); }));
    version = reader.version;
  }
  RestartCoordinator();
  NameReader reader(coordinator().address(), "store/", version);
  // The child has been adopted: that is no news, and what begins now is.
  Client c = coordinator_client();
  v1::StartChildRequest request;
  v1::StartChildResponse response;
  *request.mutable_supervisor() = Named("s");
  *request.mutable_spec() = KvChild("b", "store/b");
  // Before all nodes have said which names they hold, nobody gets a new one.
  ASSERT_TRUE(AwaitNodes([&] {
    return StateOf("n1") == v1::NODE_STATE_ACTIVE && StateOf("n2") == v1::NODE_STATE_ACTIVE;
  }));
  const Outcome outcome =
      Client::Do(c.supervisors, &v1::Supervisors::Stub::StartChild, request, &response);
  ASSERT_TRUE(outcome.ok()) << outcome;
  ASSERT_TRUE(reader.Until([](const auto& names) { return names.contains("store/b"); }));
  EXPECT_FALSE(reader.names.contains("store/a"));
  EXPECT_GT(reader.names["store/b"], version);
}

TEST_F(WatchedNames, ARebalanceIsAskedForAtAnyServer) {
  StartCluster(2);
  for (const std::string& address : {coordinator().address(), node("n1").address()}) {
    Client c(address);
    v1::RebalanceRequest request;
    v1::RebalanceResponse response;
    request.set_validate_only(true);
    const Outcome outcome =
        Client::Do(c.cluster, &v1::Cluster::Stub::Rebalance, request, &response);
    EXPECT_TRUE(outcome.ok()) << outcome;
    EXPECT_EQ(response.moves_size(), 0);
  }
}

// SIGTERM: the node's available child is up elsewhere before it goes, so no call of it fails.
TEST_F(WatchedNames, AGracefulStopFailsNoCallOfAnAvailableChild) {
  StartCoordinator();
  StartNode("n1");
  ASSERT_TRUE(AwaitNodes([&] { return StateOf("n1") == v1::NODE_STATE_ACTIVE; }));
  v1::ChildSpec spec = KvChild("a", "store/a");
  spec.set_exclusivity(v1::EXCLUSIVITY_AVAILABLE);
  StartSupervisor("s", v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE, {spec});
  StartNode("n2");
  ASSERT_TRUE(AwaitNodes([&] { return StateOf("n2") == v1::NODE_STATE_ACTIVE; }));
  Client c = client("n2");
  node("n1").Signal(SIGTERM);
  int calls = 0;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (StateOf("n1") != v1::NODE_STATE_LEFT && std::chrono::steady_clock::now() < end) {
    kv::SizeReply reply;
    const Outcome outcome = c.Call(Named("store/a"), kv::Size(), &reply);
    EXPECT_TRUE(outcome.ok()) << outcome << " after " << calls;
    ++calls;
  }
  EXPECT_EQ(StateOf("n1"), v1::NODE_STATE_LEFT);
  EXPECT_EQ(Children("s")["a"].node(), "n2");
  EXPECT_EQ(Children("s")["a"].restarts(), 0u);
  EXPECT_EQ(node("n1").WaitForExit(), 0);
}

}  // namespace
}  // namespace banyan::test
