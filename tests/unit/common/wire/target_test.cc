#include "common/wire/target.h"

#include "gmock/gmock.h"

#include "common/base/error.h"
#include "node_identity.h"

namespace banyan::wire {
namespace {

TEST(Target, EveryKindRoundTrips) {
  for (const char* text : {"3:1:17.4", "name:a/b", "name:logger@n2", "group:g#least",
                           "group:g#hash=k", "child:shop/payments/w3"}) {
    const Target in = *ParseTarget(text);
    v1::Target proto;
    ASSERT_TRUE(ToProto(in, kSelf, &proto).ok()) << text;
    absl::StatusOr<Target> out = FromProto(proto, kSelf);
    ASSERT_TRUE(out.ok()) << text << out.status();
    EXPECT_EQ(*out, in) << text;
  }
}

TEST(Target, OwnPidsBecomeLocal) {
  v1::Target proto;
  proto.mutable_pid()->set_node_id(2);
  proto.mutable_pid()->set_incarnation(5);
  proto.mutable_pid()->set_id(9);
  EXPECT_EQ(*FromProto(proto, kSelf)->pid(), Pid::Local(9, 0));
}

TEST(Target, BadOnesNameTheField) {
  v1::Target proto;
  absl::Status s = FromProto(proto, kSelf).status();
  EXPECT_EQ(ErrorReason(s), "TARGET_INVALID");
  EXPECT_EQ(GetErrorInfo(s)->fields[0].field, "target");
  proto.mutable_child()->set_supervisor("a");
  s = FromProto(proto, kSelf, "request.target").status();
  EXPECT_EQ(GetErrorInfo(s)->fields[0].field, "request.target.child");
  proto.mutable_pid();
  EXPECT_FALSE(FromProto(proto, kSelf).ok());
}

TEST(Target, AnUnresolvedNodeCannotGoOut) {
  v1::Target proto;
  EXPECT_EQ(ErrorReason(ToProto(*ParseTarget("n1:3:4"), kSelf, &proto)), "TARGET_INVALID");
}

}  // namespace
}  // namespace banyan::wire
