#pragma once

#include <string>

#include "banyan/v1/cluster.pb.h"
#include "common/time/clock.h"

namespace banyan::rpc {

// What GetServerInfo tells of the process itself.
struct ServerInfo {
  std::string name;
  std::string cluster_name;
  std::string version;
  std::string build;  // commit; may be empty
};

void FillServerInfo(const ServerInfo& info, const Clock& clock, v1::GetServerInfoResponse* out);

}  // namespace banyan::rpc
