#pragma once

#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/security/credentials.h"

#include "server/node/watcher/watcher.h"

namespace banyan {

struct ReportOptions {
  std::shared_ptr<grpc::ChannelCredentials> credentials;  // null: without TLS
  absl::Duration answer_limit = absl::Seconds(5);         // for one coordinator
  absl::Duration limit = absl::Seconds(10);               // for all of them
};

// Tells the first coordinator of the page that takes it that the node's process has ended: its
// death certificate. OK once the coordinator has recorded it; else what the last one answered, or
// FAILED_PRECONDITION without any address. Blocks; starts gRPC.
absl::Status ReportNodeEnd(const WatchPage& page, const NodeEnd& end, const ReportOptions& options);

}  // namespace banyan
