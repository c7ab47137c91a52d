#include "server/rpc/call_context.h"

#include <charconv>
#include <chrono>

#include "fmt/format.h"

#include "common/base/error.h"

namespace banyan::rpc {
namespace {

// Beyond this a deadline means none; the sum with the clock cannot overflow below it.
constexpr std::chrono::hours kFarAway{24 * 365 * 10};

Instant ReadDeadline(const grpc::CallbackServerContext& context, const Clock& clock) {
  const auto deadline = context.deadline();
  const auto now = std::chrono::system_clock::now();
  if (deadline > now + kFarAway) return Instant::Infinite();
  return clock.Now() +
         absl::Nanoseconds(
             std::chrono::duration_cast<std::chrono::nanoseconds>(deadline - now).count());
}

}  // namespace

absl::StatusOr<CallContext> ReadContext(grpc::CallbackServerContext* context, const Clock& clock) {
  CallContext out;
  out.server = context;
  out.deadline = ReadDeadline(*context, clock);
  const auto& metadata = context->client_metadata();
  if (auto it = metadata.find(kForwardedKey); it != metadata.end()) {
    const auto [end, error] = std::from_chars(it->second.begin(), it->second.end(), out.hops);
    if (error != std::errc() || end != it->second.end() || out.hops < 0) {
      return absl::InvalidArgumentError(fmt::format("metadata {} must be a number", kForwardedKey));
    }
    if (out.hops > kForwardsMax) {
      return MakeError("FORWARD_LOOP", fmt::format("the request was passed on {} times", out.hops),
                       {{"hops", fmt::format("{}", out.hops)}});
    }
  }
  return out;
}

void WriteContext(const CallContext& from, const Clock& clock, grpc::ClientContext* to) {
  to->AddMetadata(kForwardedKey, fmt::format("{}", from.hops + 1));
  if (from.deadline.infinite()) return;
  to->set_deadline(std::chrono::system_clock::now() +
                   absl::ToChronoNanoseconds(from.deadline - clock.Now()));
}

}  // namespace banyan::rpc
