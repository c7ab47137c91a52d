#include "gmock/gmock.h"

#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A coordinator of the next release, on a store of this one.
class Upgrades : public ClusterTest {
 protected:
  static constexpr uint32_t kOld = kFeatureLevel, kNew = kFeatureLevel + 1;

  void RestartWith(uint32_t level) {
    CrashCoordinator();
    options_.feature_level = level;
    StartCoordinator();
    time_.RunFor(absl::Seconds(3));
  }
  FakeNode& AddNodeOf(const std::string& name, uint32_t level) {
    auto& node = nodes_[name];
    node = std::make_unique<FakeNode>(&network_, &time_, name, trace_);
    node->level = level;
    node->Connect();
    Settle();
    return *node;
  }
  absl::StatusOr<v1::FinalizeUpgradeResponse> Finalize(uint32_t level) {
    return Ask<v1::FinalizeUpgradeResponse>(
        [&](auto done) { coordinator_->FinalizeUpgrade(level, "", done); });
  }
};

TEST_F(Upgrades, NodesOfBothReleasesAreMembersUntilItIsFinalized) {
  RestartWith(kNew);
  FakeNode& old_node = AddNodeOf("n1", kOld);
  AddNodeOf("n2", kNew);
  EXPECT_TRUE(old_node.joined());
  EXPECT_EQ(old_node.last_ack().protocol().minor(), kOld);
  EXPECT_EQ(Cluster().level(), kOld);
  EXPECT_EQ(Cluster().possible_level(), kOld) << "n1 has only that";
  const absl::Status refused = Finalize(kNew).status();
  EXPECT_EQ(ErrorReason(refused), "FEATURE_LEVEL");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("lowest of them"));
}

TEST_F(Upgrades, F34AfterItIsFinalizedOlderReleasesAreRefused) {
  RestartWith(kNew);
  AddNodeOf("n2", kNew);
  ASSERT_EQ(Cluster().possible_level(), kNew);
  auto done = Finalize(kNew);
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->level(), kNew);
  EXPECT_TRUE(Finalize(kNew).ok()) << "again";
  EXPECT_EQ(ErrorReason(Finalize(kOld).status()), "FEATURE_LEVEL") << "never back";
  time_.RunFor(absl::Seconds(3));
  EXPECT_EQ(node("n2").last_ack().protocol().minor(), kNew) << "sessions were opened anew";
  FakeNode& old_node = AddNodeOf("n1", kOld);
  EXPECT_FALSE(old_node.joined());
  EXPECT_EQ(ErrorReason(old_node.last_close()), "FEATURE_LEVEL");
  EXPECT_THAT(std::string(old_node.last_close().message()), HasSubstr("install a newer release"));
  // It is durable, so the older release cannot run this store either.
  CrashCoordinator();
  options_.feature_level = kOld;
  transport_ = std::make_unique<SimTransport>(&network_, "coord", &time_);
  store_ = std::make_unique<MemoryStore>(disk_, MemoryStore::Deps{&time_, &time_, &time_});
  Coordinator::Deps deps{&time_, &time_, &time_, &random_, transport_.get(), store_.get()};
  coordinator_ = std::make_unique<Coordinator>(deps, options_);
  absl::Status ready;
  coordinator_->Start([&](absl::Status status) { ready = status; });
  time_.RunUntilIdle();
  EXPECT_EQ(ready.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(ready.message()), HasSubstr("run the newer release"));
}

TEST_F(Upgrades, TheOlderReleaseCanComeBackUntilThen) {
  RestartWith(kNew);
  AddNodeOf("n1", kOld);
  RestartWith(kOld);
  EXPECT_TRUE(node("n1").joined());
}

TEST_F(Upgrades, SessionsUseWhatBothSidesHave) {
  FakeNode& node = AddNodeOf("n1", kOld);
  EXPECT_EQ(node.last_ack().protocol().features(), FeaturesOfLevel(kOld));
}

TEST_F(Upgrades, AFrameOfALaterProtocolIsSkippedUnlessItMustBeUnderstood) {
  class Nothing : public StreamHandler {
   public:
    void OnFrame(std::string) override {}
    void OnClose(absl::Status s) override { status = s; }
    absl::Status status;
  };
  for (bool must : {false, true}) {
    Nothing handler;
    SimTransport later(&network_, must ? "later1" : "later2", &time_);
    auto stream = later.Dial("coord", StreamKind::kControl, &handler);
    internal::v1::ControlRequest hello;
    hello.mutable_hello()->set_name(must ? "x1" : "x2");
    hello.mutable_hello()->set_process_id("p");
    hello.mutable_hello()->mutable_protocol()->set_major(1);
    hello.mutable_hello()->mutable_protocol()->set_minor(kOld);
    stream->Write(hello.SerializeAsString());
    internal::v1::ControlRequest unknown;
    unknown.set_must_understand(must);
    stream->Write(unknown.SerializeAsString() + "\xfa\x3e\x01x");  // field 1007
    Settle();
    EXPECT_EQ(ErrorReason(handler.status), must ? "PROTOCOL_VIOLATION" : "");
  }
}

class NodeUpdates : public ClusterTest {
 protected:
  absl::StatusOr<v1::NodeInfo> Update(const v1::NodeInfo& node, std::vector<std::string> mask) {
    return Ask<v1::NodeInfo>(
        [&](auto done) { coordinator_->UpdateNode(node, std::move(mask), "", done); });
  }
  static std::map<std::string, std::string> LabelsOf(const v1::NodeInfo& node) {
    return {node.labels().begin(), node.labels().end()};
  }
};

TEST_F(NodeUpdates, WhatOperatorsGiveGoesBeforeWhatTheNodeSays) {
  auto& n1 = nodes_["n1"];
  n1 = std::make_unique<FakeNode>(&network_, &time_, "n1", trace_);
  n1->labels = {{"zone", "a"}, {"disk", "ssd"}};
  n1->capacity = {{"weight", 1}};
  n1->Connect();
  Settle();
  v1::NodeInfo change;
  change.set_name("n1");
  (*change.mutable_labels())["zone"] = "b";
  (*change.mutable_labels())["rack"] = "7";
  (*change.mutable_capacity())["weight"] = 2;
  auto done = Update(change, {"labels.zone", "labels.rack", "labels.disk", "capacity.weight"});
  ASSERT_TRUE(done.ok()) << done.status();
  using Labels = std::map<std::string, std::string>;
  EXPECT_EQ(LabelsOf(*done), (Labels{{"rack", "7"}, {"zone", "b"}}));
  EXPECT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}).ok()) << "there is room for two";
  // Over reconnects and restarts.
  RestartCoordinator();
  time_.RunFor(absl::Seconds(3));
  EXPECT_EQ(LabelsOf(NodeInfo("n1")), (Labels{{"rack", "7"}, {"zone", "b"}}));
  EXPECT_EQ(n1->last_ack().labels().at("zone"), "b");
  // And over the node's own.
  n1.reset();
  n1 = std::make_unique<FakeNode>(
      &network_, &time_, "n1", trace_,
      FakeNode::Identity{.process_id = "p2", .machine_id = "machine-n1"});
  n1->labels = {{"zone", "a"}, {"disk", "ssd"}};
  n1->capacity = {{"weight", 1}};
  n1->Connect();
  Settle();
  ASSERT_EQ(n1->incarnation(), 2u);
  EXPECT_EQ(LabelsOf(NodeInfo("n1")), (Labels{{"rack", "7"}, {"zone", "b"}}));
  EXPECT_EQ(NodeInfo("n1").capacity().at("weight"), 2);
  // All at once: what is not given is gone; a key without a value is as the node says.
  v1::NodeInfo all;
  all.set_name("n1");
  (*all.mutable_labels())["zone"] = "a";
  auto replaced = Update(all, {"labels", "capacity.weight"});
  ASSERT_TRUE(replaced.ok());
  EXPECT_EQ(LabelsOf(*replaced), (Labels{{"zone", "a"}}));
  EXPECT_EQ(replaced->capacity().at("weight"), 1);
}

TEST_F(NodeUpdates, RefusesWhatIsStaleUnknownOrNotChangeable) {
  AddNode("n1");
  const v1::NodeInfo before = NodeInfo("n1");
  v1::NodeInfo change = before;
  (*change.mutable_labels())["a"] = "1";
  ASSERT_TRUE(Update(change, {"labels.a"}).ok());
  EXPECT_EQ(ErrorReason(Update(change, {"labels.a"}).status()), "ETAG_MISMATCH");
  change.clear_etag();
  EXPECT_EQ(ErrorReason(Update(change, {"address"}).status()), "REQUEST_INVALID");
  change.set_name("n7");
  EXPECT_EQ(ErrorReason(Update(change, {"labels"}).status()), "NODE_NOT_FOUND");
}

}  // namespace
}  // namespace banyan::testing
