// Sessions of nodes that cannot reach each other: who gets one, what is passed on, and what becomes
// of it (cluster.md 3.1). The nodes' side is tests/sim/relay_test.cc.
#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

namespace pb = internal::v1;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// One node's stream.
class RelayEnd : public StreamHandler {
 public:
  void OnFrame(std::string bytes) override {
    pb::RelayResponse& r = got.emplace_back();
    EXPECT_TRUE(r.ParseFromString(bytes));
  }
  void OnClose(absl::Status status) override { closed = status; }
  void Send(std::string batch, uint64_t taken = 0) {
    pb::RelayRequest request;
    request.set_batch(std::move(batch));
    request.set_taken(taken);
    stream->Write(request.SerializeAsString());
  }
  std::vector<std::string> batches() const {
    std::vector<std::string> out;
    for (const pb::RelayResponse& r : got) out.push_back(r.batch());
    return out;
  }

  std::vector<pb::RelayResponse> got;
  std::optional<absl::Status> closed;
  std::unique_ptr<Stream> stream;
};

class Relays : public ClusterTest {
 protected:
  void Begin() {
    AddNode("n1");
    AddNode("n2");
  }
  std::unique_ptr<RelayEnd> Open(const FakeNode& from, uint32_t to, uint32_t to_incarnation,
                                 uint64_t relay_id = 0) {
    auto end = std::make_unique<RelayEnd>();
    end->stream =
        (&from == nodes_["n1"].get() ? t1_ : t2_).Dial("coord", StreamKind::kRelay, end.get());
    pb::RelayRequest first;
    first.set_from_node_id(from.node_id());
    first.set_from_incarnation(from.incarnation());
    first.set_to_node_id(to);
    first.set_to_incarnation(to_incarnation);
    first.set_relay_id(relay_id);
    end->stream->Write(first.SerializeAsString());
    return end;
  }
  std::unique_ptr<RelayEnd> AskRelay() {
    return Open(node("n1"), node("n2").node_id(), node("n2").incarnation());
  }
  std::unique_ptr<RelayEnd> AnswerRelay() {
    return Open(node("n2"), node("n1").node_id(), node("n1").incarnation(),
                node("n2").relay_offers().back().relay_id());
  }
  // Both ends of a session.
  void Join() {
    a_ = AskRelay();
    a_->Send("hello");
    Settle();
    ASSERT_THAT(node("n2").relay_offers(), SizeIs(1));
    b_ = AnswerRelay();
    Settle();
  }

  SimTransport t1_{&network_, "r1", &time_};
  SimTransport t2_{&network_, "r2", &time_};
  std::unique_ptr<RelayEnd> a_, b_;
};

TEST_F(Relays, JoinsTwoStreamsAndPassesOnWhatComes) {
  Begin();
  Join();
  EXPECT_EQ(node("n2").relay_offers()[0].from_node_id(), node("n1").node_id());
  EXPECT_EQ(node("n2").relay_offers()[0].from_incarnation(), node("n1").incarnation());
  EXPECT_THAT(b_->batches(), ElementsAre("hello"));
  b_->Send("ack");
  for (const char* batch : {"1", "2", "3"}) a_->Send(batch, 5);
  Settle();
  EXPECT_THAT(a_->batches(), ElementsAre("ack"));
  EXPECT_THAT(b_->batches(), ElementsAre("hello", "1", "2", "3"));
  EXPECT_EQ(b_->got.back().taken(), 5u);
  EXPECT_EQ(b_->got.back().from_node_id(), node("n1").node_id());
  // The end of one, after what it said, is the end of the other.
  a_->Send("bye");
  a_->stream->Close(absl::OkStatus());
  Settle();
  EXPECT_THAT(b_->batches(), ElementsAre("hello", "1", "2", "3", "bye"));
  ASSERT_TRUE(b_->closed.has_value());
  EXPECT_EQ(b_->closed->code(), absl::StatusCode::kUnavailable);
}

TEST_F(Relays, OneThatBreaksEndsTheOther) {
  Begin();
  Join();
  network_.Break("r2", "coord");
  Settle();
  EXPECT_TRUE(a_->closed.has_value());
}

TEST_F(Relays, OnlyBetweenLivesThatAreThere) {
  Begin();
  const uint32_t n2 = node("n2").node_id(), life = node("n2").incarnation();
  auto unknown = Open(node("n1"), 77, 1);
  auto former = Open(node("n1"), n2, life + 1);
  auto nobodys = Open(node("n2"), node("n1").node_id(), node("n1").incarnation(), 12345);
  Settle();
  for (const auto* end : {&unknown, &former, &nobodys}) {
    ASSERT_TRUE((*end)->closed.has_value());
    EXPECT_EQ((*end)->closed->code(), absl::StatusCode::kUnavailable) << *(*end)->closed;
  }
  EXPECT_THAT(node("n2").relay_offers(), IsEmpty());
  // An offer is for the node that it was made to.
  auto asked = AskRelay();
  Settle();
  AddNode("n3");
  auto thief = Open(node("n3"), node("n1").node_id(), node("n1").incarnation(),
                    node("n2").relay_offers().back().relay_id());
  Settle();
  EXPECT_TRUE(thief->closed.has_value());
  EXPECT_FALSE(asked->closed.has_value());
}

TEST_F(Relays, WhoCannotBeReachedFromHereEitherIsToldAtOnce) {
  Begin();
  node("n2").Mute();
  time_.RunFor(absl::Seconds(6));  // SUSPECT
  auto suspect = AskRelay();
  Settle();
  ASSERT_TRUE(suspect->closed.has_value());
  EXPECT_EQ(suspect->closed->code(), absl::StatusCode::kUnavailable);
}

TEST_F(Relays, TheDeathOfALifeEndsItsSessions) {
  Begin();
  Join();
  ASSERT_TRUE(Ask<v1::NodeInfo>([&](auto done) {
                coordinator_->ConfirmDead({"n2", "", ""}, node("n2").incarnation(), true, done);
              }).ok());
  Settle();
  EXPECT_TRUE(a_->closed.has_value());
  EXPECT_TRUE(b_->closed.has_value());
}

TEST_F(Relays, WhoAsksAnewHasGivenUpTheFormer) {
  Begin();
  Join();
  auto again = AskRelay();
  Settle();
  EXPECT_TRUE(a_->closed.has_value());
  EXPECT_TRUE(b_->closed.has_value());
  EXPECT_FALSE(again->closed.has_value());
  EXPECT_THAT(node("n2").relay_offers(), SizeIs(2));
}

TEST_F(Relays, AnOperatorIsToldOnceOfTwoNodesThatCannotReachEachOther) {
  Begin();
  auto watch = Ask<Coordinator::WatchId>([&](auto done) { coordinator_->WatchCluster({}, done); });
  ASSERT_TRUE(watch.ok());
  std::vector<std::string> alarms;
  std::function<void()> pull = [&] {
    coordinator_->NextClusterEvents(*watch, [&](absl::StatusOr<v1::WatchClusterResponse> r) {
      if (!r.ok()) return;
      for (const auto& e : r->events()) {
        if (e.kind() == v1::ClusterEvent::KIND_ALARM) alarms.push_back(e.message());
      }
      pull();
    });
  };
  pull();
  Join();
  a_ = AskRelay();
  Settle();
  b_ = AnswerRelay();
  Settle();
  coordinator_->CloseWatch(*watch);
  Settle();
  EXPECT_THAT(alarms, ElementsAre(::testing::HasSubstr("nodes n1 and n2 cannot reach each other")));
}

TEST_F(Relays, AsManyAsTheOptionSays) {
  options_.relays_max = 1;
  RestartCoordinator();
  Begin();
  AddNode("n3");
  Join();
  auto more = Open(node("n1"), node("n3").node_id(), node("n3").incarnation());
  Settle();
  ASSERT_TRUE(more->closed.has_value());
  EXPECT_EQ(more->closed->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(a_->closed.has_value());
  a_->stream->Close(absl::OkStatus());
  Settle();
  auto next = Open(node("n1"), node("n3").node_id(), node("n3").incarnation());
  Settle();
  EXPECT_FALSE(next->closed.has_value());
}

TEST_F(Relays, NodesThatKnowOfNoRelaysAreNotAsked) {
  options_.relays_max = 0;
  RestartCoordinator();
  Begin();
  EXPECT_EQ(node("n1").last_ack().protocol().features() & feature::kRelay, 0u);
  auto asked = AskRelay();
  time_.RunFor(absl::Seconds(2));
  EXPECT_TRUE(asked->closed.has_value());
  EXPECT_THAT(node("n2").relay_offers(), IsEmpty());
}

// A node that reads nothing costs what may be on its way, and then its session.
TEST_F(Relays, WhatIsNotReadIsBounded) {
  network_.CountQueued();
  Begin();
  Join();
  network_.BlockOneWay("coord", "r2");
  for (int i = 0; i < 20 && !a_->closed; ++i) {
    a_->Send(std::string(50'000, 'x'));
    Settle();
  }
  EXPECT_FALSE(a_->closed.has_value());
  for (int i = 0; i < 20 && !a_->closed; ++i) {
    a_->Send(std::string(50'000, 'x'));
    Settle();
  }
  ASSERT_TRUE(a_->closed.has_value());
  EXPECT_EQ(a_->closed->code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(Relays, WhatIsReadMayGoOnForEver) {
  network_.CountQueued();
  Begin();
  Join();
  for (int i = 0; i < 100; ++i) {
    a_->Send(std::string(50'000, 'x'));
    Settle();
  }
  EXPECT_FALSE(a_->closed.has_value());
  EXPECT_THAT(b_->got, SizeIs(101));
}

TEST_F(Relays, MoreThanAHelloBeforeItIsAnsweredIsTooMuch) {
  Begin();
  auto asked = AskRelay();
  asked->Send("hello");
  asked->Send("impatient");
  Settle();
  ASSERT_TRUE(asked->closed.has_value());
  EXPECT_EQ(asked->closed->code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(Relays, GarbageEndsTheStreamAndItsSession) {
  Begin();
  Join();
  b_->stream->Write("\xff\xff\xff\x01garbage");
  Settle();
  EXPECT_TRUE(a_->closed.has_value());
  EXPECT_TRUE(b_->closed.has_value());
}

}  // namespace
}  // namespace banyan::testing
