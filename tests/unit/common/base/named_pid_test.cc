#include "common/base/named_pid.h"

#include <string>

#include "gtest/gtest.h"

namespace banyan {
namespace {

void UseOthers(size_t n) {
  for (size_t i = 0; i < n; ++i) ASSERT_TRUE(NamedPid(1, 1, "other" + std::to_string(i)));
}

TEST(NamedPid, StandsForItsName) {
  const Pid pid = NamedPid(2, 1, "db");
  EXPECT_EQ(*NameOf(pid), "db");
  EXPECT_EQ(NamedPid(2, 1, "db"), pid);
  EXPECT_NE(NamedPid(2, 1, "web"), pid);
  EXPECT_EQ(NameOf(Pid{2, 1, 77}), nullptr);
  EXPECT_EQ(NameOf(Pid()), nullptr);
}

TEST(NamedPid, IsForgottenUnlessItIsKept) {
  const Pid idle = NamedPid(1, 1, "idle");
  const Pid released = NamedPid(1, 1, "released");
  KeptPid kept(NamedPid(1, 1, "kept"));
  {
    KeptPid copy;
    copy = kept;
    KeptPid other(released);
    other = copy;
  }
  UseOthers(kNamedPidsIdleMax);
  EXPECT_EQ(NameOf(idle), nullptr);
  EXPECT_EQ(NameOf(released), nullptr);
  EXPECT_EQ(*NameOf(kept), "kept");
  EXPECT_EQ(NamedPid(1, 1, "kept"), kept);
  EXPECT_NE(NamedPid(1, 1, "idle"), idle) << "who kept the pid means nobody, not another name";
  const Pid before = kept;
  kept = Pid();
  UseOthers(kNamedPidsIdleMax);
  EXPECT_EQ(NameOf(before), nullptr);
}

TEST(NamedPid, ThereIsAlwaysRoomForOneMore) { UseOthers((1 << 20) + 1); }

}  // namespace
}  // namespace banyan
