#include "server/coordinator/supervisor_requests.h"

#include <utility>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/wire/payload.h"
#include "server/coordinator/core.h"
#include "server/coordinator/snapshot.h"
#include "server/wire/child_spec.h"

namespace banyan {
namespace {

using Code = OpResult::Code;

std::string Stable(const ChildSpec& spec) {
  v1::ChildSpec proto;
  wire::EncodeChildSpec(spec, &proto);
  return StableBytes(proto);
}

std::string Stable(const SupervisorSpec& spec) {
  v1::SupervisorSpec proto;
  wire::EncodeSupervisorSpec(spec, &proto);
  return StableBytes(proto);
}

// As a call to a process that has ended.
absl::Status GoneError(const std::string& sup) {
  return MakeError("NOPROC", fmt::format("supervisor {} has given up or is being stopped", sup),
                   {{"target", sup}});
}

// OK, or why the supervisor serves no operations on children. What a root that gave up had can
// still be read.
absl::Status CheckServes(const ClusterSupervisor& sup) {
  const bool over = sup.failed || sup.planner->shutting_down();
  return over ? GoneError(sup.path_key) : absl::OkStatus();
}

// What OTP's error words are here.
absl::Status ToError(const OpResult& result, const std::string& sup, const std::string& id,
                     const Child* child = nullptr) {
  std::map<std::string, std::string> where{{"supervisor", sup}, {"childId", id}};
  switch (result.code) {
    case Code::kOk:
    case Code::kIgnored:
      return absl::OkStatus();
    case Code::kStartFailed:
      return StartError(id, result.reason);
    case Code::kAlreadyStarted:
      if (result.pid) where["pid"] = FormatPid(result.pid);
      if (child != nullptr) where["fence"] = fmt::format("{}", child->fence.value());
      return MakeError("CHILD_ALREADY_STARTED",
                       fmt::format("child \"{}\" of {} is started already", id, sup), where);
    case Code::kAlreadyPresent:
      return MakeError(
          "CHILD_ALREADY_PRESENT",
          fmt::format("child \"{}\" of {} is there, but not running: restart or delete it", id,
                      sup),
          where);
    case Code::kNotFound:
      return MakeError("CHILD_NOT_FOUND", fmt::format("supervisor {} has no child \"{}\"", sup, id),
                       where);
    case Code::kRunning:
      return MakeError("CHILD_RUNNING",
                       fmt::format("child \"{}\" of {} is running: terminate it first", id, sup),
                       where);
    case Code::kRestarting: {
      // OTP's {error,restarting}: here the caller must do something first, so it is no UNAVAILABLE.
      ErrorInfo info;
      info.reason = "CHILD_RESTARTING";
      info.metadata = where;
      info.metadata["outcome"] = kNotExecuted;
      return WithErrorInfo(absl::FailedPreconditionError(
                               fmt::format("child \"{}\" of {} is between two lives", id, sup)),
                           info);
    }
    case Code::kSimpleOneForOne:
      return MakeError(
          "SIMPLE_ONE_FOR_ONE",
          fmt::format("{} is simple_one_for_one: its children have no specs of their own", sup),
          where);
    case Code::kMaxChildren:
      return MakeError("MAX_CHILDREN", fmt::format("{} has as many children as it may", sup),
                       where);
    case Code::kShuttingDown:
      return GoneError(sup);
  }
  return absl::InternalError("no such result");
}

std::string DynamicId(const std::string& request_id, const std::string& random) {
  if (request_id.empty()) return random;
  uint64_t h = 0xcbf29ce484222325;
  uint64_t g = 0x9e3779b97f4a7c15;
  for (unsigned char c : request_id) {
    h = (h ^ c) * 0x100000001b3;
    g = (g ^ h) * 0x2545f4914f6cdd1d;
  }
  return fmt::format("c{:016x}{:08x}", h, static_cast<uint32_t>(g >> 32));
}

}  // namespace

absl::Status SupervisorRequests::CheckNames(const ChildSpec& spec) const {
  if (spec.supervisor) return CheckNames(*spec.supervisor);
  if (spec.start.name.empty()) return absl::OkStatus();
  BANYAN_RETURN_IF_ERROR(core_->names.CheckFree(spec.start.name));
  return core_->names.CheckKnown();
}

absl::Status SupervisorRequests::CheckNames(const SupervisorSpec& spec) const {
  for (const ChildSpec& child : spec.children) BANYAN_RETURN_IF_ERROR(CheckNames(child));
  return absl::OkStatus();
}

// "Try again" is no answer to keep.
void SupervisorRequests::FailOrRefuse(Operation* op, const absl::Status& status) {
  if (ErrorReason(status) == "RECOVERING") return core_->operations.Refuse(op, status);
  core_->operations.Fail(op, status);
}

// --------------------------------------------------------------- supervisors

void SupervisorRequests::StartSupervisor(StartSupervisorArgs args, Reply<v1::SupervisorInfo> done) {
  if (args.parent) return StartUnderParent(std::move(args), std::move(done));
  if (auto problem = NameProblem(args.name)) {
    return done(MakeFieldError("SPEC_INVALID", {{"name", *problem}}));
  }
  Operation* op = core_->operations.Begin<v1::SupervisorInfo>(args.request_id, "StartSupervisor",
                                                              args.name + '\0' + Stable(args.spec),
                                                              {args.name}, std::move(done));
  if (op == nullptr) return;
  absl::Status status = core_->names.CheckFree(args.name);
  if (status.ok()) status = CheckNames(args.spec);
  if (!status.ok()) return FailOrRefuse(op, status);
  ClusterSupervisor* sup = core_->tree.AddRoot(args.name, args.spec);
  sup->user_waits = true;
  core_->operations.WaitForStart(sup, op);
  std::vector<std::shared_ptr<const ChildSpec>> children;
  for (ChildSpec& child : args.spec.children)
    children.push_back(std::make_shared<const ChildSpec>(std::move(child)));
  core_->reconciler.Begin(sup, std::move(children));
}

// A nested supervisor is a child like others.
void SupervisorRequests::StartUnderParent(StartSupervisorArgs args,
                                          Reply<v1::SupervisorInfo> done) {
  StartChildArgs child;
  child.supervisor = *args.parent;
  child.request_id = args.request_id;
  child.spec.emplace();
  child.spec->id = args.child_id;
  child.spec->type = ChildType::kSupervisor;
  child.spec->supervisor = std::make_shared<const SupervisorSpec>(std::move(args.spec));
  absl::StatusOr<ClusterSupervisor*> parent = core_->tree.Resolve(child.supervisor);
  if (!parent.ok()) return done(parent.status());
  std::vector<std::string> path = (*parent)->path;
  path.push_back(args.child_id);
  StartChild(std::move(child),
             [this, path, done = std::move(done)](absl::StatusOr<v1::StartChildResponse> r) {
               if (!r.ok()) return done(r.status());
               ClusterSupervisor* sup = core_->tree.FindSupervisor(PathKey(path));
               if (sup == nullptr)
                 return done(MakeError("CHILD_NOT_FOUND", "the supervisor has ended meanwhile"));
               done(EncodeSupervisor(*core_, *sup));
             });
}

void SupervisorRequests::StopSupervisor(const Target& target, const ExitReason& reason,
                                        const std::string& request_id, Reply<ExitReason> done) {
  absl::StatusOr<ClusterSupervisor*> sup = core_->tree.Resolve(target);
  // A repeated request may come when the supervisor is gone: its record answers.
  std::vector<std::string> path = sup.ok() ? (*sup)->path : std::vector<std::string>();
  Operation* op = core_->operations.Begin<v1::StopSupervisorResponse>(
      request_id, "StopSupervisor", FormatTarget(target) + reason.ToString(), path,
      [done = std::move(done)](absl::StatusOr<v1::StopSupervisorResponse> r) {
        if (!r.ok()) return done(r.status());
        done(wire::FromProto(r->exit_reason(), {}));
      });
  if (op == nullptr) return;
  if (!sup.ok()) return core_->operations.Fail(op, sup.status());
  core_->operations.WaitForExit(*sup, op);
  if ((*sup)->parent == nullptr) return core_->reconciler.StopRoot(*sup, reason);
  // Of a nested one the parent decides what follows.
  core_->reconciler.Perform(*sup, (*sup)->planner->BeginShutdown(reason, core_->now()));
}

// ------------------------------------------------------------------ children

void SupervisorRequests::StartChild(StartChildArgs args, Reply<v1::StartChildResponse> done) {
  std::string contents = FormatTarget(args.supervisor);
  contents += args.spec ? Stable(*args.spec) : "";
  for (const Payload& arg : args.extra_args)
    contents += fmt::format("{}\n{}\n", arg.type_url(), arg.bytes());
  absl::StatusOr<ClusterSupervisor*> found = core_->tree.Resolve(args.supervisor);
  ClusterSupervisor* sup = found.ok() ? *found : nullptr;
  const bool simple = sup != nullptr && sup->planner->simple();
  std::string id = args.spec ? args.spec->id : "";
  if (simple) id = DynamicId(args.request_id, "c" + core_->RandomHex(12));
  std::vector<std::string> path = sup != nullptr ? sup->path : std::vector<std::string>();
  path.push_back(id);
  Operation* op = core_->operations.Begin<v1::StartChildResponse>(args.request_id, "StartChild",
                                                                  contents, path, std::move(done));
  if (op == nullptr) return;
  const auto fail = [&](const absl::Status& status) { FailOrRefuse(op, status); };
  if (sup == nullptr) return fail(found.status());
  if (absl::Status status = CheckServes(*sup); !status.ok()) return fail(status);
  const bool templated = simple && sup->planner->child_template() != nullptr;
  if (templated && args.spec) {
    return fail(MakeError(
        "SIMPLE_ONE_FOR_ONE",
        fmt::format("{} makes its children from its template: give extra_args, not a spec",
                    sup->path_key)));
  }
  if (!templated && !args.spec)
    return fail(MakeFieldError("SPEC_INVALID", {{"spec", "must be set"}}));
  std::shared_ptr<const ChildSpec> spec;
  if (simple) {
    if (Child* there = core_->tree.FindById(sup, id)) {
      return fail(
          ToError({.code = Code::kAlreadyStarted, .pid = there->pid}, sup->path_key, id, there));
    }
    auto copy = std::make_shared<ChildSpec>(templated ? *sup->planner->child_template()
                                                      : *std::move(args.spec));
    if (!templated && copy->significant) {
      return fail(MakeFieldError(
          "SPEC_INVALID",
          {{"spec.significant", "children of a dynamic supervisor cannot be significant"}}));
    }
    copy->id = id;
    if (absl::Status status = CheckNames(*copy); !templated && !status.ok()) return fail(status);
    spec = std::move(copy);
  } else {
    if (auto problem = ChildIdProblem(id))
      return fail(MakeFieldError("SPEC_INVALID", {{"spec.id", *problem}}));
    spec = std::make_shared<const ChildSpec>(*std::move(args.spec));
    const bool known = sup->planner->FindById(id) != nullptr;
    if (absl::Status status = CheckNames(*spec); !known && !status.ok()) return fail(status);
  }
  const OpId number =
      core_->operations.Track([this, op, sup_path = sup->path_key, id, path](const OpResult& r) {
        const Child* known = core_->tree.FindChild(PathKey(path));
        if (absl::Status status = ToError(r, sup_path, id, known); !status.ok())
          return core_->operations.Fail(op, status);
        v1::StartChildResponse response;
        if (Child* child = core_->tree.FindChild(PathKey(path))) {
          *response.mutable_child() = EncodeChild(*core_, *child, /*with_spec=*/false);
        } else {
          response.mutable_child()->set_id(id);  // a temporary child that init declined
        }
        response.set_ignored(r.code == Code::kIgnored);
        if (!r.info.empty()) wire::ToProto(r.info, response.mutable_info()).IgnoreError();
        core_->operations.Finish(op, response, "started");
      });
  SupervisorActions actions =
      simple ? sup->planner->StartDynamicChild(number, std::move(spec), std::move(args.extra_args),
                                               core_->now())
             : sup->planner->StartChild(number, std::move(spec), core_->now());
  core_->reconciler.Perform(sup, std::move(actions));
}

void SupervisorRequests::TerminateChild(const ChildArgs& args,
                                        Reply<v1::TerminateChildResponse> done) {
  absl::StatusOr<ClusterSupervisor*> sup = core_->tree.Resolve(args.supervisor);
  Child* child = sup.ok() ? core_->tree.FindById(*sup, args.child_id) : nullptr;
  Operation* op = core_->operations.Begin<v1::TerminateChildResponse>(
      args.request_id, "TerminateChild", FormatTarget(args.supervisor) + '\0' + args.child_id,
      child != nullptr ? child->path : std::vector<std::string>(), std::move(done));
  if (op == nullptr) return;
  if (!sup.ok()) return core_->operations.Fail(op, sup.status());
  if (absl::Status status = CheckServes(**sup); !status.ok())
    return core_->operations.Fail(op, status);
  if (child == nullptr) {
    return core_->operations.Fail(
        op, ToError({.code = Code::kNotFound}, (*sup)->path_key, args.child_id));
  }
  const bool running = child->assigned != Assigned::kNone && child->assigned != Assigned::kQueued &&
                       child->ahead == Ahead::kNo;
  core_->operations.TerminateOf(child, op);
  const OpId number =
      core_->operations.Track([this, op, running, path = child->path_key,
                               sup_path = (*sup)->path_key, id = args.child_id](const OpResult& r) {
        if (absl::Status status = ToError(r, sup_path, id); !status.ok())
          return core_->operations.Fail(op, status);
        v1::TerminateChildResponse response;
        Child* c = core_->tree.FindChild(path);
        ExitReason reason = ExitReason::Shutdown();
        if (c != nullptr && c->last_exit) reason = *c->last_exit;
        if (running) *response.mutable_exit_reason() = wire::ToProto(reason, {});
        const bool by_death = core_->operations.TakeDeath(path);
        core_->operations.Finish(op, response, by_death ? "stopped_by_death" : "stopped");
      });
  core_->reconciler.Perform(*sup,
                            (*sup)->planner->TerminateChildByKey(number, child->key, core_->now()));
  // It may have been stopping before, so that nothing new was ordered.
  if (child->assigned == Assigned::kStopping) core_->operations.OnStopOrdered(child);
}

void SupervisorRequests::RestartChild(const ChildArgs& args, bool running_too,
                                      Reply<v1::RestartChildResponse> done) {
  absl::StatusOr<ClusterSupervisor*> sup = core_->tree.Resolve(args.supervisor);
  Child* child =
      sup.ok() && !args.child_id.empty() ? core_->tree.FindById(*sup, args.child_id) : nullptr;
  Operation* op = core_->operations.Begin<v1::RestartChildResponse>(
      args.request_id, "RestartChild",
      fmt::format("{}\n{}\n{}", FormatTarget(args.supervisor), args.child_id, running_too),
      child != nullptr ? child->path : std::vector<std::string>(), std::move(done));
  if (op == nullptr) return;
  if (!sup.ok()) return core_->operations.Fail(op, sup.status());
  if (args.child_id.empty()) return RestartRoot(*sup, op);
  if (absl::Status status = CheckServes(**sup); !status.ok())
    return core_->operations.Fail(op, status);
  if (child == nullptr) {
    return core_->operations.Fail(
        op, ToError({.code = Code::kNotFound}, (*sup)->path_key, args.child_id));
  }
  const ChildRecord* record = (*sup)->planner->Find(child->key);
  const bool poisoned = child->assigned == Assigned::kNone && record != nullptr &&
                        record->state == ChildState::kRunning;
  if (poisoned) child->poison_marks.clear();
  const std::string sup_path = (*sup)->path_key;
  const bool up =
      record != nullptr && (record->has_process() || record->state == ChildState::kStarting);
  if ((!running_too && !poisoned) || !up) return Restart(sup_path, args.child_id, op);
  const OpId number =
      core_->operations.Track([this, sup_path, id = args.child_id, op](const OpResult& r) {
        if (absl::Status status = ToError(r, sup_path, id); !status.ok())
          return core_->operations.Fail(op, status);
        // Within the planner's own turn: the restart follows it.
        core_->reconciler.Do([this, sup_path, id, op] { Restart(sup_path, id, op); });
      });
  core_->reconciler.Perform(*sup,
                            (*sup)->planner->TerminateChildByKey(number, child->key, core_->now()));
}

void SupervisorRequests::Restart(const std::string& sup_path, const std::string& id,
                                 Operation* op) {
  ClusterSupervisor* sup = core_->tree.FindSupervisor(sup_path);
  const absl::Status status = sup == nullptr ? GoneError(sup_path) : CheckServes(*sup);
  if (!status.ok()) return core_->operations.Fail(op, status);
  const OpId number = core_->operations.Track([this, sup_path, id, op](const OpResult& r) {
    if (absl::Status status = ToError(r, sup_path, id); !status.ok())
      return core_->operations.Fail(op, status);
    v1::RestartChildResponse response;
    ClusterSupervisor* s = core_->tree.FindSupervisor(sup_path);
    Child* c = s == nullptr ? nullptr : core_->tree.FindById(s, id);
    if (c != nullptr) *response.mutable_child() = EncodeChild(*core_, *c, /*with_spec=*/false);
    response.set_ignored(r.code == Code::kIgnored);
    core_->operations.Finish(op, response, "started");
  });
  core_->reconciler.Perform(sup, sup->planner->RestartChild(number, id, core_->now()));
}

void SupervisorRequests::RestartRoot(ClusterSupervisor* sup, Operation* op) {
  if (sup->parent != nullptr || !sup->failed) {
    return core_->operations.Fail(
        op,
        MakeError("CHILD_RUNNING", fmt::format("supervisor {} has not given up", sup->path_key)));
  }
  core_->reconciler.RestartRoot(sup);
  v1::RestartChildResponse response;
  response.mutable_child()->set_id(sup->path[0]);
  response.mutable_child()->set_type(v1::CHILD_TYPE_SUPERVISOR);
  response.mutable_child()->set_state(v1::CHILD_STATE_STARTING);
  core_->operations.Finish(op, response, "started");
}

void SupervisorRequests::DeleteChild(const ChildArgs& args, StatusReply done) {
  absl::StatusOr<ClusterSupervisor*> sup = core_->tree.Resolve(args.supervisor);
  Operation* op = core_->operations.Begin<v1::DeleteChildResponse>(
      args.request_id, "DeleteChild", FormatTarget(args.supervisor) + '\0' + args.child_id, {},
      [done = std::move(done)](absl::StatusOr<v1::DeleteChildResponse> r) { done(r.status()); });
  if (op == nullptr) return;
  if (!sup.ok()) return core_->operations.Fail(op, sup.status());
  if (absl::Status status = CheckServes(**sup); !status.ok())
    return core_->operations.Fail(op, status);
  const OpId number = core_->operations.Track(
      [this, op, sup_path = (*sup)->path_key, id = args.child_id](const OpResult& r) {
        if (absl::Status status = ToError(r, sup_path, id); !status.ok())
          return core_->operations.Fail(op, status);
        core_->operations.Finish(op, v1::DeleteChildResponse(), "deleted");
      });
  core_->reconciler.Perform(*sup,
                            (*sup)->planner->DeleteChild(number, args.child_id, core_->now()));
}

}  // namespace banyan
