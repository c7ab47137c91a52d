// Specifications from clients: refused with the wrong fields' names, or accepted for good. The
// first byte chooses between a child's and a supervisor's.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "google/protobuf/stubs/logging.h"

#include "banyan/v1/types.pb.h"
#include "common/base/check.h"
#include "server/wire/child_spec.h"

namespace {

using namespace banyan;

void Child(const char* data, int size) {
  v1::ChildSpec in;
  if (!in.ParseFromArray(data, size)) return;
  absl::StatusOr<ChildSpec> spec = wire::DecodeChildSpec(in);
  if (!spec.ok()) return;
  v1::ChildSpec out;
  wire::EncodeChildSpec(*spec, &out);
  BANYAN_CHECK(wire::DecodeChildSpec(out).ok());
}

void Supervisor(const char* data, int size) {
  v1::SupervisorSpec in;
  if (!in.ParseFromArray(data, size)) return;
  absl::StatusOr<SupervisorSpec> spec = wire::DecodeSupervisorSpec(in);
  if (!spec.ok()) return;
  v1::SupervisorSpec out;
  wire::EncodeSupervisorSpec(*spec, &out);
  BANYAN_CHECK(wire::DecodeSupervisorSpec(out).ok());
}

}  // namespace

// protobuf tells of each string that is no UTF-8: of most inputs.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const char* rest = reinterpret_cast<const char*>(data) + 1;
  (data[0] & 1) ? Supervisor(rest, static_cast<int>(size) - 1)
                : Child(rest, static_cast<int>(size) - 1);
  return 0;
}
