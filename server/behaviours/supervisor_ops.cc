// The requests that a supervisor answers: OTP's operations (spec/supervisor.md 12, 13).
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/behaviours/supervisor.h"
#include "server/behaviours/supervisor_spec_errors.h"

namespace banyan {
namespace {

using Op = SupervisorRequest::Op;
using Code = OpResult::Code;

Payload Word(Code code, ChildKey key = kNoChild) {
  OpResult result;
  result.code = code;
  result.key = key;
  return Payload::Local(std::move(result));
}

ChildEntry EntryOf(const ChildRecord& child, bool simple) {
  ChildEntry entry;
  if (!simple) entry.id = child.spec->id;
  entry.state = child.state;
  entry.pid = child.pid;
  entry.spec = child.spec;
  entry.restarts = child.restarts;
  return entry;
}

// Last in start order first, as OTP lists them.
std::vector<ChildEntry> WhichChildren(const SupervisorPlanner& planner) {
  std::vector<ChildEntry> out;
  const ChildTable& table = planner.children();
  out.reserve(table.size());
  for (const ChildRecord* c = table.Last(); c; c = table.Prev(c))
    out.push_back(EntryOf(*c, planner.simple()));
  return out;
}

}  // namespace

// A process elsewhere cannot be looked at: the link says that it lives until it says otherwise.
bool Supervisor::SeemsAlive(Pid pid) const { return !pid.local() || self().runtime().IsAlive(pid); }

std::shared_ptr<const ChildSpec> Supervisor::FindSpec(const ChildRef& ref) const {
  const std::string* id = std::get_if<std::string>(&ref);
  if (!planner_->simple()) {
    const ChildRecord* child = id ? planner_->FindById(*id) : nullptr;
    return child ? child->spec : nullptr;
  }
  const std::shared_ptr<const ChildSpec>& tmpl = planner_->child_template();
  if (id) return tmpl && *id == tmpl->id ? tmpl : nullptr;
  const Pid pid = std::get<Pid>(ref);
  if (const ChildRecord* child = planner_->FindByPid(pid)) return child->spec;
  // OTP answers for any dead pid of its own node; there is nothing to answer without a template.
  return pid.local() && !SeemsAlive(pid) ? tmpl : nullptr;
}

bool Supervisor::AnswerQuery(const SupervisorRequest& request, const CallFrom& from) {
  switch (request.op) {
    case Op::kWhichChildren:
      self().Answer(from, Payload::Local(WhichChildren(*planner_)));
      return true;
    case Op::kWhichChild:
      self().Answer(from, Payload::Local(WhichChild(request.child)));
      return true;
    case Op::kCountChildren:
      self().Answer(from, Payload::Local(Count()));
      return true;
    case Op::kGetChildSpec:
      self().Answer(from, Payload::Local(FindSpec(request.child)));
      return true;
    case Op::kGetInfo:
      self().Answer(from, Payload::Local(SupervisorInfo{name_, path_, planner_->flags(),
                                                        planner_->child_template(), Count()}));
      return true;
    default:
      return false;
  }
}

std::optional<ChildEntry> Supervisor::WhichChild(const ChildRef& ref) const {
  const std::string* id = std::get_if<std::string>(&ref);
  const ChildRecord* child = id && !planner_->simple() ? planner_->FindById(*id)
                             : id                      ? nullptr
                                                       : planner_->FindByPid(std::get<Pid>(ref));
  if (!child) return std::nullopt;
  return EntryOf(*child, planner_->simple());
}

ChildCounts Supervisor::Count() const {
  return planner_->Count([this](const Pid& pid) { return SeemsAlive(pid); });
}

Task<Next> Supervisor::OnCall(Message message) {
  const CallFrom from = message.call_from();
  const auto* request = message.payload().As<SupervisorRequest>();
  if (!request) {
    std::string type(message.payload().type_name());
    self().Refuse(
        from, MakeError("CALL_NOT_HANDLED", fmt::format("a supervisor does not handle {}", type),
                        {{"type", type}}));
    return NextStep();
  }
  if (AnswerQuery(*request, from)) return NextStep();
  if (absl::Status bad = Check(*request); !bad.ok()) {
    self().Refuse(from, std::move(bad));
    return NextStep();
  }
  if (std::optional<OpResult::Code> word = Refuse(*request)) {
    self().Answer(from, Word(*word));
    return NextStep();
  }
  const OpId op = ++last_op_;
  ops_[op] = from;
  return After(Decide(*request, op));
}

// What is wrong with the request itself.
absl::Status Supervisor::Check(const SupervisorRequest& request) const {
  if (request.op != Op::kStartChild) return absl::OkStatus();
  const bool takes_args = planner_->simple() && planner_->child_template();
  if (takes_args && request.spec) {
    return MakeError("SIMPLE_ONE_FOR_ONE",
                     "this supervisor starts children of its template: give extra arguments, not a "
                     "specification");
  }
  if (takes_args) return absl::OkStatus();
  if (!request.spec)
    return MakeFieldError("SPEC_INVALID", {{"spec", "missing: this supervisor has no template"}});
  const SupervisorFlags& flags = planner_->flags();
  return SpecStatus(flags.strategy == Strategy::kDynamic
                        ? ValidateDynamicChildSpec(*request.spec, "spec")
                        : ValidateChildSpec(*request.spec, &flags.auto_shutdown, "spec"));
}

// Answers that need no decision: children addressed in a way that their supervisor does not know.
std::optional<OpResult::Code> Supervisor::Refuse(const SupervisorRequest& request) const {
  if (request.op == Op::kStartChild) return std::nullopt;
  const Pid* pid = std::get_if<Pid>(&request.child);
  const bool terminate = request.op == Op::kTerminateChild;
  // A DynamicSupervisor knows its own children only, dead or alive.
  if (planner_->flags().strategy == Strategy::kDynamic && terminate) {
    return pid && planner_->FindByPid(*pid) ? std::nullopt : std::optional(Code::kNotFound);
  }
  // Elsewhere a pid is just an unknown id.
  if (!planner_->simple()) return pid ? std::optional(Code::kNotFound) : std::nullopt;
  if (!terminate || !pid) return Code::kSimpleOneForOne;
  if (planner_->FindByPid(*pid)) return std::nullopt;
  return SeemsAlive(*pid) ? Code::kNotFound : Code::kOk;
}

SupervisorActions Supervisor::Decide(const SupervisorRequest& request, OpId op) {
  const Instant now = self().Now();
  if (request.op == Op::kStartChild) {
    if (planner_->simple()) return planner_->StartDynamicChild(op, request.spec, request.args, now);
    return planner_->StartChild(op, request.spec, now);
  }
  if (const Pid* pid = std::get_if<Pid>(&request.child)) {
    return planner_->TerminateChildByKey(op, planner_->FindByPid(*pid)->key, now);
  }
  const std::string& id = std::get<std::string>(request.child);
  switch (request.op) {
    case Op::kTerminateChild:
      return planner_->TerminateChild(op, id, now);
    case Op::kRestartChild:
      return planner_->RestartChild(op, id, now);
    default:
      break;
  }
  const ChildRecord* child = planner_->FindById(id);
  std::shared_ptr<const ChildSpec> spec = child ? child->spec : nullptr;
  SupervisorActions actions = planner_->DeleteChild(op, id, now);
  if (spec && !planner_->FindById(id)) EmitDeleted(std::move(spec));
  return actions;
}

}  // namespace banyan
