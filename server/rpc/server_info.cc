#include "server/rpc/server_info.h"

#include "common/wire/time.h"
#include "server/rpc/channels.h"

namespace banyan::rpc {

void FillServerInfo(const ServerInfo& info, const Clock& clock, v1::GetServerInfoResponse* out) {
  out->set_node(info.name);
  out->set_cluster_name(info.cluster_name);
  out->set_version(info.version);
  out->set_build(info.build);
  out->add_api_packages("banyan.v1");
  out->mutable_identity()->set_subject("anonymous");
  *out->mutable_time() = wire::ToProto(clock.WallNow());
  out->set_max_message_bytes(kMessageBytesMax);
}

}  // namespace banyan::rpc
