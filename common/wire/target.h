#pragma once

#include <string_view>

#include "absl/status/statusor.h"

#include "banyan/v1/types.pb.h"
#include "common/base/target.h"
#include "common/wire/pid.h"

namespace banyan::wire {

// Errors: TARGET_INVALID with the field's path below `field`.
absl::StatusOr<Target> FromProto(const v1::Target& in, const NodeIdentity& self,
                                 std::string_view field = "target");
// Errors: TARGET_INVALID for a pid whose node is still a name: resolve it first.
absl::Status ToProto(const Target& in, const NodeIdentity& self, v1::Target* out);

}  // namespace banyan::wire
