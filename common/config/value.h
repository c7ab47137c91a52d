#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace banyan::config {

struct HostPort {
  std::string host;  // without the brackets of an IPv6 address; empty: all interfaces
  uint16_t port = 0;
  std::string ToString() const;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

using Map = std::map<std::string, std::string>;
using Value =
    std::variant<std::string, bool, int64_t, absl::Duration, HostPort, std::vector<HostPort>, Map>;

enum class Type : uint8_t { kString, kBool, kInt, kDuration, kHostPort, kHostPorts, kMap };

// What an option takes.
struct Shape {
  Type type = Type::kString;
  std::vector<std::string> words;                     // kString: only these, unless empty
  int64_t min = std::numeric_limits<int64_t>::min();  // kInt
  int64_t max = std::numeric_limits<int64_t>::max();
  absl::Duration min_duration = absl::ZeroDuration();  // kDuration
  absl::Duration max_duration = absl::InfiniteDuration();
};

// Reads the value from its texts: one for a scalar; for lists and maps any number, each of which
// may hold several separated by commas. The error is half a sentence that says what is allowed.
absl::StatusOr<Value> ParseValue(const Shape& shape, const std::vector<std::string>& texts);
// "what is allowed": "a whole number from 1 to 10".
std::string Allowed(const Shape& shape);
// The text form, which ParseValue reads back.
std::string FormatValue(const Value& value);

absl::StatusOr<HostPort> ParseHostPort(std::string_view text);

}  // namespace banyan::config
