#pragma once

#include <string>
#include <vector>

#include "banyan/v1/supervisors.pb.h"
#include "common/wire/pid.h"
#include "server/behaviours/host.h"
#include "server/behaviours/supervisor_requests.h"

namespace banyan::rpc {

// Local supervisors as the public API shows them.

void EncodeChild(const ChildEntry& in, const wire::NodeIdentity& self, const std::string& node,
                 bool include_spec, v1::ChildInfo* out);
void EncodeCounts(const ChildCounts& in, v1::ChildCounts* out);
void EncodeSupervisor(Pid pid, const SupervisorInfo& in, const wire::NodeIdentity& self,
                      v1::SupervisorInfo* out);
v1::SupervisorEvent EncodeEvent(const SupervisorEvent& in, const wire::NodeIdentity& self,
                                const std::string& node, absl::Time now);

// A start of a child as its ChildInfo.
void EncodeStarted(const OpResult& result, const ChildSpec* spec, const wire::NodeIdentity& self,
                   const std::string& node, v1::ChildInfo* out);

}  // namespace banyan::rpc
