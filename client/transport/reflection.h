#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/descriptor.pb.h"
#include "grpcpp/channel.h"

namespace banyan::client {

// Asks the server's grpc.reflection.v1alpha service for the files that define `symbol`. Empty if
// the server doesn't know it or has no reflection: the caller then says that the type is unknown.
std::vector<google::protobuf::FileDescriptorProto> FetchFilesOf(
    const std::shared_ptr<grpc::Channel>& channel, const std::string& symbol,
    absl::Duration timeout);

}  // namespace banyan::client
