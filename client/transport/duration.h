#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

#include "banyan/v1/types.pb.h"

namespace banyan::client {

// Durations as people write them: "5s", "100ms", "1m30s", "2h", "0", "infinity". A bare number
// other than 0 is refused: its unit would be a guess. Never negative.
absl::StatusOr<absl::Duration> ParseDuration(std::string_view text);

// "brutal_kill", "infinity" or a duration.
absl::StatusOr<v1::ShutdownPolicy> ParseShutdown(std::string_view text);
std::string FormatShutdown(const v1::ShutdownPolicy& policy);

// "infinity", "5s", "1m30s", "100ms".
std::string DurationText(absl::Duration duration);
// One unit, rounded down, for tables: "850ms", "14m", "2d".
std::string FormatAge(absl::Duration duration);

google::protobuf::Duration ToProto(absl::Duration duration);
absl::Duration FromProto(const google::protobuf::Duration& duration);
absl::Time FromProto(const google::protobuf::Timestamp& time);

}  // namespace banyan::client
