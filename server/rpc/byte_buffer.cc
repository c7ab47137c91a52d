#include "server/rpc/byte_buffer.h"

#include <utility>
#include <vector>

#include "grpcpp/support/slice.h"

namespace banyan::rpc {
namespace {

// Below this a copy into the slice itself is cheaper than keeping the string alive.
constexpr size_t kCopyBelow = 256;

}  // namespace

grpc::ByteBuffer ToByteBuffer(std::string bytes) {
  if (bytes.size() < kCopyBelow) {
    grpc::Slice slice(bytes);
    return grpc::ByteBuffer(&slice, 1);
  }
  auto* owned = new std::string(std::move(bytes));
  grpc::Slice slice(
      owned->data(), owned->size(), [](void* p) { delete static_cast<std::string*>(p); }, owned);
  return grpc::ByteBuffer(&slice, 1);
}

bool ToString(grpc::ByteBuffer* buffer, std::string* bytes) {
  grpc::Slice single;
  if (buffer->TrySingleSlice(&single).ok()) {
    bytes->assign(reinterpret_cast<const char*>(single.begin()), single.size());
    return true;
  }
  std::vector<grpc::Slice> slices;
  if (!buffer->Dump(&slices).ok()) return false;
  bytes->clear();
  bytes->reserve(buffer->Length());
  for (const grpc::Slice& slice : slices) {
    bytes->append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return true;
}

}  // namespace banyan::rpc
