// The stream of a session that goes through the coordinator.
#include "server/cluster/relay_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "banyan/internal/v1/membership.pb.h"
#include "banyan/internal/v1/peer.pb.h"

namespace banyan {
namespace {

namespace pb = internal::v1;
using ::testing::ElementsAre;

struct FakeStream : Stream {
  std::vector<std::string>* out;
  explicit FakeStream(std::vector<std::string>* o) : out(o) {}
  void Write(std::string bytes) override { out->push_back(std::move(bytes)); }
  size_t queued() const override { return 0; }
  void Close(absl::Status) override {}
  void Abort() override {}
  std::string peer() const override { return "coord"; }
};

struct FakeTransport : Transport {
  std::vector<std::string> written;
  StreamHandler* handler = nullptr;
  std::unique_ptr<Stream> Dial(const std::string& address, StreamKind kind,
                               StreamHandler* h) override {
    EXPECT_EQ(address, "coord");
    EXPECT_EQ(kind, StreamKind::kRelay);
    handler = h;
    return std::make_unique<FakeStream>(&written);
  }
  void Listen(StreamKind, Acceptor) override {}
};

struct Session : StreamHandler {
  std::vector<std::string> frames;
  int writable = 0;
  void OnFrame(std::string bytes) override { frames.push_back(std::move(bytes)); }
  void OnClose(absl::Status) override {}
  void OnWritable() override { ++writable; }
};

class RelayStreamTest : public ::testing::Test {
 protected:
  static std::string Batch(uint64_t seq, size_t bytes = 0) {
    pb::SessionRequest frame;
    frame.mutable_batch()->set_seq(seq);
    if (bytes > 0) frame.mutable_batch()->add_strings(std::string(bytes, 'x'));
    return frame.SerializeAsString();
  }
  pb::RelayRequest Written(size_t i) {
    pb::RelayRequest request;
    EXPECT_TRUE(request.ParseFromString(transport.written.at(i)));
    return request;
  }
  void Arrives(const std::string& session_frame, uint64_t taken = 0) {
    pb::SessionRequest frame;
    ASSERT_TRUE(frame.ParseFromString(session_frame));
    pb::RelayResponse response;
    response.set_from_node_id(2);
    if (!session_frame.empty()) response.set_batch(frame.batch().SerializeAsString());
    response.set_taken(taken);
    transport.handler->OnFrame(response.SerializeAsString());
  }

  FakeTransport transport;
  Session session;
  RelayStream stream{&transport, "coord", {{1, 3}, {2, 5}, 9}, &session};
};

TEST_F(RelayStreamTest, BeginsWithWhoItIsAndForWhom) {
  ASSERT_EQ(transport.written.size(), 1u);
  const pb::RelayRequest first = Written(0);
  EXPECT_EQ(first.from_node_id(), 1u);
  EXPECT_EQ(first.from_incarnation(), 3u);
  EXPECT_EQ(first.to_node_id(), 2u);
  EXPECT_EQ(first.to_incarnation(), 5u);
  EXPECT_EQ(first.relay_id(), 9u);
}

TEST_F(RelayStreamTest, CarriesBatchesBothWays) {
  stream.Write(Batch(7, 300));
  pb::PeerBatch batch;
  ASSERT_TRUE(batch.ParseFromString(Written(1).batch()));
  EXPECT_EQ(batch.seq(), 7u);
  EXPECT_EQ(batch.strings(0).size(), 300u);
  Arrives(Batch(8, 400));
  EXPECT_THAT(session.frames, ElementsAre(Batch(8, 400)));
}

TEST_F(RelayStreamTest, TakesNoMoreThanTheWindowUntilThePeerHasTakenIt) {
  stream.Write(Batch(1, RelayStream::kWindow - 1000));
  EXPECT_EQ(stream.queued(), 0u);
  stream.Write(Batch(2, 2000));
  EXPECT_EQ(stream.queued(), 1u);
  Arrives("", 500);
  EXPECT_EQ(stream.queued(), 1u);
  EXPECT_EQ(session.writable, 0);
  Arrives("", 5000);
  EXPECT_EQ(stream.queued(), 0u);
  EXPECT_EQ(session.writable, 1);
}

TEST_F(RelayStreamTest, APeerThatSaysItTookMoreThanItGotGainsNothing) {
  stream.Write(Batch(1, 1000));
  Arrives("", uint64_t{1} << 60);
  stream.Write(Batch(2, RelayStream::kWindow + 1));
  EXPECT_EQ(stream.queued(), 1u);
}

TEST_F(RelayStreamTest, SaysWhatItHasTakenBeforeThePeersWindowIsFull) {
  uint64_t taken = 0;
  for (uint64_t seq = 1; seq <= 100; ++seq) Arrives(Batch(seq, 20'000));
  ASSERT_GT(transport.written.size(), 10u);
  for (size_t i = 1; i < transport.written.size(); ++i) {
    EXPECT_GT(Written(i).taken(), taken);
    EXPECT_LT(Written(i).taken() - taken, RelayStream::kWindow);
    taken = Written(i).taken();
  }
  EXPECT_GT(taken, 100 * 20'000u - RelayStream::kWindow);
}

TEST_F(RelayStreamTest, WhatIsNoFrameIsTheSessionsAffair) {
  transport.handler->OnFrame("\xFF\xFF");
  EXPECT_THAT(session.frames, ElementsAre("\xFF\xFF"));
}

}  // namespace
}  // namespace banyan
