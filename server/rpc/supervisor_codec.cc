#include "server/rpc/supervisor_codec.h"

#include "common/wire/exit_reason.h"
#include "common/wire/time.h"
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

v1::SupervisorEvent::Kind Encode(SupervisorEvent::Kind kind) {
  using In = SupervisorEvent::Kind;
  using Out = v1::SupervisorEvent;
  switch (kind) {
    case In::kSupervisorStarted:
      return Out::KIND_SUPERVISOR_STARTED;
    case In::kSupervisorExited:
      return Out::KIND_SUPERVISOR_EXITED;
    case In::kChildStarted:
      return Out::KIND_CHILD_STARTED;
    case In::kChildStartFailed:
      return Out::KIND_CHILD_START_FAILED;
    case In::kChildExited:
      return Out::KIND_CHILD_EXITED;
    case In::kChildRestarted:
      return Out::KIND_CHILD_RESTARTED;
    case In::kChildTerminated:
      return Out::KIND_CHILD_TERMINATED;
    case In::kChildDeleted:
      return Out::KIND_CHILD_DELETED;
    case In::kIntensityExceeded:
      return Out::KIND_INTENSITY_EXCEEDED;
  }
  return Out::KIND_UNSPECIFIED;
}

v1::ChildType Encode(ChildType type) {
  return type == ChildType::kSupervisor ? v1::CHILD_TYPE_SUPERVISOR : v1::CHILD_TYPE_WORKER;
}

void FillSpecParts(const ChildSpec& spec, v1::ChildInfo* out) {
  out->set_type(Encode(spec.type));
  out->set_module(spec.supervisor != nullptr ? "supervisor" : spec.start.module);
  for (const auto& [key, value] : spec.labels) (*out->mutable_labels())[key] = value;
}

std::string IdOf(const std::string& id, Pid pid, const wire::NodeIdentity& self,
                 const std::string& node) {
  return id.empty() && pid.valid() ? FormatPid(wire::Export(pid, self), node) : id;
}

}  // namespace

void EncodeChild(const ChildEntry& in, const wire::NodeIdentity& self, const std::string& node,
                 bool include_spec, v1::ChildInfo* out) {
  out->set_id(IdOf(in.id, in.pid, self, node));
  out->set_state(Encode(in.state));
  if (in.pid.valid() && in.state != ChildState::kUndefined) {
    wire::ToProto(in.pid, self, out->mutable_pid());
    out->set_node(node);
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

void EncodeSupervisor(Pid pid, const SupervisorInfo& in, const wire::NodeIdentity& self,
                      v1::SupervisorInfo* out) {
  wire::ToProto(pid, self, out->mutable_pid());
  out->set_name(in.name);
  if (!in.name.empty()) out->add_path(in.name);
  SupervisorSpec spec;
  spec.flags = in.flags;
  if (in.child_template != nullptr) spec.child_template = *in.child_template;
  wire::EncodeSupervisorSpec(spec, out->mutable_spec());
  EncodeCounts(in.counts, out->mutable_counts());
}

v1::SupervisorEvent EncodeEvent(const SupervisorEvent& in, const wire::NodeIdentity& self,
                                const std::string& node, absl::Time now) {
  v1::SupervisorEvent out;
  out.set_kind(Encode(in.kind));
  *out.mutable_time() = wire::ToProto(now);
  wire::ToProto(in.supervisor, self, out.mutable_supervisor());
  if (!in.supervisor_name.empty()) out.add_path(in.supervisor_name);
  const std::string id = IdOf(in.child_id, in.pid, self, node);
  if (!id.empty()) {
    if (!in.supervisor_name.empty()) out.add_path(id);
    v1::ChildInfo* child = out.mutable_child();
    child->set_id(id);
    child->set_node(node);
    child->set_restarts(in.restarts);
    if (in.pid.valid()) wire::ToProto(in.pid, self, child->mutable_pid());
    if (in.spec != nullptr) FillSpecParts(*in.spec, child);
  }
  using Kind = SupervisorEvent::Kind;
  if (in.kind == Kind::kSupervisorExited || in.kind == Kind::kChildStartFailed ||
      in.kind == Kind::kChildExited || in.kind == Kind::kChildTerminated ||
      in.kind == Kind::kIntensityExceeded) {
    wire::ToProto(in.reason, self, out.mutable_reason());
  }
  if (in.previous.valid()) wire::ToProto(in.previous, self, out.mutable_previous_pid());
  return out;
}

void EncodeStarted(const OpResult& result, const ChildSpec* spec, const wire::NodeIdentity& self,
                   const std::string& node, v1::ChildInfo* out) {
  out->set_id(IdOf(spec != nullptr ? spec->id : "", result.pid, self, node));
  if (spec != nullptr) FillSpecParts(*spec, out);
  if (!result.pid.valid()) {
    out->set_state(v1::CHILD_STATE_STOPPED);
    return;
  }
  wire::ToProto(result.pid, self, out->mutable_pid());
  out->set_state(v1::CHILD_STATE_RUNNING);
  out->set_node(node);
}

}  // namespace banyan::rpc
