#include "gtest/gtest.h"

#include "common/base/error.h"
#include "server/rpc/send_stream.h"

namespace banyan::rpc {
namespace {

bool Delivers(const LegFences::Leg& leg) {
  bool put = false;
  const absl::Status status = leg.Put([&] {
    put = true;
    return absl::OkStatus();
  });
  EXPECT_EQ(ErrorReason(status), put ? "" : "NOT_DELIVERED");
  return put;
}

TEST(LegFences, OnlyTheLatestLegOfAFlowDelivers) {
  LegFences fences;
  const LegFences::Leg first = fences.Enter("flow.1");
  const LegFences::Leg other = fences.Enter("other.1");
  EXPECT_TRUE(Delivers(first));
  const LegFences::Leg third = fences.Enter("flow.3");
  EXPECT_FALSE(Delivers(first));
  EXPECT_TRUE(Delivers(third));
  EXPECT_TRUE(Delivers(other));
  const LegFences::Leg late = fences.Enter("flow.2");
  EXPECT_FALSE(Delivers(late)) << "it was opened before the third";
  EXPECT_TRUE(Delivers(third));
}

TEST(LegFences, AClientsStreamAndAnUnknownFormAreNotHeldUp) {
  LegFences fences;
  EXPECT_TRUE(Delivers(LegFences::Leg()));
  for (const char* name : {"", "x", "x.", "x.y", "x.1y"}) {
    EXPECT_TRUE(Delivers(fences.Enter(name))) << name;
  }
}

TEST(LegFences, FlowsThatAreOverAreForgottenAndOthersAreNot) {
  LegFences fences;
  const LegFences::Leg first = fences.Enter("kept.1");
  for (int i = 0; i < 1000; ++i) fences.Enter(std::to_string(i) + ".1");
  const LegFences::Leg second = fences.Enter("kept.2");
  EXPECT_FALSE(Delivers(first));
  EXPECT_TRUE(Delivers(second));
}

}  // namespace
}  // namespace banyan::rpc
