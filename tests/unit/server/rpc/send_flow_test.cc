#include "server/rpc/send_flow.h"

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/base/error.h"
#include "common/time/virtual_time.h"

namespace banyan::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// "accepted", or "accepted: seq REASON, ..." with failures.
std::string Text(const v1::SendStreamResponse& response) {
  std::string out = fmt::format("{}", response.accepted_seq());
  for (int i = 0; i < response.failures_size(); ++i) {
    out += fmt::format("{} {} {}", i == 0 ? ":" : ",", response.failures(i).seq(),
                       response.failures(i).reason());
  }
  return out;
}

// Notes what is started on the call; its reactions are played by the test.
class FakeWire : public SendFlow::Wire {
 public:
  void StartReading() override {
    EXPECT_FALSE(reading) << "one read at a time";
    reading = true;
  }
  void StartWriting(const v1::SendStreamResponse& response) override {
    EXPECT_FALSE(writing) << "one write at a time";
    writing = true;
    answers.push_back(Text(response));
  }
  void End(const absl::Status& status) override {
    EXPECT_FALSE(writing);
    EXPECT_FALSE(end) << "ended twice";
    end = status;
  }
  std::vector<std::string> Take() { return std::exchange(answers, {}); }
  bool reading = false;
  bool writing = false;
  std::vector<std::string> answers;
  std::optional<absl::Status> end;
};

class FakeLeg : public SendFlow::Leg {
 public:
  explicit FakeLeg(SendFlow::Settle s) : settle(std::move(s)) {}
  bool Send(uint64_t seq, v1::SendStreamRequest* message) override {
    if (over) return false;
    sent.push_back(seq);
    messages.push_back(std::move(*message));
    return true;
  }
  void Close() override { closed = true; }
  void Cut() override { cut = true; }
  SendFlow::Settle settle;
  std::vector<uint64_t> sent;
  std::vector<v1::SendStreamRequest> messages;
  bool over = false, closed = false, cut = false;
};

// "here/..." is a process of this server and found at once, "there/ADDRESS/..." one of another, any
// other name is looked up.
struct World {
  VirtualTime time;
  std::vector<std::string> put;               // payload types, in order
  std::map<std::string, std::string> broken;  // target name -> reason of Put
  std::deque<std::function<void(absl::StatusOr<SendFlow::Place>)>> lookups;  // they stay in place
  std::vector<std::string> looked_up;
  std::vector<Instant> deadlines;
  std::vector<std::shared_ptr<FakeLeg>> legs;
  std::vector<std::string> lost;
  absl::Status no_leg;
  bool stopping = false;

  static SendFlow::Place Here() {
    SendFlow::Place place;
    place.pid = Pid::Local(7, 1);
    return place;
  }
  static SendFlow::Place There(const std::string& address) {
    SendFlow::Place place;
    place.address = address;
    place.target.set_name("resolved");
    return place;
  }
};

class FakeRouter : public SendFlow::Router {
 public:
  explicit FakeRouter(World* world) : world_(world) {}
  const Clock& clock() const override { return world_->time; }
  bool stopping() const override { return world_->stopping; }
  void Find(const v1::Target& target, Instant deadline,
            std::function<void(absl::StatusOr<SendFlow::Place>)> done) override {
    const std::string& name = target.name();
    if (world_->stopping) return done(MakeError("NODE_STOPPING", "stopping"));
    if (name.starts_with("here/")) return done(World::Here());
    if (name.starts_with("there/")) return done(World::There(name.substr(6, 1)));
    if (name == "nobody") return done(MakeError("NAME_NOT_REGISTERED", "nobody"));
    world_->looked_up.push_back(name.empty() ? target.group().group() : name);
    world_->deadlines.push_back(deadline);
    world_->lookups.push_back(std::move(done));
  }
  absl::Status Put(Pid, Payload payload, bool cast) override {
    const std::string what(payload.type_name());
    if (auto it = world_->broken.find(what); it != world_->broken.end())
      return MakeError(it->second, "no");
    world_->put.push_back(what + (cast ? " cast" : ""));
    return absl::OkStatus();
  }
  absl::StatusOr<std::shared_ptr<SendFlow::Leg>> Open(const std::string&,
                                                      SendFlow::Settle settle) override {
    if (!world_->no_leg.ok()) return world_->no_leg;
    world_->legs.push_back(std::make_shared<FakeLeg>(std::move(settle)));
    return std::shared_ptr<SendFlow::Leg>(world_->legs.back());
  }
  void Lost(const std::string& name) override { world_->lost.push_back(name); }

 private:
  World* const world_;
};

class SendFlowTest : public ::testing::Test {
 protected:
  void SetUp() override {
    flow = std::make_shared<SendFlow>(&wire);
    flow->Start(std::make_unique<FakeRouter>(&world));
    EXPECT_TRUE(wire.reading) << "it reads at once";
  }
  void TearDown() override {
    flow->OnOver();
    // Those that ask hold the flow.
    world.lookups.clear();
    for (const auto& leg : world.legs) leg->settle = nullptr;
  }

  static v1::SendStreamRequest Message(uint64_t seq, const std::string& name,
                                       const std::string& what = "m") {
    v1::SendStreamRequest message;
    message.set_seq(seq);
    message.mutable_target()->set_name(name);
    message.mutable_payload()->mutable_value()->set_type_url("t/" + what);
    return message;
  }
  void Read(std::optional<v1::SendStreamRequest> message) {
    ASSERT_TRUE(wire.reading) << "the server does not read now";
    wire.reading = false;
    flow->OnRead(std::move(message));
  }
  // The next message, in order.
  void Send(const std::string& name, const std::string& what = "m") {
    Read(Message(++last, name, what));
  }
  void Written() {
    ASSERT_TRUE(std::exchange(wire.writing, false));
    flow->OnWritten(true);
  }

  World world;
  FakeWire wire;
  std::shared_ptr<SendFlow> flow;
  uint64_t last = 0;
};

TEST_F(SendFlowTest, WhatIsInTheMailboxIsConfirmedInBatches) {
  Send("here/a", "one");
  EXPECT_THAT(wire.Take(), ElementsAre("1"));
  Send("here/a", "two");
  Send("here/b", "three");
  EXPECT_THAT(wire.Take(), IsEmpty()) << "a write is under way";
  Written();
  EXPECT_THAT(wire.Take(), ElementsAre("3"));
  EXPECT_THAT(world.put, ElementsAre("one", "two", "three"));
}

TEST_F(SendFlowTest, CastsAndPlainMessages) {
  v1::SendStreamRequest cast = Message(1, "here/a", "x");
  cast.set_cast(true);
  Read(cast);
  Read(Message(2, "here/a", "y"));
  EXPECT_THAT(world.put, ElementsAre("x cast", "y"));
}

TEST_F(SendFlowTest, NothingOvertakesWhatIsLookedUp) {
  Send("far", "one");
  Send("here/a", "two");
  Send("far", "three");
  EXPECT_THAT(world.looked_up, ElementsAre("far"));
  EXPECT_THAT(world.put, IsEmpty());
  EXPECT_THAT(wire.Take(), IsEmpty()) << "nothing is confirmed before it is there";
  world.lookups[0](World::Here());
  EXPECT_THAT(world.put, ElementsAre("one", "two"));
  EXPECT_THAT(world.looked_up, ElementsAre("far", "far")) << "for each send anew";
  world.lookups[1](World::Here());
  EXPECT_THAT(world.put, ElementsAre("one", "two", "three"));
}

TEST_F(SendFlowTest, OneLookupServesThoseThatWaitForTheSame) {
  for (const char* what : {"1", "2", "3"}) Send("far", what);
  EXPECT_THAT(world.looked_up, ElementsAre("far"));
  world.lookups[0](World::Here());
  EXPECT_THAT(world.put, ElementsAre("1", "2", "3"));
  EXPECT_THAT(world.looked_up, ElementsAre("far"));
}

TEST_F(SendFlowTest, EachMessageToAGroupPicksItsMember) {
  for (uint64_t seq : {1, 2}) {
    v1::SendStreamRequest message = Message(seq, "");
    message.mutable_target()->mutable_group()->set_group("g");
    Read(message);
  }
  world.lookups[0](World::Here());
  EXPECT_THAT(world.looked_up, ElementsAre("g", "g"));
}

TEST_F(SendFlowTest, ALookupHasFiveSecondsFromWhenTheMessageCame) {
  const Instant start = world.time.Now();
  Send("slow");
  world.time.RunFor(absl::Seconds(4));
  Send("slow2");
  world.time.RunFor(absl::Seconds(3));
  world.lookups[0](MakeError("CHILD_RESTARTING", "still"));
  EXPECT_THAT(world.deadlines, ElementsAre(start + absl::Seconds(5), start + absl::Seconds(9)));
  EXPECT_THAT(wire.Take(), ElementsAre("1: 1 CHILD_RESTARTING"));
}

TEST_F(SendFlowTest, WhatCannotBeDeliveredIsReportedAndTheRestGoesOn) {
  world.broken["full"] = "MAILBOX_FULL";
  Send("here/a", "full");
  Send("nobody");
  Send("here/a", "fine");
  EXPECT_THAT(wire.Take(), ElementsAre("1: 1 MAILBOX_FULL"));
  Written();
  EXPECT_THAT(wire.Take(), ElementsAre("3: 2 NAME_NOT_REGISTERED"));
  EXPECT_THAT(world.put, ElementsAre("fine"));
}

TEST_F(SendFlowTest, AnotherServersMessagesAreConfirmedWhenItHasConfirmedThem) {
  Send("there/A");
  Send("there/B");
  Send("there/A");
  Send("here/a");
  ASSERT_EQ(world.legs.size(), 2u);
  EXPECT_THAT(world.legs[0]->sent, ElementsAre(1, 3));
  EXPECT_EQ(world.legs[0]->messages[0].target().name(), "resolved");
  EXPECT_THAT(wire.Take(), IsEmpty());
  world.legs[1]->settle(2, "");
  EXPECT_THAT(wire.Take(), IsEmpty()) << "the first is not there yet";
  world.legs[0]->settle(3, "NOPROC");
  EXPECT_THAT(wire.Take(), ElementsAre("0: 3 NOPROC")) << "a failure is told at once";
  Written();
  world.legs[0]->settle(1, "");
  EXPECT_THAT(wire.Take(), ElementsAre("4"));
  EXPECT_THAT(world.lost, ElementsAre("there/A")) << "asked for anew next time";
}

TEST_F(SendFlowTest, ABrokenLegIsReplaced) {
  Send("there/A");
  world.legs[0]->over = true;
  world.legs[0]->settle(1, "NOCONNECTION");
  Send("there/A");
  ASSERT_EQ(world.legs.size(), 2u);
  world.legs[1]->settle(2, "");
  Written();
  EXPECT_THAT(wire.Take(), ElementsAre("1: 1 NOCONNECTION", "2"));
  world.legs[1]->over = true;
  world.no_leg = MakeError("FORWARD_LOOP", "no");
  Written();
  Send("there/A");
  EXPECT_THAT(wire.Take(), ElementsAre("3: 3 FORWARD_LOOP"));
}

TEST_F(SendFlowTest, ReadsNoMoreThanAThousandUnconfirmed) {
  for (int i = 0; i < 1000; ++i) Send("here/a");
  EXPECT_THAT(wire.Take(), ElementsAre("1"));
  EXPECT_FALSE(wire.reading) << "the client does not read the answers";
  Written();
  EXPECT_THAT(wire.Take(), ElementsAre("1000"));
  ASSERT_TRUE(wire.reading) << "one is confirmed";
  Send("here/a");
  EXPECT_FALSE(wire.reading);
  Written();
  EXPECT_TRUE(wire.reading);
}

TEST_F(SendFlowTest, ReadsNoMoreWhileFourMebibytesWait) {
  v1::SendStreamRequest message = Message(1, "there/A");
  message.mutable_payload()->mutable_value()->set_value(std::string(4 << 20, 'x'));
  Read(message);
  EXPECT_FALSE(wire.reading);
  world.legs[0]->settle(1, "");
  EXPECT_TRUE(wire.reading);
}

TEST_F(SendFlowTest, TheClientsEndIsAnsweredWhenAllIsConfirmed) {
  Send("there/A");
  wire.reading = false;
  flow->OnReadsOver();
  EXPECT_FALSE(wire.end);
  EXPECT_FALSE(world.legs[0]->closed);
  world.legs[0]->settle(1, "");
  EXPECT_FALSE(wire.end) << "the answer first";
  Written();
  ASSERT_TRUE(wire.end);
  EXPECT_TRUE(wire.end->ok());
  EXPECT_TRUE(world.legs[0]->closed);
}

TEST_F(SendFlowTest, AWrongNumberEndsTheStreamAfterWhatCameBefore) {
  Send("there/A");
  Read(Message(3, "here/a"));
  EXPECT_FALSE(wire.reading);
  EXPECT_FALSE(wire.end) << "the first is not settled yet";
  world.legs[0]->settle(1, "");
  EXPECT_THAT(wire.Take(), ElementsAre("1"));
  Written();
  ASSERT_TRUE(wire.end);
  const std::optional<ErrorInfo> info = GetErrorInfo(*wire.end);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->reason, "REQUEST_INVALID");
  ASSERT_EQ(info->fields.size(), 1u);
  EXPECT_EQ(info->fields[0].field, "seq");
  EXPECT_EQ(info->metadata.at("acceptedSeq"), "1");
  EXPECT_THAT(world.put, IsEmpty());
}

TEST_F(SendFlowTest, UnreadableBytesEndTheStream) {
  Read(std::nullopt);
  ASSERT_TRUE(wire.end);
  EXPECT_EQ(ErrorReason(*wire.end), "REQUEST_INVALID");
  EXPECT_THAT(std::string(wire.end->message()), HasSubstr("SendStreamRequest"));
}

TEST_F(SendFlowTest, WhatIsNotOnItsWayIsDroppedWhenTheClientIsGone) {
  Send("there/A", "1");
  Send("far", "2");
  Send("here/a", "3");
  wire.reading = false;
  flow->OnCancelled();
  ASSERT_TRUE(wire.end);
  EXPECT_EQ(wire.end->code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(world.legs[0]->cut);
  world.lookups[0](World::Here());
  EXPECT_THAT(world.put, IsEmpty());
  flow->OnReadsOver();
  flow->OnOver();
  world.legs[0]->settle(1, "NOCONNECTION");
}

TEST_F(SendFlowTest, ABrokenWriteEndsIt) {
  Send("here/a");
  wire.writing = false;
  flow->OnWritten(false);
  Send("here/a");
  ASSERT_TRUE(wire.end);
  EXPECT_EQ(wire.end->code(), absl::StatusCode::kCancelled);
}

TEST_F(SendFlowTest, AServerThatStopsEndsIt) {
  Send("here/a");
  Written();
  wire.Take();
  world.stopping = true;
  Send("here/a");
  EXPECT_THAT(wire.Take(), ElementsAre("2: 2 NODE_STOPPING"));
  Written();
  ASSERT_TRUE(wire.end);
  EXPECT_EQ(ErrorReason(*wire.end), "NODE_STOPPING");
}

TEST(SendFlowRefused, EndsWithThatError) {
  FakeWire wire;
  auto flow = std::make_shared<SendFlow>(&wire);
  flow->Refuse(MakeError("FORWARD_LOOP", "too often"));
  ASSERT_TRUE(wire.end);
  EXPECT_EQ(ErrorReason(*wire.end), "FORWARD_LOOP");
  EXPECT_FALSE(wire.reading);
  flow->OnOver();
}

}  // namespace
}  // namespace banyan::rpc
