#include "common/wire/pid.h"

#include "gmock/gmock.h"

#include "node_identity.h"

namespace banyan::wire {
namespace {

TEST(Pid, ALocalOneGetsTheNodesIdsOutsideAndLosesThemInside) {
  const Pid local = Pid::Local(17, 3);
  const v1::Pid proto = ToProto(local, kSelf);
  EXPECT_EQ(proto.node_id(), 2u);
  EXPECT_EQ(proto.incarnation(), 5u);
  EXPECT_EQ(FromProto(proto, kSelf), local);
}

TEST(Pid, OneOfAnotherLifeOfTheNodeStaysForeign) {
  v1::Pid proto = ToProto(Pid::Local(17, 3), {.node_id = 2, .incarnation = 4});
  EXPECT_EQ(FromProto(proto, kSelf), (Pid{2, 4, Pid::Local(17, 3).id}));
  EXPECT_EQ(Export(Pid{9, 1, 4}, kSelf), (Pid{9, 1, 4}));
}

TEST(Pid, TheNullPidStaysNull) {
  EXPECT_EQ(ToProto(Pid{}, kSelf).node_id(), 0u);
  EXPECT_FALSE(FromProto(v1::Pid(), kSelf).valid());
}

TEST(Fence, ReadsOnly63Bits) {
  EXPECT_EQ(FenceFromProto(ToProto(Fence::Make(1, 2, 3))), Fence::Make(1, 2, 3));
  EXPECT_EQ(FenceFromProto(uint64_t{1} << 63), Fence());
}

}  // namespace
}  // namespace banyan::wire
