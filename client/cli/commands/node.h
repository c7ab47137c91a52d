#pragma once

#include "client/cli/cli.h"
#include "client/cli/output.h"

#include "banyan/v1/cluster.pb.h"

namespace banyan::cli {

// All pages of ListNodes.
client::ApiError FetchNodes(Cli& cli, const v1::ListNodesRequest& request,
                            v1::ListNodesResponse* all);
// The table of `node list` and `status`.
Table NodeTable(Cli& cli, const v1::ListNodesResponse& nodes);

}  // namespace banyan::cli
