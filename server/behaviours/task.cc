#include "server/behaviours/task.h"

#include <memory>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/behaviours/host.h"
#include "server/behaviours/supervisor.h"
#include "server/behaviours/supervisor_client.h"
#include "server/runtime/crash_reason.h"
#include "server/runtime/runtime.h"

namespace banyan {
namespace {

constexpr char kModule[] = "banyan.task";
// How long a task waits for its owner to send the work.
constexpr absl::Duration kHandOver = absl::Seconds(5);

// A task's argument: the work itself, or who is going to call it with the work.
struct TaskStart {
  TaskWork work;
  Pid owner;
};

// Runs the work; `value` is set if it came to its end.
Task<ExitReason> Work(Self& self, TaskWork work, std::optional<Payload>* value) {
  try {
    *value = co_await work(self);
    co_return ExitReason::Normal();
  } catch (...) {
    ExitReason reason = CrashReason(std::current_exception());
    ProcessReports* reports = HostOf(self.runtime()).reports;
    if (reports && reason.abnormal()) reports->OnCrash(self.pid(), kModule, reason);
    co_return reason;
  }
}

Task<ExitReason> WorkForOwner(Self& self, Pid owner) {
  const Ref gone = self.Monitor(owner);
  std::optional<Message> order = co_await self.ReceiveIf(
      [&](const Message& m) {
        return (m.is_down() && m.ref() == gone) || (m.is_call() && m.from() == owner);
      },
      self.Now() + kHandOver);
  if (!order) co_return ExitReason::Timeout();
  if (order->is_down()) {
    co_return ExitReason(ExitReason::Kind::kShutdown,
                         {.message = "the task's owner ended before it sent the work",
                          .cause = std::make_shared<const ExitReason>(order->reason())});
  }
  self.Demonitor(gone);
  std::optional<Payload> value;
  ExitReason reason = co_await Work(self, *order->payload().As<TaskWork>(), &value);
  if (value) self.Answer(order->call_from(), *std::move(value));
  co_return reason;
}

Task<ExitReason> RunTask(Self& self, StartAck ack, TaskStart start) {
  ack.Started();
  if (start.owner.valid()) co_return co_await WorkForOwner(self, start.owner);
  std::optional<Payload> unused;
  co_return co_await Work(self, std::move(start.work), &unused);
}

ChildSpec TaskSpec(TaskStart start, RestartType restart, ShutdownPolicy shutdown) {
  ChildSpec spec;
  spec.id = "task";
  spec.start.module = kModule;
  spec.start.args.push_back(Payload::Local(std::move(start)));
  spec.restart = restart;
  spec.shutdown = shutdown;
  return spec;
}

Task<absl::StatusOr<Pid>> StartTask(Self& self, Pid supervisor, ChildSpec spec) {
  absl::StatusOr<OpResult> started =
      co_await SupervisorClient(supervisor).StartChild(self, std::move(spec));
  if (!started.ok()) co_return started.status();
  absl::Status bad = OpError(*started, FormatPid(supervisor), "task");
  if (!bad.ok()) co_return bad;
  co_return started->pid;
}

TaskOutcome OutcomeOf(Response response) {
  if (response.ok()) return {.value = *std::move(response), .exit = {}};
  std::optional<ErrorInfo> info = GetErrorInfo(response.status());
  if (info && info->exit_reason) return {.value = {}, .exit = *info->exit_reason};
  // The task was over before the work reached it.
  return {.value = {}, .exit = ExitReason::NoProc()};
}

}  // namespace

SupervisorSpec SpecOf(const TaskSupervisorSpec& spec) {
  SupervisorSpec out;
  out.flags = {.strategy = Strategy::kDynamic, .intensity = spec.intensity, .period = spec.period};
  out.flags.max_children = spec.max_children;
  return out;
}

void TaskSupervisor::AddModule(Modules* modules) {
  modules->AddFunction(
      kModule, [](Self& starter, StartSpec spec, StartContext context) -> Task<StartResult> {
        const TaskStart* start = spec.args.empty() ? nullptr : spec.args[0].As<TaskStart>();
        if (!start)
          return StartResult::Failed(
              ExitReason::Error("badarg", "tasks are started by TaskSupervisor"));
        return StartProcess(
            starter,
            [task = *start](Self& self, StartAck ack) {
              return RunTask(self, std::move(ack), task);
            },
            StartOptionsOf(spec, context));
      });
}

Task<StartResult> TaskSupervisor::Start(Self& starter, TaskSupervisorSpec spec,
                                        StartContext context) {
  StartSpec start;
  start.name = spec.name;
  return StartSupervisor(starter, std::make_shared<const SupervisorSpec>(SpecOf(spec)),
                         std::move(context), std::move(start));
}

Task<absl::StatusOr<AsyncTask>> TaskSupervisor::Begin(Self& self, TaskWork work,
                                                      ShutdownPolicy shutdown, bool link) const {
  return [](Self& self, Pid supervisor, TaskWork work, ShutdownPolicy shutdown,
            bool link) -> Task<absl::StatusOr<AsyncTask>> {
    ChildSpec spec = TaskSpec({.owner = self.pid()}, RestartType::kTemporary, shutdown);
    absl::StatusOr<Pid> pid = co_await StartTask(self, supervisor, std::move(spec));
    if (!pid.ok()) co_return pid.status();
    if (link) self.Link(*pid);
    co_return AsyncTask{*pid, SendRequest(self, *pid, Payload::Local(std::move(work)))};
  }(self, supervisor_, std::move(work), shutdown, link);
}

Task<absl::StatusOr<AsyncTask>> TaskSupervisor::Async(Self& self, TaskWork work,
                                                      ShutdownPolicy shutdown) const {
  return Begin(self, std::move(work), shutdown, true);
}
Task<absl::StatusOr<AsyncTask>> TaskSupervisor::AsyncNolink(Self& self, TaskWork work,
                                                            ShutdownPolicy shutdown) const {
  return Begin(self, std::move(work), shutdown, false);
}

Task<absl::StatusOr<Pid>> TaskSupervisor::StartChild(Self& self, TaskWork work, RestartType restart,
                                                     ShutdownPolicy shutdown) const {
  return StartTask(self, supervisor_, TaskSpec({.work = std::move(work)}, restart, shutdown));
}

Task<absl::StatusOr<std::vector<Pid>>> TaskSupervisor::Children(Self& self) const {
  return [](Self& self, Pid supervisor) -> Task<absl::StatusOr<std::vector<Pid>>> {
    absl::StatusOr<std::vector<ChildEntry>> all =
        co_await SupervisorClient(supervisor).WhichChildren(self);
    if (!all.ok()) co_return all.status();
    std::vector<Pid> running;
    for (const ChildEntry& child : *all) {
      if (child.state == ChildState::kRunning) running.push_back(child.pid);
    }
    co_return running;
  }(self, supervisor_);
}

Task<absl::StatusOr<OpResult>> TaskSupervisor::TerminateChild(Self& self, Pid task) const {
  return SupervisorClient(supervisor_).TerminateChild(self, task);
}

Task<std::optional<TaskOutcome>> YieldTask(Self& self, AsyncTask task, absl::Duration timeout) {
  const Instant deadline =
      timeout == absl::InfiniteDuration() ? Instant::Infinite() : self.Now() + timeout;
  std::optional<Response> response = co_await WaitResponse(self, task.request, deadline);
  if (!response) co_return std::nullopt;
  co_return OutcomeOf(*std::move(response));
}

Task<absl::StatusOr<Payload>> AwaitTask(Self& self, AsyncTask task, absl::Duration timeout) {
  std::optional<TaskOutcome> outcome = co_await YieldTask(self, task, timeout);
  if (!outcome) {
    AbandonRequest(self, task.request);
    co_return MakeError("CALL_TIMEOUT",
                        fmt::format("the task {} has not ended in time", FormatPid(task.pid)));
  }
  if (outcome->value) co_return *std::move(outcome->value);
  co_return MakeError(
      "CALLEE_EXITED",
      fmt::format("the task {} ended: {}", FormatPid(task.pid), outcome->exit.ToString()), {},
      outcome->exit);
}

std::optional<TaskOutcome> CheckTask(const Message& message, const AsyncTask& task) {
  std::optional<Response> response = CheckResponse(message, task.request);
  if (!response) return std::nullopt;
  return OutcomeOf(*std::move(response));
}

Task<void> KillTask(Self& self, AsyncTask task) {
  self.Unlink(task.pid);
  const Ref down = self.Monitor(task.pid);
  self.Exit(task.pid, ExitReason::Kill());
  co_await self.ReceiveIf([down](const Message& m) { return m.is_down() && m.ref() == down; });
  AbandonRequest(self, task.request);
  // A trapping owner may have its 'EXIT' already.
  self.TakeIf([pid = task.pid](const Message& m) { return m.is_exit() && m.from() == pid; });
}

}  // namespace banyan
