#pragma once

#include <functional>

#include "absl/status/statusor.h"

#include "banyan/v1/supervisors.pb.h"
#include "server/rpc/supervisor_codec.h"
#include "server/runtime/runtime.h"

namespace banyan::rpc {

inline constexpr int kTreeNodesMax = 10'000;

// A local supervisor with everything under it, `depth` levels down (0: all). Branches are asked at
// the same time. Errors: those of the top; TREE_TOO_LARGE. A branch that ends meanwhile is left
// out.
void WalkTree(Runtime* runtime, OfNode node, Pid top, uint32_t depth,
              std::function<void(absl::StatusOr<v1::GetTreeResponse>)> done);

}  // namespace banyan::rpc
