#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace banyan::wire {

// What is wrong with a duration or timestamp that came from outside, as half a sentence; nullopt if
// it is well-formed (seconds within protobuf's range, nanos within a second and of the same sign).
std::optional<std::string> Problem(const google::protobuf::Duration& in);
std::optional<std::string> Problem(const google::protobuf::Timestamp& in);

// Out-of-range values are clamped, in both directions: an infinite duration reads back as about ten
// thousand years.
google::protobuf::Duration ToProto(absl::Duration d);
absl::Duration FromProto(const google::protobuf::Duration& in);
google::protobuf::Timestamp ToProto(absl::Time t);
absl::Time FromProto(const google::protobuf::Timestamp& in);

}  // namespace banyan::wire
