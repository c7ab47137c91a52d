#include "server/behaviours/supervisor.h"

#include <limits>
#include <map>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/behaviours/supervisor_spec_errors.h"
#include "server/runtime/crash_reason.h"

namespace banyan {

using EventKind = SupervisorEvent::Kind;

Supervisor::~Supervisor() {
  if (running_)
    Emit(EventKind::kSupervisorExited, nullptr, {}, exit_.value_or(ExitReason::Killed()));
}

// ------------------------------------------------------------ start and end

absl::StatusOr<std::optional<SupervisorSpec>> Supervisor::ComputeSpec() const {
  absl::StatusOr<std::optional<SupervisorSpec>> spec = init_(args_);
  if (spec.ok() && spec->has_value()) {
    absl::Status problems = SpecStatus(ValidateSpec(**spec));
    if (!problems.ok()) return problems;
  }
  return spec;
}

Task<Initialised> Supervisor::OnInit(std::vector<Payload> args) {
  self().SetTrapExit(true);
  args_ = std::move(args);
  name_ = context().name;
  path_ = context().path;
  if (path_.empty()) path_ = {name_.empty() ? FormatPid(self().pid()) : name_};
  absl::StatusOr<std::optional<SupervisorSpec>> spec = ComputeSpec();
  if (!spec.ok()) co_return Initialised::Stop(SpecExitReason(spec.status()));
  if (!spec->has_value()) co_return Initialised::Ignore();
  SupervisorPlanner::Options options;
  options.parallel_stop = (*spec)->parallel_stop;
  std::shared_ptr<const ChildSpec> child_template;
  if ((*spec)->child_template)
    child_template = std::make_shared<const ChildSpec>(*std::move((*spec)->child_template));
  extra_arguments_ = std::move((*spec)->extra_arguments);
  planner_ =
      std::make_unique<SupervisorPlanner>((*spec)->flags, options, std::move(child_template));
  std::vector<std::shared_ptr<const ChildSpec>> children;
  for (ChildSpec& child : (*spec)->children)
    children.push_back(std::make_shared<const ChildSpec>(std::move(child)));
  spec = std::nullopt;
  co_await Perform(planner_->Init(std::move(children), self().Now()));
  if (exit_) co_return Initialised::Stop(*exit_);
  running_ = true;
  Emit(EventKind::kSupervisorStarted, nullptr, self().pid());
  co_return Initialised::Ok();
}

Task<void> Supervisor::OnTerminate(ExitReason reason) {
  if (exit_) return Task<void>();
  return Perform(planner_->BeginShutdown(reason, self().Now()));
}

absl::StatusOr<Payload> Supervisor::GetState() {
  return Payload::Local(planner_->Snapshot(self().Now()));
}

Task<absl::Status> Supervisor::OnCodeChange(CodeChange change) {
  SupervisorInit old = init_;
  if (const auto* stated = change.extra.As<std::shared_ptr<const SupervisorSpec>>())
    init_ = SpecStatedInPlace(*stated);
  absl::StatusOr<std::optional<SupervisorSpec>> spec = ComputeSpec();
  if (spec.ok() && !spec->has_value()) return absl::OkStatus();
  absl::Status refused;
  if (!spec.ok()) {
    refused = CodeChangeError(spec.status());
  } else {
    std::vector<std::shared_ptr<const ChildSpec>> children;
    if ((*spec)->child_template)
      children.push_back(std::make_shared<const ChildSpec>(*(*spec)->child_template));
    for (ChildSpec& child : (*spec)->children)
      children.push_back(std::make_shared<const ChildSpec>(std::move(child)));
    if (!planner_->Update((*spec)->flags, children)) {
      refused = MakeError("CODE_CHANGE_FAILED",
                          "a supervisor cannot change from or to simple_one_for_one or dynamic");
    } else {
      extra_arguments_ = std::move((*spec)->extra_arguments);
    }
  }
  if (!refused.ok()) init_ = std::move(old);
  return refused;
}

// ------------------------------------------------------------------ messages

Next Supervisor::NextStep() { return exit_ ? Next::Stop(*exit_) : Next::Wait(); }

Task<Next> Supervisor::After(SupervisorActions actions) {
  if (actions.empty()) return NextStep();
  return [](Supervisor* s, SupervisorActions todo) -> Task<Next> {
    co_await s->Perform(std::move(todo));
    co_return s->NextStep();
  }(this, std::move(actions));
}

Task<Next> Supervisor::OnMessage(Message message) {
  if (message.is_call()) return OnCall(std::move(message));
  if (message.is_exit()) return OnExit(message.from(), message.reason());
  if (const Retry* retry = message.payload().As<Retry>()) {
    return After(planner_->OnRetry(retry->key, self().Now()));
  }
  // A stray DOWN is the end of a child that was told to stop and has been waited for.
  ProcessReports* reports = host().reports;
  if (reports && !message.is_down()) {
    reports->OnWarning(
        self().pid(), context().module,
        fmt::format("supervisor received unexpected {}", message.is_cast() ? "cast" : "message"));
  }
  return NextStep();
}

Task<Next> Supervisor::OnExit(Pid from, ExitReason reason) {
  const ChildRecord* child = planner_->FindByPid(from);
  // Strangers, children of the past, failed starts: OTP ignores them silently too.
  if (!child || child->state != ChildState::kRunning || child->pid != from) return NextStep();
  Emit(EventKind::kChildExited, child, from, reason);
  return After(planner_->OnExited(child->key, reason, self().Now()));
}

// ------------------------------------------------------------------- actions

Task<void> Supervisor::Perform(SupervisorActions todo) {
  for (size_t i = 0; i < todo.size();) {
    SupervisorAction next = std::move(todo[i++]);
    SupervisorActions more;
    if (const auto* start = std::get_if<action::Start>(&next)) {
      more = co_await Start(start->key);
    } else if (const auto* stop = std::get_if<action::Stop>(&next)) {
      more = co_await Stop(stop->key, stop->policy);
    } else if (auto* stop_all = std::get_if<action::StopAll>(&next)) {
      more = co_await StopAll(std::move(stop_all->keys));
    } else if (const auto* retry = std::get_if<action::ScheduleRetry>(&next)) {
      ScheduleRetry(*retry);
    } else if (const auto* report = std::get_if<action::Report>(&next)) {
      Report(report->report);
    } else if (const auto* reply = std::get_if<action::OpReply>(&next)) {
      Answer(*reply);
    } else if (auto* exit = std::get_if<action::ExitSupervisor>(&next)) {
      exit_ = std::move(exit->reason);
    }
    if (i == todo.size()) {
      todo = std::move(more);
      i = 0;
    } else {
      todo.insert(todo.end(), std::make_move_iterator(more.begin()),
                  std::make_move_iterator(more.end()));
    }
  }
}

Task<SupervisorActions> Supervisor::Start(ChildKey key) {
  const ChildRecord* child = planner_->Find(key);
  StartContext context;
  if (child->spec->type == ChildType::kSupervisor) {
    context.path = path_;
    context.path.push_back(child->spec->id);
  }
  context.restarts = child->restarts + (child->restarting ? 1 : 0);
  if (child->extra_args) context.extra_args = *child->extra_args;
  const bool restart = child->restarting;
  const Pid previous = child->pid;
  StartResult result;
  try {
    result = co_await StartChildProcess(self(), SpecToStart(*child), std::move(context));
  } catch (...) {
    result = StartResult::Failed(CrashReason(std::current_exception()));
  }
  const Instant now = self().Now();
  switch (result.kind) {
    case StartResult::Kind::kStarted: {
      SupervisorActions more = planner_->OnStarted(key, result.pid, std::move(result.info), now);
      Emit(restart ? EventKind::kChildRestarted : EventKind::kChildStarted, planner_->Find(key),
           result.pid, {}, previous);
      co_return more;
    }
    case StartResult::Kind::kIgnored:
      co_return planner_->OnStartIgnored(key, now);
    case StartResult::Kind::kFailed:
      break;
  }
  Emit(EventKind::kChildStartFailed, child, {}, result.reason, previous);
  co_return planner_->OnStartFailed(key, result.reason, now);
}

std::shared_ptr<const ChildSpec> Supervisor::SpecToStart(const ChildRecord& child) const {
  if (extra_arguments_.empty()) return child.spec;
  auto spec = std::make_shared<ChildSpec>(*child.spec);
  spec->start.args.insert(spec->start.args.begin(), extra_arguments_.begin(),
                          extra_arguments_.end());
  return spec;
}

Task<SupervisorActions> Supervisor::Stop(ChildKey key, ShutdownPolicy policy) {
  const Pid pid = planner_->Find(key)->pid;
  // A monitor, since a child that has unlinked itself must be waited for too.
  const Ref ref = self().Monitor(pid);
  auto is_down = [ref](const Message& m) { return m.is_down() && m.ref() == ref; };
  std::optional<Message> down;
  if (policy.brutal_kill) {
    self().Exit(pid, ExitReason::Kill());
  } else {
    self().Exit(pid, ExitReason::Shutdown());
    down = co_await self().ReceiveIf(is_down, DeadlineOf(policy));
    if (!down) self().Exit(pid, ExitReason::Kill());
  }
  if (!down) down = co_await self().ReceiveIf(is_down);
  co_return Stopped(key, pid, down->reason());
}

Instant Supervisor::DeadlineOf(const ShutdownPolicy& policy) const {
  return policy.timeout == absl::InfiniteDuration() ? Instant::Infinite()
                                                    : self().Now() + policy.timeout;
}

SupervisorActions Supervisor::Stopped(ChildKey key, Pid pid, ExitReason reason) {
  self().Unlink(pid);
  // Its queued 'EXIT' has the true reason where the monitor came too late, and must not be seen
  // again.
  std::optional<Message> exit =
      self().TakeIf([pid](const Message& m) { return m.is_exit() && m.from() == pid; });
  if (exit) reason = exit->reason();
  Emit(EventKind::kChildTerminated, planner_->Find(key), pid, reason);
  return planner_->OnStopped(key, reason, self().Now());
}

Task<SupervisorActions> Supervisor::StopAll(std::vector<ChildKey> keys) {
  absl::flat_hash_map<Ref, std::pair<ChildKey, Pid>> waiting;
  std::map<Instant, std::vector<Pid>> deadlines;
  for (ChildKey key : keys) {
    const ChildRecord* child = planner_->Find(key);
    const ShutdownPolicy policy = child->spec->shutdown_or_default();
    waiting[self().Monitor(child->pid)] = {key, child->pid};
    self().Exit(child->pid, policy.brutal_kill ? ExitReason::Kill() : ExitReason::Shutdown());
    const Instant deadline = policy.brutal_kill ? Instant::Infinite() : DeadlineOf(policy);
    if (!deadline.infinite()) deadlines[deadline].push_back(child->pid);
  }
  SupervisorActions more;
  while (!waiting.empty()) {
    std::optional<Message> down = co_await self().ReceiveIf(
        [&waiting](const Message& m) { return m.is_down() && waiting.contains(m.ref()); },
        deadlines.empty() ? Instant::Infinite() : deadlines.begin()->first);
    if (!down) {
      // Those that are gone already do not mind.
      for (Pid pid : deadlines.begin()->second) self().Exit(pid, ExitReason::Kill());
      deadlines.erase(deadlines.begin());
      continue;
    }
    auto it = waiting.find(down->ref());
    const auto [key, pid] = it->second;
    waiting.erase(it);
    SupervisorActions after = Stopped(key, pid, down->reason());
    more.insert(more.end(), std::make_move_iterator(after.begin()),
                std::make_move_iterator(after.end()));
  }
  co_return more;
}

void Supervisor::ScheduleRetry(const action::ScheduleRetry& retry) {
  Payload payload = Payload::Local(Retry{retry.key});
  if (retry.delay > absl::ZeroDuration()) {
    self().StartTimer(retry.delay, std::move(payload));
  } else {
    // At the end of the mailbox: what waits there is served first, so the supervisor stays
    // responsive.
    self().Send(self().pid(), std::move(payload));
  }
}

void Supervisor::Answer(const action::OpReply& reply) {
  auto it = ops_.find(reply.op);
  if (it == ops_.end()) return;
  self().Answer(it->second, Payload::Local(reply.result));
  ops_.erase(it);
}

// -------------------------------------------------------------------- events

void Supervisor::Report(const SupervisorReport& report) {
  if (report.context == SupervisorReport::Context::kShutdown) {
    Emit(EventKind::kIntensityExceeded, planner_->Find(report.key), report.pid, report.reason);
  }
  if (SupervisorEvents* events = host().supervisor_events)
    events->OnReport(self().pid(), name_, report);
}

void Supervisor::Emit(EventKind kind, const ChildRecord* child, Pid pid, ExitReason reason,
                      Pid previous) {
  SupervisorEvents* events = host().supervisor_events;
  if (!events) return;
  SupervisorEvent event;
  event.kind = kind;
  event.supervisor = self().pid();
  event.path = path_;
  if (child) {
    event.child_id = child->spec->id;
    event.spec = child->spec;
    event.restarts = child->restarts;
  }
  event.pid = pid;
  if (auto process = self().runtime().Look(pid)) event.start_time = process->start_time;
  event.previous = previous;
  event.reason = std::move(reason);
  events->OnEvent(event);
}

void Supervisor::EmitDeleted(std::shared_ptr<const ChildSpec> spec) {
  SupervisorEvents* events = host().supervisor_events;
  if (!events) return;
  SupervisorEvent event;
  event.kind = EventKind::kChildDeleted;
  event.supervisor = self().pid();
  event.path = path_;
  event.child_id = spec->id;
  event.spec = std::move(spec);
  events->OnEvent(event);
}

// --------------------------------------------------------------------- start

namespace {
Task<StartResult> StartWith(Self& starter, SupervisorInit init, StartContext context,
                            StartSpec start) {
  StartOptions o;
  o.link = context.link;
  o.link_to = context.link_to;
  o.timeout = start.start_timeout;
  o.name = std::move(start.name);
  o.module = start.module.empty() ? "supervisor" : std::move(start.module);
  o.parent = context.parent;
  o.child_id = context.child_id;
  o.exclusive = context.exclusive;
  o.fence = context.fence;
  // Sends to a supervisor never fail for want of room.
  o.max_messages = std::numeric_limits<uint32_t>::max();
  return StartBehaviour(
      starter, [init = std::move(init)] { return std::make_unique<Supervisor>(init); },
      std::move(start.args), std::move(o), std::move(context));
}
}  // namespace

Task<StartResult> StartSupervisor(Self& starter, std::shared_ptr<const SupervisorSpec> spec,
                                  StartContext context, StartSpec start) {
  start.module.clear();
  return StartWith(starter, SpecStatedInPlace(std::move(spec)), std::move(context),
                   std::move(start));
}

Task<StartResult> StartSupervisorModule(Self& starter, SupervisorInit init, StartContext context,
                                        StartSpec start) {
  return StartWith(starter, std::move(init), std::move(context), std::move(start));
}

void StartSupervisor(Runtime& runtime, std::shared_ptr<const SupervisorSpec> spec,
                     StartContext context, StartSpec start, std::function<void(StartResult)> done) {
  context.link = false;
  StartFromOutside(
      runtime,
      [spec = std::move(spec), context = std::move(context), start = std::move(start)](Self& self) {
        return StartSupervisor(self, spec, context, start);
      },
      std::move(done));
}

}  // namespace banyan
