#pragma once

#include "absl/status/status.h"

#include "banyan/v1/actors.pb.h"
#include "banyan/v1/cluster.pb.h"
#include "banyan/v1/registry.pb.h"
#include "banyan/v1/supervisors.pb.h"
#include "banyan/v1/sys.pb.h"

namespace banyan::rpc {

// Checks of a request's own fields, before anything is done with it: all that can be seen without
// knowing the cluster. Errors name every wrong field: TARGET_INVALID, PAYLOAD_INVALID,
// SPEC_INVALID, PAYLOAD_TOO_LARGE, PAGE_TOKEN_INVALID, and REQUEST_INVALID for the rest.
#define BANYAN_RPC(Method) absl::Status Validate(const v1::Method##Request& request);
#define BANYAN_STREAM(Method) absl::Status Validate(const v1::Method##Request& request);
#include "server/rpc/methods.inc"
#undef BANYAN_RPC
#undef BANYAN_STREAM
// One message of a SendStream, which should have the number `seq`.
absl::Status Validate(const v1::SendStreamRequest& request, uint64_t seq);

}  // namespace banyan::rpc
