#pragma once

#include <algorithm>

#include "fmt/format.h"

#include "banyan/v1/actors.pb.h"
#include "common/base/error.h"
#include "common/wire/time.h"
#include "server/rpc/call_context.h"

namespace banyan::rpc {

inline constexpr absl::Duration kDefaultCallTimeout = absl::Seconds(5);

// The RPC's own deadline, or `timeout` if that is sooner; with neither, 5 s.
inline Instant CallDeadline(const CallContext& context, const v1::CallRequest& request,
                            Instant now) {
  Instant deadline = context.deadline;
  if (request.has_timeout())
    deadline = std::min(deadline, now + wire::FromProto(request.timeout()));
  if (deadline.infinite() && !request.has_timeout()) return now + kDefaultCallTimeout;
  return deadline;
}

// The RPC's own deadline; without one 5 s.
inline Instant SysDeadline(const CallContext& context, Instant now) {
  return context.deadline.infinite() ? now + kDefaultCallTimeout : context.deadline;
}

}  // namespace banyan::rpc
