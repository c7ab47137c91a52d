#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"

#include "common/base/error.h"
#include "common/wire/pid.h"

namespace banyan::wire {

// The one mapping between absl::Status and google.rpc.Status (docs/errors.md).
//
// What MakeError attached becomes ErrorInfo (domain "banyan"), BadRequest, RetryInfo and ExitReason
// details. Any other detail, as from an actor, is kept as a status payload whose key is the
// detail's type URL, and goes out again unchanged.
//
// A pid of this node in the metadata `pid` or `target`, and where the text has it, is written with
// the ids of `self`, as other pids are.

inline constexpr char kDomain[] = "banyan";
inline constexpr char kOriginTrailer[] = "banyan-origin";
inline constexpr char kActorOrigin[] = "actor";
inline constexpr char kPushbackTrailer[] = "grpc-retry-pushback-ms";

void ToProto(const absl::Status& in, const NodeIdentity& self, google::rpc::Status* out);
google::rpc::Status ToProto(const absl::Status& in, const NodeIdentity& self = {});
// An unknown code reads as UNKNOWN.
absl::Status FromProto(const google::rpc::Status& in, const NodeIdentity& self = {});

// The details are cut to what fits into trailers, since a larger one is refused by the other side
// and would hide the error itself: stack and cause go first, then further field violations.
grpc::Status ToGrpc(const absl::Status& in, const NodeIdentity& self = {});
absl::Status FromGrpc(const grpc::Status& in, const NodeIdentity& self = {});

// The trailers that go with a failed call, key and value; empty for OK. They say who failed and
// steer the client library's own retries: the delay if it did not run and trying again may help, -1
// if it may have run.
std::vector<std::pair<std::string, std::string>> Trailers(const absl::Status& status);

}  // namespace banyan::wire
