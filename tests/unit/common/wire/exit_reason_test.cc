#include "common/wire/exit_reason.h"

#include <memory>

#include "gmock/gmock.h"

#include "common/wire/utf8.h"
#include "node_identity.h"

namespace banyan::wire {
namespace {

TEST(ExitReason, RoundTrips) {
  ExitReason::Info info{.message = "disk full", .type = "std::runtime_error"};
  info.detail = Payload::Any("x/y.Z", "abc");
  info.stack = {"f", "g"};
  info.origin = Pid::Local(3, 1);
  info.cause = std::make_shared<const ExitReason>(ExitReason::Kind::kNoProc);
  const ExitReason in(ExitReason::Kind::kError, info);
  const v1::ExitReason proto = ToProto(in, kSelf);
  EXPECT_EQ(proto.origin().node_id(), 2u);
  const ExitReason out = FromProto(proto, kSelf);
  EXPECT_EQ(out, in);
  EXPECT_EQ(out.origin(), info.origin);
  EXPECT_EQ(out.stack(), info.stack);
}

TEST(ExitReason, UnknownKindsReadAsError) {
  v1::ExitReason proto;
  EXPECT_EQ(FromProto(proto, kSelf).kind(), ExitReason::Kind::kError);
  proto.set_kind(static_cast<v1::ExitReason::Kind>(99));
  EXPECT_EQ(FromProto(proto, kSelf).kind(), ExitReason::Kind::kError);
}

TEST(ExitReason, IsCutToItsLimits) {
  ExitReason chain = ExitReason::Error("root");
  for (int i = 0; i < 50; ++i) chain = ExitReason::FailedToStartChild("c", chain);
  const v1::ExitReason proto = ToProto(chain, kSelf);
  int depth = 0;
  for (const v1::ExitReason* p = &proto; p->has_cause(); p = &p->cause()) ++depth;
  EXPECT_EQ(depth, kCauseDepthMax);

  ExitReason::Info info{.message = std::string(1 << 20, 'm')};
  info.stack.assign(1000, std::string(5000, 's'));
  info.detail = Payload::Any("x/y.Z", std::string(1 << 20, 'd'));
  const v1::ExitReason big = ToProto(ExitReason(ExitReason::Kind::kError, info), kSelf);
  EXPECT_LE(big.ByteSizeLong(), kExitReasonBytesMax + 1024);
  EXPECT_LE(big.stack_size(), kStackFramesMax);
}

TEST(ExitReason, TextsBecomeUtf8) {
  EXPECT_EQ(ToProto(ExitReason::Error("t",
                                      "a\xff"
                                      "b"),
                    kSelf)
                .message(),
            "a?b");
  EXPECT_EQ(Utf8("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"), "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80");
  EXPECT_EQ(Utf8("a\xE2\x82\xAC", 3), "a");
  EXPECT_EQ(Utf8("\xED\xA0\x80\xC0\x80"), "?????");
}

}  // namespace
}  // namespace banyan::wire
