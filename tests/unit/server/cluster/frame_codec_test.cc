#include <gtest/gtest.h>

#include "common/base/error.h"
#include "common/time/virtual_time.h"
#include "server/cluster/frame_decoder.h"
#include "server/cluster/frame_encoder.h"
#include "server/runtime/runtime.h"

namespace banyan {
namespace {

// Encodes on node 1 for node 2, decodes there.
class FrameCodec : public ::testing::Test {
 protected:
  SignalPtr RoundTrip(const Signal& s) {
    internal::v1::PeerBatch batch;
    FrameEncoder encoder({1, 1}, time.Now(), &batch);
    absl::Status status = encoder.Add(s);
    EXPECT_TRUE(status.ok()) << status;
    FrameDecoder decoder(&runtime, {2, 1}, {1, 1});
    Inbound in;
    status = decoder.Decode(batch.frames(0), batch.strings(), time.Now(), &in);
    EXPECT_TRUE(status.ok()) << status;
    return in.signals.size() == 1 ? std::move(in.signals[0]) : nullptr;
  }
  static Signal Make(SignalKind kind) {
    Signal s(kind);
    s.from = Pid{0, 0, 7};
    s.to = Pid{2, 1, 9};
    s.ref = 42;
    return s;
  }

  VirtualTime time;
  Runtime runtime{
      Runtime::Options{.clock = &time, .timers = &time, .workers = 0, .executor = &time}};
};

TEST_F(FrameCodec, EveryKindKeepsItsMeaning) {
  for (SignalKind kind :
       {SignalKind::kMessage, SignalKind::kCast, SignalKind::kCall, SignalKind::kReply,
        SignalKind::kExit, SignalKind::kLinkExit, SignalKind::kLink, SignalKind::kUnlink,
        SignalKind::kUnlinkAck, SignalKind::kMonitor, SignalKind::kDemonitor, SignalKind::kCancel,
        SignalKind::kDown}) {
    SignalPtr got = RoundTrip(Make(kind));
    ASSERT_TRUE(got) << int(kind);
    EXPECT_EQ(got->kind, kind);
    EXPECT_EQ(got->from, (Pid{1, 1, 7}));
    EXPECT_EQ(got->to, (Pid{0, 0, 9}));
  }
}

TEST_F(FrameCodec, PayloadsKeepTypeBytesAndHeaders) {
  Signal s = Make(SignalKind::kMessage);
  s.payload = Payload::Any("type.googleapis.com/x.Y", "bytes", {{"k", "v"}});
  SignalPtr got = RoundTrip(s);
  EXPECT_EQ(got->payload, s.payload);
  EXPECT_EQ(got->payload.headers().at("k"), "v");
  s.payload = Payload();
  EXPECT_TRUE(RoundTrip(s)->payload.empty());
}

TEST_F(FrameCodec, ReasonsOfThisNodesPidsAreExported) {
  Signal s = Make(SignalKind::kDown);
  ExitReason::Info info;
  info.type = "boom";
  info.origin = Pid{0, 0, 7};
  s.reason = ExitReason(ExitReason::Kind::kError, std::move(info));
  SignalPtr got = RoundTrip(s);
  EXPECT_EQ(got->reason.type(), "boom");
  EXPECT_EQ(got->reason.origin(), (Pid{1, 1, 7}));
}

TEST_F(FrameCodec, BudgetsAreWhatIsLeft) {
  Signal s = Make(SignalKind::kCall);
  EXPECT_TRUE(RoundTrip(s)->deadline.infinite());
  s.deadline = time.Now() + absl::Milliseconds(750);
  EXPECT_EQ(RoundTrip(s)->deadline, s.deadline);
}

TEST_F(FrameCodec, ALateCallIsNotSent) {
  Signal s = Make(SignalKind::kCall);
  s.deadline = time.Now();
  internal::v1::PeerBatch batch;
  absl::Status status = FrameEncoder({1, 1}, time.Now(), &batch).Add(s);
  EXPECT_EQ(ErrorReason(status), "CALL_EXPIRED");
  EXPECT_EQ(batch.frames_size(), 0);
}

TEST_F(FrameCodec, PlatformAndActorErrorsStayApart) {
  Signal s = Make(SignalKind::kReply);
  s.status = MakeError("MAILBOX_FULL", "full", {{"limit", "3"}});
  internal::v1::PeerBatch batch;
  ASSERT_TRUE(FrameEncoder({1, 1}, time.Now(), &batch).Add(s).ok());
  EXPECT_TRUE(batch.frames(0).reply().has_node_error());
  EXPECT_EQ(ErrorReason(RoundTrip(s)->status), "MAILBOX_FULL");
  s.status = absl::AlreadyExistsError("mine");
  EXPECT_EQ(RoundTrip(s)->status.code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(FrameCodec, StringsAreSharedInABatch) {
  internal::v1::PeerBatch batch;
  FrameEncoder encoder({1, 1}, time.Now(), &batch);
  Signal s = Make(SignalKind::kMessage);
  s.payload = Payload::Any("type.googleapis.com/x.Y", "1");
  ASSERT_TRUE(encoder.Add(s).ok());
  ASSERT_TRUE(encoder.Add(s).ok());
  EXPECT_EQ(batch.strings_size(), 1);
}

}  // namespace
}  // namespace banyan
