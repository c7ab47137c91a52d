#include "client/transport/duration.h"

#include <cctype>
#include <cstdint>

#include <fmt/format.h>

namespace banyan::client {
namespace {

// google.protobuf.Duration's limit: about 10,000 years.
constexpr absl::Duration kLongest = absl::Seconds(315576000000);

absl::Status BadDuration(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format(
      "\"{}\" is not a duration: {}; examples: 5s, 100ms, 1m30s, 2h, infinity", text, why));
}

}  // namespace

absl::StatusOr<absl::Duration> ParseDuration(std::string_view text) {
  if (text.empty()) return BadDuration(text, "it is empty");
  if (text == "infinity") return absl::InfiniteDuration();
  if (text == "0") return absl::ZeroDuration();
  // absl's own "inf" and signs are not part of the form.
  for (char c : text) {
    if (c == '-' || c == '+') return BadDuration(text, "it must not have a sign");
  }
  if (std::isdigit(static_cast<unsigned char>(text.back())))
    return BadDuration(text, "the unit is missing");
  absl::Duration duration;
  if (text.find("inf") != std::string_view::npos ||
      !absl::ParseDuration(absl::string_view(text.data(), text.size()), &duration)) {
    return BadDuration(text, "it must be numbers with the units ns, us, ms, s, m or h");
  }
  if (duration > kLongest) return BadDuration(text, "it is too long; write infinity");
  return duration;
}

absl::StatusOr<v1::ShutdownPolicy> ParseShutdown(std::string_view text) {
  v1::ShutdownPolicy policy;
  if (text == "brutal_kill") {
    policy.mutable_brutal_kill();
    return policy;
  }
  if (text == "infinity") {
    policy.mutable_infinity();
    return policy;
  }
  absl::StatusOr<absl::Duration> timeout = ParseDuration(text);
  if (!timeout.ok()) {
    return absl::InvalidArgumentError(fmt::format(
        "\"{}\" is not a shutdown policy; allowed: brutal_kill, infinity, or a duration such as 5s",
        text));
  }
  *policy.mutable_timeout() = ToProto(*timeout);
  return policy;
}

std::string FormatShutdown(const v1::ShutdownPolicy& policy) {
  switch (policy.policy_case()) {
    case v1::ShutdownPolicy::kBrutalKill:
      return "brutal_kill";
    case v1::ShutdownPolicy::kInfinity:
      return "infinity";
    case v1::ShutdownPolicy::kTimeout:
      return DurationText(FromProto(policy.timeout()));
    case v1::ShutdownPolicy::POLICY_NOT_SET:
      break;
  }
  return "default";
}

std::string DurationText(absl::Duration duration) {
  if (duration == absl::InfiniteDuration()) return "infinity";
  return absl::FormatDuration(duration);
}

std::string FormatAge(absl::Duration duration) {
  if (duration < absl::ZeroDuration()) duration = absl::ZeroDuration();
  if (duration == absl::InfiniteDuration()) return "-";
  const int64_t ms = absl::ToInt64Milliseconds(duration);
  if (ms < 1000) return fmt::format("{}ms", ms);
  const int64_t s = ms / 1000;
  if (s < 120) return fmt::format("{}s", s);
  if (s < 120 * 60) return fmt::format("{}m", s / 60);
  if (s < 48 * 3600) return fmt::format("{}h", s / 3600);
  return fmt::format("{}d", s / 86400);
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration out;
  if (duration > kLongest) duration = kLongest;
  absl::Duration rest;
  out.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  out.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return out;
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

}  // namespace banyan::client
