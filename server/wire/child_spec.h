#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "banyan/v1/types.pb.h"
#include "common/base/error.h"
#include "server/core/child_spec.h"

namespace banyan::wire {

// Limits on a specification from outside; nested supervisors count in.
inline constexpr int kSpecChildrenMax = 10'000;
inline constexpr size_t kSpecArgsBytesMax = 4 * 1024 * 1024;
inline constexpr int kSpecDepthMax = 32;
inline constexpr int kSpecLabelsMax = 64;

// Decode and check everything that types.proto says about the message, and put in its defaults.
// Errors: SPEC_INVALID with all violations, their paths beginning with `field`, e.g.
// `spec.children[2].shutdown.timeout`.
absl::StatusOr<ChildSpec> DecodeChildSpec(const v1::ChildSpec& in, std::string_view field = "spec");
absl::StatusOr<SupervisorSpec> DecodeSupervisorSpec(const v1::SupervisorSpec& in,
                                                    std::string_view field = "spec");
absl::StatusOr<StartSpec> DecodeStartSpec(const v1::StartSpec& in,
                                          std::string_view field = "start");

// Everything is stated, defaults too, except where unset has a meaning of its own. A payload that
// is a local value is left out: it cannot leave its runtime.
void EncodeChildSpec(const ChildSpec& in, v1::ChildSpec* out);
void EncodeSupervisorSpec(const SupervisorSpec& in, v1::SupervisorSpec* out);
void EncodeStartSpec(const StartSpec& in, v1::StartSpec* out);

}  // namespace banyan::wire
