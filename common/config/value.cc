#include "common/config/value.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "fmt/format.h"
#include "fmt/ranges.h"

#include "common/base/check.h"

namespace banyan::config {
namespace {

constexpr size_t kHostMax = 255;

absl::Status Invalid(const std::string& what) { return absl::InvalidArgumentError(what); }

absl::Status NotAllowed(const Shape& shape, std::string_view text) {
  return Invalid(fmt::format("'{}' is not {}", text.substr(0, 200), Allowed(shape)));
}

std::optional<int64_t> ParseInt(std::string_view text) {
  int64_t n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return n;
}

std::optional<bool> ParseBool(std::string_view text) {
  if (text == "true" || text == "yes" || text == "on" || text == "1") return true;
  if (text == "false" || text == "no" || text == "off" || text == "0") return false;
  return std::nullopt;
}

std::string_view Trim(std::string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

std::vector<std::string_view> Split(const std::vector<std::string>& texts) {
  std::vector<std::string_view> out;
  for (std::string_view text : texts) {
    while (!text.empty()) {
      const size_t comma = text.find(',');
      if (auto part = Trim(text.substr(0, comma)); !part.empty()) out.push_back(part);
      if (comma == std::string_view::npos) break;
      text.remove_prefix(comma + 1);
    }
  }
  return out;
}

absl::StatusOr<Value> ParseScalar(const Shape& shape, const std::string& text) {
  switch (shape.type) {
    case Type::kBool:
      if (auto b = ParseBool(text)) return Value(*b);
      break;
    case Type::kInt:
      if (auto n = ParseInt(text); n && *n >= shape.min && *n <= shape.max) return Value(*n);
      break;
    case Type::kDuration:
      if (absl::Duration d;
          absl::ParseDuration(text, &d) && d >= shape.min_duration && d <= shape.max_duration) {
        return Value(d);
      }
      break;
    case Type::kHostPort: {
      BANYAN_ASSIGN_OR_RETURN(HostPort address, ParseHostPort(text));
      return Value(std::move(address));
    }
    default:
      if (shape.words.empty() ||
          std::find(shape.words.begin(), shape.words.end(), text) != shape.words.end()) {
        return Value(text);
      }
  }
  return NotAllowed(shape, text);
}

absl::StatusOr<Value> ParseAddresses(const std::vector<std::string>& texts) {
  std::vector<HostPort> out;
  for (std::string_view part : Split(texts)) {
    BANYAN_ASSIGN_OR_RETURN(HostPort address, ParseHostPort(part));
    out.push_back(std::move(address));
  }
  return Value(std::move(out));
}

absl::StatusOr<Value> ParseMap(const Shape& shape, const std::vector<std::string>& texts) {
  Map out;
  for (std::string_view part : Split(texts)) {
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos || equals == 0) return NotAllowed(shape, part);
    std::string key(part.substr(0, equals));
    if (!out.emplace(key, std::string(part.substr(equals + 1))).second) {
      return Invalid(fmt::format("the key '{}' is there twice", key));
    }
  }
  return Value(std::move(out));
}

}  // namespace

std::string HostPort::ToString() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

absl::StatusOr<HostPort> ParseHostPort(std::string_view text) {
  const auto fail = [&](std::string_view why) {
    return Invalid(
        fmt::format("'{}' is not HOST:PORT or [IPV6]:PORT: {}", text.substr(0, 200), why));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return fail("it has no port");
  const auto port = ParseInt(text.substr(colon + 1));
  if (!port || *port < 0 || *port > 65535) return fail("the port is not a number from 0 to 65535");
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']') && host.size() > 2) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find_first_of(":[]") != std::string_view::npos) {
    return fail("an IPv6 address goes in brackets");
  }
  if (host.size() > kHostMax || host.find_first_of(" \t\n,/") != std::string_view::npos) {
    return fail("the host is not a name or an address");
  }
  return HostPort{std::string(host), static_cast<uint16_t>(*port)};
}

std::string Allowed(const Shape& shape) {
  switch (shape.type) {
    case Type::kBool:
      return "true or false";
    case Type::kInt: {
      const bool low = shape.min != std::numeric_limits<int64_t>::min();
      const bool high = shape.max != std::numeric_limits<int64_t>::max();
      if (low && high) return fmt::format("a whole number from {} to {}", shape.min, shape.max);
      if (low) return fmt::format("a whole number from {}", shape.min);
      if (high) return fmt::format("a whole number up to {}", shape.max);
      return "a whole number";
    }
    case Type::kDuration:
      if (shape.max_duration == absl::InfiniteDuration()) {
        return fmt::format("a duration such as 500ms, 10s or 1h30m, from {}; inf: no limit",
                           absl::FormatDuration(shape.min_duration));
      }
      return fmt::format("a duration such as 500ms, 10s or 1h30m, from {} to {}",
                         absl::FormatDuration(shape.min_duration),
                         absl::FormatDuration(shape.max_duration));
    case Type::kHostPort:
      return "HOST:PORT or [IPV6]:PORT";
    case Type::kHostPorts:
      return "a list of HOST:PORT, separated by commas";
    case Type::kMap:
      return "a list of KEY=VALUE, separated by commas";
    case Type::kString:
      break;
  }
  if (shape.words.empty()) return "a text";
  return fmt::format("one of {}", fmt::join(shape.words, ", "));
}

absl::StatusOr<Value> ParseValue(const Shape& shape, const std::vector<std::string>& texts) {
  if (shape.type == Type::kHostPorts) return ParseAddresses(texts);
  if (shape.type == Type::kMap) return ParseMap(shape, texts);
  if (texts.size() != 1) return Invalid(fmt::format("has {} values; it takes one", texts.size()));
  return ParseScalar(shape, texts.front());
}

std::string FormatValue(const Value& value) {
  struct Format {
    std::string operator()(const std::string& s) const { return s; }
    std::string operator()(bool b) const { return b ? "true" : "false"; }
    std::string operator()(int64_t n) const { return fmt::format("{}", n); }
    std::string operator()(absl::Duration d) const { return absl::FormatDuration(d); }
    std::string operator()(const HostPort& a) const { return a.ToString(); }
    std::string operator()(const std::vector<HostPort>& list) const {
      std::string out;
      for (const HostPort& a : list) out += (out.empty() ? "" : ",") + a.ToString();
      return out;
    }
    std::string operator()(const Map& map) const {
      std::string out;
      for (const auto& [k, v] : map) out += fmt::format("{}{}={}", out.empty() ? "" : ",", k, v);
      return out;
    }
  };
  return std::visit(Format{}, value);
}

}  // namespace banyan::config
