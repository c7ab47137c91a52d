#include <charconv>

#include "absl/status/status.h"
#include "fmt/format.h"

#include "server/rpc/server.h"

namespace banyan::rpc {

bool HostPort::loopback() const {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

std::string HostPort::ToString() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

absl::StatusOr<HostPort> ParseHostPort(std::string_view text) {
  const auto bad = [text](std::string_view why) {
    return absl::InvalidArgumentError(fmt::format(
        "\"{}\" is not HOST:PORT: {}; for example 127.0.0.1:7400 or [::1]:0", text, why));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad("there is no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad("an IPv6 address needs brackets");
  }
  if (host.empty()) return bad("there is no host");
  HostPort out;
  out.host = std::string(host);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (error != std::errc() || end != digits.data() + digits.size() || out.port < 0 ||
      out.port > 65535) {
    return bad("the port must be a number from 0 to 65535");
  }
  return out;
}

}  // namespace banyan::rpc
