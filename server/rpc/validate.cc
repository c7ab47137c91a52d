#include "server/rpc/validate.h"

#include "fmt/format.h"

#include "server/rpc/field_checks.h"
#include "server/rpc/filter.h"
#include "server/rpc/page_token.h"

namespace banyan::rpc {
namespace {

constexpr int kMonitorTargetsMax = 1000;
constexpr size_t kMessageTextMax = 4096;
constexpr size_t kNotesBytesMax = 8 * 1024;
constexpr int kGroupTargetsMax = 1000;
constexpr size_t kOperationIdMax = 255;
constexpr size_t kResumeTokenMax = 1024;
constexpr size_t kVersionMax = 255;
constexpr uint32_t kLogEventsMax = 1000;

// The fields that all lists have.
template <typename Request>
FieldChecks Page(const Request& request) {
  FieldChecks checks;
  checks.PageSize(request.page_size());
  if (request.page_token().size() > kPageTokenMax) {
    checks.Add("PAGE_TOKEN_INVALID", "page_token", "is not a token of ours");
  }
  return checks;
}

// Slot 0 is nobody's.
void ProcessSlot(const v1::Pid& pid, std::string_view reason, const std::string& field,
                 FieldChecks* checks) {
  if (static_cast<uint32_t>(pid.id()) == 0) {
    checks->Add(reason, field + ".id", "names no process: its low 32 bits are 0");
  }
}

template <typename Request>
FieldChecks SupervisorTarget(const Request& request) {
  FieldChecks checks;
  checks.Target(request.supervisor(), request.has_supervisor(), "supervisor");
  return checks;
}

template <typename Request>
FieldChecks ChildOf(const Request& request) {
  return SupervisorTarget(request).ChildRef(request.child_id());
}

}  // namespace

// ---------------------------------------------------------------- actors

// The hot path: a target that is decoded anyway is checked then.
absl::Status Validate(const v1::CallRequest& r) {
  return FieldChecks()
      .Payload(r.payload(), "payload")
      .Duration(r.timeout(), r.has_timeout(), "timeout")
      .status();
}
absl::Status Validate(const v1::CastRequest& r) {
  return FieldChecks().Payload(r.payload(), "payload").status();
}
absl::Status Validate(const v1::SendRequest& r) {
  return FieldChecks()
      .Payload(r.payload(), "payload")
      .Duration(r.delay(), r.has_delay(), "delay")
      .status();
}
absl::Status Validate(const v1::SendStreamRequest& r, uint64_t seq) {
  FieldChecks checks;
  if (r.seq() != seq) {
    checks.Add("REQUEST_INVALID", "seq",
               fmt::format("is {}; this message's number is {}", r.seq(), seq));
  }
  checks.Target(r.target(), r.has_target()).Payload(r.payload(), "payload");
  if (r.target().has_pid() && r.target().pid().id() != 0)
    ProcessSlot(r.target().pid(), "TARGET_INVALID", "target.pid", &checks);
  return checks.status();
}
absl::Status Validate(const v1::SpawnRequest& r) {
  FieldChecks checks;
  checks.RequestId(r.request_id());
  if (r.has_link_to()) ProcessSlot(r.link_to(), "REQUEST_INVALID", "link_to", &checks);
  if (!r.has_start()) checks.Add("SPEC_INVALID", "start", "must be set");
  return checks.status();
}
absl::Status Validate(const v1::ExitRequest& r) {
  return FieldChecks().Target(r.target(), r.has_target()).status();
}
absl::Status Validate(const v1::WhereisRequest& r) {
  return FieldChecks().Target(r.target(), r.has_target()).status();
}
absl::Status Validate(const v1::GetActorRequest& r) {
  return FieldChecks().Target(r.target(), r.has_target()).status();
}
absl::Status Validate(const v1::ListActorsRequest& r) {
  const auto& type = *v1::ActorInfo::descriptor();
  FieldChecks checks = Page(r).Filter(r.filter(), type).Mask(r.read_mask(), type);
  if (!r.order_by().empty() && !ActorOrder::Parse(r.order_by()).ok()) {
    checks.Add("REQUEST_INVALID", "order_by",
               "must be a number field of ActorInfo, as \"mailbox_length desc\"");
  }
  return checks.status();
}
absl::Status Validate(const v1::MonitorRequest& r) {
  FieldChecks checks;
  if (r.targets_size() == 0) checks.Add("TARGET_INVALID", "targets", "at least one must be given");
  if (r.targets_size() > kMonitorTargetsMax) {
    checks.Add("TARGET_INVALID", "targets",
               fmt::format("has {}; at most {} are allowed", r.targets_size(), kMonitorTargetsMax));
    return checks.status();
  }
  for (int i = 0; i < r.targets_size(); ++i) {
    checks.Target(r.targets(i), true, fmt::format("targets[{}]", i));
  }
  return checks.status();
}

// ----------------------------------------------------------- supervisors

absl::Status Validate(const v1::StartSupervisorRequest& r) {
  FieldChecks checks;
  checks.RequestId(r.request_id());
  if (!r.has_spec()) checks.Add("SPEC_INVALID", "spec", "must be set");
  if (!r.name().empty()) checks.Name(r.name());
  if (r.has_parent()) {
    checks.Target(r.parent(), true, "parent");
    checks.ChildRef(r.child_id());
    if (!r.name().empty()) {
      checks.Add("REQUEST_INVALID", "name",
                 "a supervisor under a parent is named by its child_id; leave name empty");
    }
  } else {
    if (!r.child_id().empty()) {
      checks.Add("REQUEST_INVALID", "child_id", "only with a parent");
    }
    if (r.cluster_wide() && r.name().empty()) {
      checks.Add("REQUEST_INVALID", "name", "a cluster-wide supervisor without a parent needs one");
    }
  }
  return checks.status();
}
absl::Status Validate(const v1::StopSupervisorRequest& r) {
  return SupervisorTarget(r).RequestId(r.request_id()).status();
}
absl::Status Validate(const v1::StartChildRequest& r) {
  FieldChecks checks = SupervisorTarget(r).RequestId(r.request_id());
  if (r.child_case() == v1::StartChildRequest::CHILD_NOT_SET) {
    checks.Add("SPEC_INVALID", "spec", "set spec, or extra_args under simple_one_for_one");
  }
  for (int i = 0; i < r.extra_args().args_size(); ++i) {
    checks.Payload(r.extra_args().args(i), fmt::format("extra_args.args[{}]", i));
  }
  return checks.status();
}
absl::Status Validate(const v1::TerminateChildRequest& r) {
  return ChildOf(r).RequestId(r.request_id()).status();
}
absl::Status Validate(const v1::RestartChildRequest& r) {
  FieldChecks checks = SupervisorTarget(r).RequestId(r.request_id());
  // Empty: the supervisor itself, a root that gave up.
  if (!r.child_id().empty()) checks.ChildRef(r.child_id());
  return checks.status();
}
absl::Status Validate(const v1::DeleteChildRequest& r) {
  return ChildOf(r).RequestId(r.request_id()).status();
}
absl::Status Validate(const v1::GetChildSpecRequest& r) { return ChildOf(r).status(); }
absl::Status Validate(const v1::ListChildrenRequest& r) {
  FieldChecks checks = Page(r).Filter(r.filter(), *v1::ChildInfo::descriptor());
  return checks.Target(r.supervisor(), r.has_supervisor(), "supervisor").status();
}
absl::Status Validate(const v1::CountChildrenRequest& r) { return SupervisorTarget(r).status(); }
absl::Status Validate(const v1::ListSupervisorsRequest& r) {
  return Page(r).Filter(r.filter(), *v1::SupervisorInfo::descriptor()).status();
}
absl::Status Validate(const v1::GetTreeRequest& r) { return SupervisorTarget(r).status(); }
absl::Status Validate(const v1::WaitOperationRequest& r) {
  FieldChecks checks;
  if (r.operation_id().empty()) checks.Add("REQUEST_INVALID", "operation_id", "must be set");
  return checks.Text(r.operation_id(), "operation_id", kOperationIdMax).status();
}
absl::Status Validate(const v1::WatchEventsRequest& r) {
  FieldChecks checks;
  if (r.has_supervisor()) checks.Target(r.supervisor(), true, "supervisor");
  const auto filter = MessageFilter::ParseLabels(r.filter(), *v1::ChildInfo::descriptor());
  if (!filter.ok()) checks.Add("REQUEST_INVALID", "filter", std::string(filter.status().message()));
  checks.Text(r.resume_token(), "resume_token", kResumeTokenMax);
  if (!r.resume_token().empty() && r.send_snapshot()) {
    checks.Add("REQUEST_INVALID", "send_snapshot", "not together with a resume_token");
  }
  return checks.status();
}

// --------------------------------------------------------------- cluster

absl::Status Validate(const v1::GetServerInfoRequest&) { return absl::OkStatus(); }
absl::Status Validate(const v1::GetClusterRequest&) { return absl::OkStatus(); }
absl::Status Validate(const v1::ListNodesRequest& r) {
  const auto& type = *v1::NodeInfo::descriptor();
  return Page(r).Filter(r.filter(), type).Mask(r.read_mask(), type).status();
}
absl::Status Validate(const v1::GetNodeRequest& r) {
  return r.name().empty() ? absl::OkStatus() : FieldChecks().NodeName(r.name()).status();
}
absl::Status Validate(const v1::ListModulesRequest& r) {
  return Page(r).Filter(r.filter(), *v1::ModuleInfo::descriptor()).status();
}
absl::Status Validate(const v1::ConfirmDeadRequest& r) {
  FieldChecks checks;
  if (r.incarnation() == 0) {
    checks.Add("REQUEST_INVALID", "incarnation",
               "must be the node's present one, so that a later life is not meant by mistake");
  }
  return checks.NodeName(r.name())
      .RequestId(r.request_id())
      .Text(r.message(), "message", kMessageTextMax)
      .status();
}
absl::Status Validate(const v1::CordonRequest& r) {
  return FieldChecks()
      .NodeName(r.name())
      .RequestId(r.request_id())
      .Text(r.message(), "message", kMessageTextMax)
      .status();
}
absl::Status Validate(const v1::UncordonRequest& r) {
  return FieldChecks().NodeName(r.name()).RequestId(r.request_id()).status();
}
absl::Status Validate(const v1::DrainRequest& r) {
  FieldChecks checks;
  if (r.no_deadline() && r.has_deadline()) {
    checks.Add("REQUEST_INVALID", "no_deadline", "not together with a deadline");
  }
  return checks.NodeName(r.name())
      .RequestId(r.request_id())
      .Duration(r.deadline(), r.has_deadline(), "deadline")
      .Text(r.message(), "message", kMessageTextMax)
      .status();
}
absl::Status Validate(const v1::RemoveNodeRequest& r) {
  return FieldChecks().NodeName(r.name()).RequestId(r.request_id()).status();
}
absl::Status Validate(const v1::RebalanceRequest& r) {
  return FieldChecks().RequestId(r.request_id()).status();
}
absl::Status Validate(const v1::UpdateNodeRequest& r) {
  FieldChecks checks;
  if (r.update_mask().paths().empty()) {
    checks.Add("REQUEST_INVALID", "update_mask",
               "must name what to change: labels, labels.KEY, capacity, capacity.KEY");
  }
  for (const auto& [key, value] : r.node().labels()) {
    if (key.empty() || key.size() > 63 || value.size() > 255) {
      checks.Add("REQUEST_INVALID", "node.labels",
                 fmt::format("\"{}\": keys have 1 to 63 bytes, values at most 255", key));
    } else if (key.starts_with("banyan/") || key.starts_with("banyan.")) {
      checks.Add("REQUEST_INVALID", "node.labels",
                 fmt::format("\"{}\": keys that begin with \"banyan\" are reserved", key));
    }
  }
  for (const auto& [key, value] : r.node().capacity()) {
    if (key.empty() || key.size() > 63 || value < 0) {
      checks.Add("REQUEST_INVALID", "node.capacity",
                 fmt::format("\"{}\": keys have 1 to 63 bytes, amounts are not negative", key));
    }
  }
  return checks.NodeName(r.node().name(), "node.name").RequestId(r.request_id()).status();
}
absl::Status Validate(const v1::FinalizeUpgradeRequest& r) {
  FieldChecks checks;
  if (r.level() == 0) {
    checks.Add("REQUEST_INVALID", "level", "must be GetClusterResponse.possible_level");
  }
  return checks.RequestId(r.request_id()).status();
}
absl::Status Validate(const v1::EndSafeModeRequest& r) {
  FieldChecks checks;
  if (r.decision() != v1::EndSafeModeRequest::DECISION_ADOPT &&
      r.decision() != v1::EndSafeModeRequest::DECISION_KILL) {
    checks.Add("REQUEST_INVALID", "decision", "must be DECISION_ADOPT or DECISION_KILL");
  }
  return checks.RequestId(r.request_id()).status();
}
absl::Status Validate(const v1::BackupRequest&) { return absl::OkStatus(); }
absl::Status Validate(const v1::WatchClusterRequest& r) {
  FieldChecks checks;
  checks.Text(r.resume_token(), "resume_token", kResumeTokenMax);
  checks.Duration(r.load_interval(), r.has_load_interval(), "load_interval");
  if (!r.resume_token().empty() && r.send_snapshot()) {
    checks.Add("REQUEST_INVALID", "send_snapshot", "not together with a resume_token");
  }
  return checks.status();
}

// -------------------------------------------------------------- registry

absl::Status Validate(const v1::RegisterRequest& r) {
  FieldChecks checks;
  checks.Name(r.name()).RequestId(r.request_id()).Target(r.target(), r.has_target());
  size_t bytes = 0;
  for (const auto& [key, value] : r.metadata()) bytes += key.size() + value.size();
  if (bytes > kNotesBytesMax) {
    checks.Add("REQUEST_INVALID", "metadata",
               fmt::format("has {} bytes; at most {} are allowed", bytes, kNotesBytesMax));
  }
  return checks.status();
}
absl::Status Validate(const v1::UnregisterRequest& r) {
  return FieldChecks().Name(r.name()).RequestId(r.request_id()).status();
}
absl::Status Validate(const v1::LookupRequest& r) { return FieldChecks().Name(r.name()).status(); }
absl::Status Validate(const v1::ListNamesRequest& r) {
  return Page(r).Text(r.prefix(), "prefix", 255).status();
}

absl::Status Validate(const v1::WatchNamesRequest& r) {
  return FieldChecks().Text(r.prefix(), "prefix", 255).status();
}

absl::Status ValidateGroupChange(const std::string& group,
                                 const google::protobuf::RepeatedPtrField<v1::Target>& targets) {
  FieldChecks checks;
  checks.Name(group, "group");
  if (targets.size() > kGroupTargetsMax) {
    checks.Add(
        "REQUEST_INVALID", "targets",
        fmt::format("has {} entries; at most {} are allowed", targets.size(), kGroupTargetsMax));
  }
  for (int i = 0; i < targets.size(); ++i) {
    checks.Target(targets[i], true, fmt::format("targets[{}]", i));
  }
  return checks.status();
}
absl::Status Validate(const v1::JoinRequest& r) {
  return ValidateGroupChange(r.group(), r.targets());
}
absl::Status Validate(const v1::LeaveRequest& r) {
  return ValidateGroupChange(r.group(), r.targets());
}
absl::Status Validate(const v1::ListMembersRequest& r) {
  return Page(r).Name(r.group(), "group").status();
}
absl::Status Validate(const v1::ListGroupsRequest& r) {
  return Page(r).Text(r.prefix(), "prefix", 255).status();
}
absl::Status Validate(const v1::WatchGroupsRequest& r) {
  FieldChecks checks;
  for (int i = 0; i < r.groups_size(); ++i) checks.Name(r.groups(i), fmt::format("groups[{}]", i));
  return checks.status();
}

// ------------------------------------------------------------------- sys

absl::Status Validate(const v1::GetStateRequest& r) {
  return FieldChecks().Target(r.target(), r.has_target()).status();
}
absl::Status Validate(const v1::ReplaceStateRequest& r) {
  return FieldChecks().Target(r.target(), r.has_target()).Payload(r.state(), "state").status();
}
absl::Status Validate(const v1::GetStatusRequest& r) {
  return FieldChecks().Target(r.target(), r.has_target()).status();
}
absl::Status Validate(const v1::SuspendRequest& r) {
  return FieldChecks()
      .Target(r.target(), r.has_target())
      .Duration(r.max_duration(), r.has_max_duration(), "max_duration")
      .status();
}
absl::Status Validate(const v1::ResumeRequest& r) {
  return FieldChecks().Target(r.target(), r.has_target()).status();
}
absl::Status Validate(const v1::SetDebugRequest& r) {
  FieldChecks checks;
  checks.Target(r.target(), r.has_target());
  if (r.log_events() > kLogEventsMax)
    checks.Add("REQUEST_INVALID", "log_events", fmt::format("is at most {}", kLogEventsMax));
  if (!r.has_log_events() && !r.has_statistics())
    checks.Add("REQUEST_INVALID", "log_events", "this or statistics must be set");
  return checks.status();
}
absl::Status Validate(const v1::GetStatisticsRequest& r) {
  return FieldChecks().Target(r.target(), r.has_target()).status();
}
absl::Status Validate(const v1::ChangeCodeRequest& r) {
  return FieldChecks()
      .Target(r.target(), r.has_target())
      .Payload(r.extra(), "extra")
      .Text(r.old_version(), "old_version", kVersionMax)
      .status();
}
absl::Status Validate(const v1::TerminateRequest& r) {
  FieldChecks checks;
  checks.Target(r.target(), r.has_target());
  if (r.has_reason() && r.reason().kind() == v1::ExitReason::KIND_UNSPECIFIED)
    checks.Add("REQUEST_INVALID", "reason.kind", "must be set");
  return checks.status();
}

}  // namespace banyan::rpc
