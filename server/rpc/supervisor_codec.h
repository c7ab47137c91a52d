#pragma once

#include <string>
#include <vector>

#include "banyan/v1/supervisors.pb.h"
#include "common/wire/pid.h"
#include "server/behaviours/supervisor_requests.h"
#include "server/runtime/runtime.h"

namespace banyan::rpc {

// Local supervisors as the public API shows them.

// A process that does not know supervisors' requests is not one.
absl::Status NotASupervisor(absl::Status status);

// Whose they are.
struct OfNode {
  const Runtime* runtime;  // asked when processes were started
  wire::NodeIdentity self;
  std::string name;
};

void EncodeChild(const ChildEntry& in, const OfNode& node, bool include_spec, v1::ChildInfo* out);
void EncodeCounts(const ChildCounts& in, v1::ChildCounts* out);
void EncodeSupervisor(Pid pid, const SupervisorInfo& in, const OfNode& node,
                      v1::SupervisorInfo* out);
// A start of a child as its ChildInfo.
void EncodeStarted(const OpResult& result, const ChildSpec* spec, const OfNode& node,
                   v1::ChildInfo* out);

}  // namespace banyan::rpc
