#include "common/wire/time.h"

#include <algorithm>

#include "fmt/format.h"

namespace banyan::wire {
namespace {

constexpr int64_t kDurationSecondsMax = 315'576'000'000;   // 10000 years
constexpr int64_t kTimestampSecondsMin = -62'135'596'800;  // 0001-01-01T00:00:00Z
constexpr int64_t kTimestampSecondsMax = 253'402'300'799;  // 9999-12-31T23:59:59Z
constexpr int32_t kNanosMax = 999'999'999;

}  // namespace

std::optional<std::string> Problem(const google::protobuf::Duration& in) {
  if (in.seconds() > kDurationSecondsMax || in.seconds() < -kDurationSecondsMax) {
    return fmt::format("has {} seconds; a duration has at most {}", in.seconds(),
                       kDurationSecondsMax);
  }
  if (in.nanos() > kNanosMax || in.nanos() < -kNanosMax) {
    return fmt::format("has {} nanos; they must be less than a second", in.nanos());
  }
  if ((in.seconds() > 0 && in.nanos() < 0) || (in.seconds() < 0 && in.nanos() > 0)) {
    return "has seconds and nanos of different signs";
  }
  return std::nullopt;
}

std::optional<std::string> Problem(const google::protobuf::Timestamp& in) {
  if (in.seconds() < kTimestampSecondsMin || in.seconds() > kTimestampSecondsMax) {
    return "is outside the years 1 to 9999";
  }
  if (in.nanos() < 0 || in.nanos() > kNanosMax) {
    return fmt::format("has {} nanos; they must be 0 to {}", in.nanos(), kNanosMax);
  }
  return std::nullopt;
}

google::protobuf::Duration ToProto(absl::Duration d) {
  const absl::Duration limit = absl::Seconds(kDurationSecondsMax);
  d = std::clamp(d, -limit, limit);
  google::protobuf::Duration out;
  out.set_seconds(absl::IDivDuration(d, absl::Seconds(1), &d));
  out.set_nanos(static_cast<int32_t>(absl::IDivDuration(d, absl::Nanoseconds(1), &d)));
  return out;
}

absl::Duration FromProto(const google::protobuf::Duration& in) {
  return absl::Seconds(std::clamp(in.seconds(), -kDurationSecondsMax, kDurationSecondsMax)) +
         absl::Nanoseconds(std::clamp(in.nanos(), -kNanosMax, kNanosMax));
}

google::protobuf::Timestamp ToProto(absl::Time t) {
  t = std::clamp(t, absl::FromUnixSeconds(kTimestampSecondsMin),
                 absl::FromUnixSeconds(kTimestampSecondsMax));
  google::protobuf::Timestamp out;
  const int64_t seconds = absl::ToUnixSeconds(t);
  out.set_seconds(seconds);
  out.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(t - absl::FromUnixSeconds(seconds))));
  return out;
}

absl::Time FromProto(const google::protobuf::Timestamp& in) {
  return absl::FromUnixSeconds(
             std::clamp(in.seconds(), kTimestampSecondsMin, kTimestampSecondsMax)) +
         absl::Nanoseconds(std::clamp(in.nanos(), 0, kNanosMax));
}

}  // namespace banyan::wire
