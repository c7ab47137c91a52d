#pragma once

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "server/behaviours/requests.h"

// One request to many servers: gen_server:multi_call and abcast. The servers may be on any node.

namespace banyan {

struct MultiCallResult {
  // Both in the order of the servers given.
  std::vector<std::pair<ServerRef, Payload>> replies;
  // Those that did not reply, and why: an error of Response, or CALL_TIMEOUT.
  std::vector<std::pair<ServerRef, absl::Status>> bad;
};

// Asks all at once and waits for all, at most `timeout` for the whole. Replies that are there by
// then are kept, later ones are dropped, and the servers do not notice.
Task<MultiCallResult> MultiCall(Self& self, std::vector<ServerRef> servers, Payload request,
                                absl::Duration timeout = absl::InfiniteDuration());

// A cast to all. Never fails: to nobody is to nobody.
void AbCast(Self& self, const std::vector<ServerRef>& servers, const Payload& request);

}  // namespace banyan
