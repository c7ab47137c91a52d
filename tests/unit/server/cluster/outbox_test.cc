#include "server/cluster/outbox.h"

#include <gmock/gmock.h>

#include "common/base/error.h"
#include "common/base/named_pid.h"
#include "server/cluster/defragmenter.h"

namespace banyan {
namespace {

SignalPtr MessageOf(uint64_t from, uint64_t to, std::string text) {
  auto s = std::make_unique<Signal>(SignalKind::kMessage);
  s->from = Pid{0, 0, from};
  s->to = Pid{2, 1, to};
  s->payload = Payload::Any("type.googleapis.com/x.Y", std::move(text));
  return s;
}

class OutboxTest : public ::testing::Test {
 protected:
  // All that comes out, put together again: "TO first-character*size".
  std::vector<std::string> Drain() {
    std::vector<std::string> out;
    Defragmenter defragmenter(options.message_bytes_max, options.reassembly_bytes_max);
    for (int i = 0; i < 10'000 && !outbox.empty(); ++i) {
      internal::v1::PeerBatch batch;
      outbox.Fill({1, 1}, Instant(), true, &batch,
                  [&](SignalPtr, absl::Status s) { refused.push_back(ErrorReason(s)); });
      EXPECT_LE(batch.ByteSizeLong(), options.batch_bytes_hard);
      EXPECT_LE(batch.frames_size(), static_cast<int>(options.batch_frames_max));
      for (const auto& frame : batch.frames()) Read(frame, &defragmenter, &out);
    }
    EXPECT_TRUE(outbox.empty());
    return out;
  }
  void Read(const internal::v1::Frame& frame, Defragmenter* d, std::vector<std::string>* out) {
    if (!frame.has_fragment()) return Add(frame, out);
    internal::v1::PeerBatch whole;
    absl::StatusOr<bool> complete = d->Add(frame.fragment(), &whole);
    ASSERT_TRUE(complete.ok());
    if (*complete) Add(whole.frames(0), out);
  }
  static void Add(const internal::v1::Frame& frame, std::vector<std::string>* out) {
    const std::string& v = frame.message().data().value();
    out->push_back(std::to_string(frame.dst()) + " " + v[0] + "*" + std::to_string(v.size()));
  }

  PeerOptions options;
  Outbox outbox{&options};
  std::vector<std::string> refused;
};

TEST_F(OutboxTest, SmallOnesInOrder) {
  for (char c = 'a'; c <= 'e'; ++c) outbox.Push(MessageOf(1, 2, std::string(1, c)));
  EXPECT_THAT(Drain(), ::testing::ElementsAre("2 a*1", "2 b*1", "2 c*1", "2 d*1", "2 e*1"));
}

TEST_F(OutboxTest, ThePairWaitsBehindItsLargeMessageAndOthersDoNot) {
  outbox.Push(MessageOf(1, 2, "a"));
  outbox.Push(MessageOf(1, 2, std::string(1'000'000, 'b')));
  outbox.Push(MessageOf(1, 2, "c"));
  outbox.Push(MessageOf(1, 3, "d"));
  outbox.Push(MessageOf(1, 2, std::string(300'000, 'e')));
  outbox.Push(MessageOf(1, 2, "f"));
  EXPECT_THAT(Drain(), ::testing::ElementsAre("2 a*1", "3 d*1", "2 b*1000000", "2 c*1",
                                              "2 e*300000", "2 f*1"));
}

// A name may mean any process of the other node: whoever writes to it has one order for all.
TEST_F(OutboxTest, NamesWaitBehindWhatTheirSenderSentBefore) {
  auto named = [](uint64_t from, std::string text) {
    SignalPtr s = MessageOf(from, 0, std::move(text));
    s->to = NamedPid(2, 1, "n");
    return s;
  };
  outbox.Push(MessageOf(1, 2, std::string(300'000, 'a')));
  outbox.Push(named(1, "b"));
  outbox.Push(named(7, "c"));
  outbox.Push(named(1, std::string(300'000, 'd')));
  outbox.Push(MessageOf(1, 3, "e"));
  outbox.Push(MessageOf(7, 3, "f"));
  EXPECT_THAT(Drain(), ::testing::ElementsAre("0 c*1", "3 f*1", "2 a*300000", "0 b*1", "0 d*300000",
                                              "3 e*1"));
}

TEST_F(OutboxTest, WithoutCreditNamesWaitForTheMessagesOfTheirSender) {
  auto exit_to = [](uint64_t from, Pid to) {
    auto s = std::make_unique<Signal>(SignalKind::kExit);
    s->from = Pid{0, 0, from};
    s->to = to;
    return s;
  };
  const Pid name = NamedPid(2, 1, "n");
  outbox.Push(MessageOf(1, 2, "a"));
  outbox.Push(exit_to(1, name));          // may be for 2
  outbox.Push(exit_to(1, Pid{2, 1, 3}));  // may be for the same as the one before
  outbox.Push(exit_to(7, name));          // of another sender
  internal::v1::PeerBatch none, all;
  outbox.Fill({1, 1}, Instant(), false, &none, [](SignalPtr, absl::Status) {});
  ASSERT_EQ(none.frames_size(), 1);
  EXPECT_EQ(none.frames(0).src(), 7u);
  outbox.Fill({1, 1}, Instant(), true, &all, [](SignalPtr, absl::Status) {});
  ASSERT_EQ(all.frames_size(), 3);
  EXPECT_TRUE(all.frames(0).has_message());
  EXPECT_NE(all.frames(1).dst_name(), 0u);
  EXPECT_EQ(all.frames(2).dst(), 3u);
}

TEST_F(OutboxTest, LargeOnesOfSeveralPairsTakeTurns) {
  outbox.Push(MessageOf(1, 2, std::string(4'000'000, 'a')));
  outbox.Push(MessageOf(1, 3, std::string(100'000, 'b')));
  outbox.Push(MessageOf(1, 4, std::string(100'000, 'c')));
  EXPECT_THAT(Drain(), ::testing::ElementsAre("3 b*100000", "4 c*100000", "2 a*4000000"));
}

TEST_F(OutboxTest, ManySmallOnesAreManyBatches) {
  for (int i = 0; i < 5000; ++i) outbox.Push(MessageOf(1, 2, std::string(100, 'x')));
  EXPECT_EQ(Drain().size(), 5000u);
}

TEST_F(OutboxTest, TakeAllHasEverythingThatWasNotHandedOver) {
  outbox.Push(MessageOf(1, 2, std::string(1'000'000, 'b')));
  outbox.Push(MessageOf(1, 2, "c"));
  internal::v1::PeerBatch batch;
  outbox.Fill({1, 1}, Instant(), true, &batch, [](SignalPtr, absl::Status) {});
  outbox.Push(MessageOf(1, 3, "d"));
  EXPECT_EQ(outbox.TakeAll().size(), 3u);
  EXPECT_TRUE(outbox.empty());
}

TEST_F(OutboxTest, WithoutCreditOnlyMessagesWaitAndWhatFollowsThem) {
  auto exit = [](uint64_t from, uint64_t to) {
    auto s = std::make_unique<Signal>(SignalKind::kLinkExit);
    s->from = Pid{0, 0, from};
    s->to = Pid{2, 1, to};
    return s;
  };
  outbox.Push(MessageOf(1, 2, "a"));
  outbox.Push(exit(1, 3));
  outbox.Push(exit(1, 2));
  outbox.Push(MessageOf(1, 3, "b"));
  internal::v1::PeerBatch batch;
  const auto fill = [&](bool credit) {
    batch.Clear();
    outbox.Fill({1, 1}, Instant(), credit, &batch, [](SignalPtr, absl::Status) {});
    std::vector<std::string> out;
    for (const auto& f : batch.frames()) {
      out.push_back((f.has_exit() ? "exit " : "message ") + std::to_string(f.dst()));
    }
    return out;
  };
  EXPECT_THAT(fill(false), ::testing::ElementsAre("exit 3"));
  EXPECT_THAT(fill(false), ::testing::ElementsAre());
  EXPECT_EQ(outbox.messages().entries, 2u);
  EXPECT_EQ(outbox.control().entries, 1u);
  outbox.Push(MessageOf(1, 2, "c"));
  EXPECT_THAT(fill(true), ::testing::ElementsAre("message 2", "exit 2", "message 3", "message 2"));
  EXPECT_TRUE(outbox.empty());
}

TEST_F(OutboxTest, GaugesCountWhatWaits) {
  const Instant later = Instant() + absl::Seconds(3);
  EXPECT_TRUE(outbox.oldest().infinite());
  outbox.Push(MessageOf(1, 2, std::string(300'000, 'x')), later);
  outbox.Push(MessageOf(1, 3, "y"), later + absl::Seconds(1));
  EXPECT_EQ(outbox.messages().entries, 2u);
  EXPECT_GT(outbox.messages().bytes, 300'000u);
  internal::v1::PeerBatch batch;
  for (int i = 0; i < 2; ++i)
    outbox.Fill({1, 1}, Instant(), true, &batch, [](SignalPtr, absl::Status) {});
  EXPECT_EQ(outbox.oldest(), later) << "the rest of the large one";
  EXPECT_LT(outbox.messages().bytes, 300'000u);
  while (!outbox.empty())
    outbox.Fill({1, 1}, Instant(), true, &batch, [](SignalPtr, absl::Status) {});
  EXPECT_EQ(outbox.messages().entries, 0u);
  EXPECT_EQ(outbox.messages().bytes, 0u);
  EXPECT_EQ(outbox.control().bytes, 0u);
}

TEST_F(OutboxTest, WhatCannotBeEncodedIsRefused) {
  SignalPtr s = MessageOf(1, 2, "");
  s->payload = Payload::Local(1);
  outbox.Push(std::move(s));
  outbox.Push(MessageOf(1, 2, "a"));
  EXPECT_THAT(Drain(), ::testing::ElementsAre("2 a*1"));
  EXPECT_THAT(refused, ::testing::ElementsAre("PAYLOAD_INVALID"));
}

}  // namespace
}  // namespace banyan
