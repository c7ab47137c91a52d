#pragma once

#include <cstdint>

#include "banyan/v1/types.pb.h"
#include "common/base/pid.h"

namespace banyan::wire {

// Which life of which node this process is; zeros before it has joined a cluster.
struct NodeIdentity {
  uint32_t node_id = 0;
  uint32_t incarnation = 0;
  friend bool operator==(const NodeIdentity&, const NodeIdentity&) = default;
};

// A local pid gets the node's own ids, since outside they are part of its name.
Pid Export(Pid pid, const NodeIdentity& self);
// A pid with the node's own ids becomes a local one.
Pid Import(Pid pid, const NodeIdentity& self);

void ToProto(Pid pid, const NodeIdentity& self, v1::Pid* out);
v1::Pid ToProto(Pid pid, const NodeIdentity& self);
Pid FromProto(const v1::Pid& in, const NodeIdentity& self);

// Fences are plain 63-bit numbers on the wire; one with the top bit set reads as none.
inline uint64_t ToProto(Fence fence) { return fence.value(); }
inline Fence FenceFromProto(uint64_t value) { return Fence(value >> 63 ? 0 : value); }

}  // namespace banyan::wire
