#include "client/transport/request_id.h"

#include <cstdint>
#include <random>

#include "absl/time/clock.h"
#include <fmt/format.h>

namespace banyan::client {

std::string NewRequestId() {
  std::random_device random;
  const uint64_t ms = static_cast<uint64_t>(absl::ToUnixMillis(absl::Now()));
  const uint32_t a = random();
  const uint64_t b = (uint64_t{random()} << 32) | random();
  // RFC 9562: 48 bits of time, version 7, 12 random bits, variant 2, 62 random bits.
  return fmt::format("{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}", (ms >> 16) & 0xFFFFFFFF, ms & 0xFFFF,
                     a & 0xFFF, 0x8000 | ((b >> 48) & 0x3FFF), b & 0xFFFFFFFFFFFF);
}

}  // namespace banyan::client
