#include "server/rpc/supervisor_codec.h"

#include "common/base/error.h"
#include "common/wire/time.h"
#include "server/node/event_ring.h"
#include "server/wire/child_spec.h"

namespace banyan::rpc {
namespace {

v1::ChildState Encode(ChildState state) {
  switch (state) {
    case ChildState::kUndefined:
      return v1::CHILD_STATE_STOPPED;
    case ChildState::kStarting:
      return v1::CHILD_STATE_STARTING;
    case ChildState::kRunning:
      return v1::CHILD_STATE_RUNNING;
    case ChildState::kStopping:
      return v1::CHILD_STATE_STOPPING;
    case ChildState::kRestarting:
      return v1::CHILD_STATE_BACKOFF;
  }
  return v1::CHILD_STATE_UNSPECIFIED;
}

v1::ChildType Encode(ChildType type) {
  return type == ChildType::kSupervisor ? v1::CHILD_TYPE_SUPERVISOR : v1::CHILD_TYPE_WORKER;
}

void FillSpecParts(const ChildSpec& spec, v1::ChildInfo* out) {
  out->set_type(Encode(spec.type));
  out->set_module(spec.supervisor != nullptr ? "supervisor" : spec.start.module);
  for (const auto& [key, value] : spec.labels) (*out->mutable_labels())[key] = value;
}

std::string IdOf(const std::string& id, Pid pid, const OfNode& node) {
  return id.empty() && pid.valid() ? FormatPid(wire::Export(pid, node.self), node.name) : id;
}

// Left unset where the process is gone by now.
template <typename Message>
void PutStartTime(Pid pid, const OfNode& node, Message* out) {
  if (std::optional<ProcessSnapshot> process = node.runtime->Look(pid))
    *out->mutable_start_time() = wire::ToProto(process->start_time);
}

}  // namespace

absl::Status NotASupervisor(absl::Status status) {
  if (ErrorReason(status) != "CALL_NOT_HANDLED") return status;
  return MakeError("NOT_A_SUPERVISOR", "the target is a process, but not a supervisor");
}

void EncodeChild(const ChildEntry& in, const OfNode& node, bool include_spec, v1::ChildInfo* out) {
  out->set_id(IdOf(in.id, in.pid, node));
  out->set_state(Encode(in.state));
  if (in.pid.valid() && in.state != ChildState::kUndefined) {
    wire::ToProto(in.pid, node.self, out->mutable_pid());
    out->set_node(node.name);
    PutStartTime(in.pid, node, out);
  }
  out->set_restarts(in.restarts);
  if (in.spec == nullptr) return;
  FillSpecParts(*in.spec, out);
  if (include_spec) wire::EncodeChildSpec(*in.spec, out->mutable_spec());
}

void EncodeCounts(const ChildCounts& in, v1::ChildCounts* out) {
  out->set_specs(in.specs);
  out->set_active(in.active);
  out->set_supervisors(in.supervisors);
  out->set_workers(in.workers);
}

void EncodeSupervisor(Pid pid, const SupervisorInfo& in, const OfNode& node,
                      v1::SupervisorInfo* out) {
  wire::ToProto(pid, node.self, out->mutable_pid());
  PutStartTime(pid, node, out);
  out->set_name(in.name);
  for (const std::string& name : QualifiedPath(in.path, node.self, node.name)) out->add_path(name);
  SupervisorSpec spec;
  spec.flags = in.flags;
  if (in.child_template != nullptr) spec.child_template = *in.child_template;
  wire::EncodeSupervisorSpec(spec, out->mutable_spec());
  EncodeCounts(in.counts, out->mutable_counts());
}

void EncodeStarted(const OpResult& result, const ChildSpec* spec, const OfNode& node,
                   v1::ChildInfo* out) {
  out->set_id(IdOf(spec != nullptr ? spec->id : "", result.pid, node));
  if (spec != nullptr) FillSpecParts(*spec, out);
  if (!result.pid.valid()) {
    out->set_state(v1::CHILD_STATE_STOPPED);
    return;
  }
  wire::ToProto(result.pid, node.self, out->mutable_pid());
  out->set_state(v1::CHILD_STATE_RUNNING);
  out->set_node(node.name);
  PutStartTime(result.pid, node, out);
}

}  // namespace banyan::rpc
