#pragma once

#include <string>

#include "grpcpp/support/byte_buffer.h"

namespace banyan::rpc {

// Takes the string over without copying it.
grpc::ByteBuffer ToByteBuffer(std::string bytes);

// One copy. False: the message could not be decompressed.
bool ToString(grpc::ByteBuffer* buffer, std::string* bytes);

}  // namespace banyan::rpc
