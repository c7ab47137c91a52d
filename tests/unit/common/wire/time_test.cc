#include "common/wire/time.h"

#include "gmock/gmock.h"

namespace banyan::wire {
namespace {

TEST(Duration, RoundTripsAndClamps) {
  for (absl::Duration d : {absl::ZeroDuration(), absl::Milliseconds(1500),
                           absl::Milliseconds(-1500), absl::Nanoseconds(1)}) {
    EXPECT_FALSE(Problem(ToProto(d)));
    EXPECT_EQ(FromProto(ToProto(d)), d);
  }
  EXPECT_EQ(ToProto(absl::InfiniteDuration()).seconds(), 315'576'000'000);
  EXPECT_FALSE(Problem(ToProto(absl::InfiniteDuration())));
}

TEST(Duration, SaysWhatIsWrong) {
  google::protobuf::Duration d;
  d.set_seconds(1);
  d.set_nanos(-1);
  EXPECT_TRUE(Problem(d));
  d.set_nanos(2'000'000'000);
  EXPECT_TRUE(Problem(d));
  d.set_nanos(0);
  d.set_seconds(INT64_MIN);
  EXPECT_TRUE(Problem(d));
  FromProto(d);
}

TEST(Timestamp, RoundTripsAndClamps) {
  const absl::Time t = absl::FromUnixMillis(-1500);
  EXPECT_EQ(FromProto(ToProto(t)), t);
  EXPECT_FALSE(Problem(ToProto(absl::InfinitePast())));
  EXPECT_FALSE(Problem(ToProto(absl::InfiniteFuture())));
  google::protobuf::Timestamp bad;
  bad.set_nanos(-1);
  EXPECT_TRUE(Problem(bad));
}

}  // namespace
}  // namespace banyan::wire
