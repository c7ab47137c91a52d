#pragma once

#include <string>

#include "absl/status/status.h"

#include "banyan/v1/supervisors.pb.h"
#include "banyan/v1/types.pb.h"
#include "server/coordinator/coordinator.h"

namespace banyan {

struct Child;
struct Member;
struct ClusterSupervisor;

// The state as others are shown it.
// `for_view`: what nodes need of each other, without load and modules.
std::string EtagOf(const Member& member);
v1::NodeInfo EncodeNode(const Coordinator::Core& core, const Member& member, bool for_view);
v1::ChildInfo EncodeChild(const Coordinator::Core& core, const Child& child, bool with_spec);
v1::SupervisorInfo EncodeSupervisor(const Coordinator::Core& core, const ClusterSupervisor& sup);
v1::ChildCounts EncodeCounts(const ClusterSupervisor& sup);
// The error of a start that failed: CHILD_START_FAILED with the reason, or NO_NODE_FITS.
absl::Status StartError(const std::string& child, const ExitReason& reason);

}  // namespace banyan
