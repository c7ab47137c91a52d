// Any bytes from a peer end the session at worst.
#include <gmock/gmock.h>

#include "banyan/internal/v1/peer.pb.h"
#include "raw_peer.h"

namespace banyan::testing {
namespace {

class Garbage : public RawPeer {};

TEST_F(Garbage, BytesThatAreNoFrame) {
  stream->Write(std::string("\xff\xff\xff\xff", 4));
  Settle();
  EXPECT_TRUE(handler.closed);
  EXPECT_TRUE(handler.Saw(pb::CloseFrame::REASON_PROTOCOL));
}

TEST_F(Garbage, SignalsBeforeTheHandshake) {
  pb::PeerBatch batch = Batch();
  batch.add_frames()->mutable_message();
  Write(batch);
  EXPECT_TRUE(handler.Saw(pb::CloseFrame::REASON_PROTOCOL));
}

TEST_F(Garbage, SilenceInsteadOfAHello) {
  time.RunFor(absl::Seconds(6));
  EXPECT_TRUE(handler.closed);
}

TEST_F(Garbage, F36GapsAndRepetitionsClose) {
  Greet();
  pb::PeerBatch batch = Batch();
  batch.add_frames()->mutable_ping();
  batch.set_seq(seq + 1);
  Write(batch);
  EXPECT_TRUE(handler.Saw(pb::CloseFrame::REASON_PROTOCOL));
}

TEST_F(Garbage, ABatchThatIsTooLarge) {
  Greet();
  pb::PeerBatch batch = Batch();
  batch.add_strings(std::string(300 * 1024, 'x'));
  Write(batch);
  EXPECT_TRUE(handler.Saw(pb::CloseFrame::REASON_PROTOCOL));
}

TEST_F(Garbage, ACreditWithoutEnd) {
  Greet();
  pb::PeerBatch batch = Batch();
  batch.add_frames()->mutable_credit()->set_bytes(uint64_t{1} << 63);
  Write(batch);
  EXPECT_TRUE(handler.Saw(pb::CloseFrame::REASON_PROTOCOL));
}

TEST_F(Garbage, StringsOutOfRange) {
  Greet();
  pb::PeerBatch batch = Batch();
  pb::Frame* frame = batch.add_frames();
  frame->set_dst(5);
  frame->mutable_message()->mutable_data()->set_type_url(9);
  Write(batch);
  EXPECT_TRUE(handler.Saw(pb::CloseFrame::REASON_PROTOCOL));
}

TEST_F(Garbage, UnknownFramesAreSkippedUnlessTheyMustBeUnderstood) {
  Greet();
  pb::PeerBatch batch = Batch();
  batch.add_frames();
  Write(batch);
  EXPECT_FALSE(handler.closed);
  batch = Batch();
  batch.add_frames()->set_must_understand(true);
  Write(batch);
  EXPECT_TRUE(handler.Saw(pb::CloseFrame::REASON_PROTOCOL));
}

TEST_F(Garbage, NamesAreResolvedInOrderAndMissingOnesAreStale) {
  Greet();
  auto x = Spawn(*a);
  a->runtime.Register("n", x->pid);
  pb::PeerBatch batch = Batch();
  batch.add_strings("n");
  batch.add_strings("nobody");
  pb::Frame* frame = batch.add_frames();
  frame->set_dst_name(1);
  frame->mutable_message()->mutable_data()->set_value("hello");
  frame = batch.add_frames();
  frame->set_dst_name(2);
  frame->mutable_call()->set_alias(77);
  frame = batch.add_frames();
  frame->set_dst_name(2);
  frame->mutable_monitor()->set_ref(78);
  Write(batch);
  Settle();
  EXPECT_THAT(x->lines, ::testing::ElementsAre("msg hello"));
  bool stale = false, down = false;
  for (const auto& f : handler.frames) {
    for (const auto& g : f.batch().frames()) {
      stale |= g.has_stale_route() && g.stale_route().alias() == 77;
      down |= g.has_down() && g.down().ref() == 78 &&
              g.down().reason().kind() == v1::ExitReason::KIND_NOPROC;
    }
  }
  EXPECT_TRUE(stale);
  EXPECT_TRUE(down);
}

TEST_F(Garbage, FragmentsWithoutEndAreBounded) {
  Greet();
  for (int i = 0; i < 400 && !handler.closed; ++i) {
    pb::PeerBatch batch = Batch();
    pb::FragmentFrame* f = batch.add_frames()->mutable_fragment();
    f->set_fragment_id(1);
    f->set_chunk(std::string(64 * 1024, 'x'));
    Write(batch);
  }
  EXPECT_TRUE(handler.Saw(pb::CloseFrame::REASON_PROTOCOL));
}

TEST_F(Garbage, RandomFramesNeverHarm) {
  SeededRandom random(3);
  auto x = Spawn(*a, true);
  Greet();
  for (int i = 0; i < 3000; ++i) {
    if (handler.closed) {
      handler = Handler();
      seq = 0;
      stream = evil->Dial("a:1", StreamKind::kPeer, &handler);
      Greet();
    }
    pb::PeerBatch batch = Batch();
    batch.add_strings("s");
    pb::Frame* frame = batch.add_frames();
    frame->set_src(random.Below(3) ? random.Below(4) : random.Next());
    frame->set_dst(random.Below(3) ? x->pid.id : random.Next());
    frame->set_dst_name(static_cast<uint32_t>(random.Below(40) == 0 ? 9 : random.Below(2)));
    switch (random.Below(18)) {
      case 0:
        frame->mutable_message()->set_ack_alias(random.Next());
        break;
      case 1:
        frame->mutable_message()->mutable_rpc()->set_method(1);
        break;
      case 2:
        frame->mutable_call()->set_alias(random.Next());
        break;
      case 3:
        frame->mutable_call()->set_budget_ms(0xFFFFFFFF);
        break;
      case 4:
        frame->mutable_reply()->set_alias(random.Below(100));
        break;
      case 5:
        frame->mutable_reply()->mutable_actor_error()->set_code(
            static_cast<int32_t>(random.Below(40)) - 9);
        break;
      case 6:
        frame->mutable_reply()->mutable_node_error();
        break;
      case 7:
        frame->mutable_exit()->add_more_dst(random.Next());
        break;
      case 8:
        frame->mutable_link();
        break;
      case 9:
        frame->mutable_unlink()->set_unlink_id(random.Next());
        break;
      case 10:
        frame->mutable_unlink_ack()->set_unlink_id(random.Below(3));
        break;
      case 11:
        frame->mutable_monitor()->set_ref(random.Below(100));
        break;
      case 12:
        frame->mutable_demonitor()->set_ref(random.Below(100));
        break;
      case 13:
        frame->mutable_down()->set_ref(random.Below(100));
        break;
      case 14:
        frame->mutable_spawn()->set_alias(4);
        break;
      case 15:
        frame->mutable_stale_route()->set_alias(random.Below(100));
        break;
      case 16:
        frame->mutable_credit()->set_bytes(random.Next());
        break;
      case 17:
        frame->mutable_fragment()->set_last(random.Below(30) == 0);
        break;
    }
    pb::SessionRequest request;
    *request.mutable_batch() = batch;
    std::string bytes = request.SerializeAsString();
    if (random.Below(20) == 0) bytes[random.Below(bytes.size())] = static_cast<char>(random.Next());
    stream->Write(std::move(bytes));
    time.RunFor(absl::Milliseconds(3));
  }
  // The node still works.
  auto y = Spawn(*a);
  a->runtime.Send(y->pid, Text("fine"));
  Settle();
  EXPECT_EQ(y->lines.size(), 1u);
}

}  // namespace
}  // namespace banyan::testing
