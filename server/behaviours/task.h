#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "server/behaviours/module.h"
#include "server/behaviours/requests.h"
#include "server/core/supervisor_action.h"

// Supervised one-off work (Elixir's Task and Task.Supervisor): a process that runs one function and
// ends. Its supervisor is a dynamic supervisor of this runtime.
//
//   TaskSupervisor tasks(pid);
//   AsyncTask t = *co_await tasks.AsyncNolink(self(), [](Self& self) -> Task<Payload> { ... });
//   absl::StatusOr<Payload> value = co_await AwaitTask(self(), t);
//
// A server that must not wait keeps the task and finds its end among its messages:
// `CheckTask(message, t)` in HandleInfo.

namespace banyan {

// What a task runs, in a process that does not trap exits. An exception or ExitSelf ends the task
// with that reason. Copied into the task; runs again where the task is restarted.
using TaskWork = std::function<Task<Payload>(Self&)>;

// A task that somebody waits for: a value of the process that started it, its owner.
struct AsyncTask {
  Pid pid;
  RequestId request;
};

// How a task ended: with a value, or with the reason of its exit.
struct TaskOutcome {
  std::optional<Payload> value;
  ExitReason exit;
};

struct TaskSupervisorSpec {
  std::string name;                      // registered; empty: none
  std::optional<uint64_t> max_children;  // tasks at a time; unset: no limit
  uint32_t intensity = 3;
  absl::Duration period = absl::Seconds(5);
};
// The same as a supervisor's spec, for a child of another supervisor.
SupervisorSpec SpecOf(const TaskSupervisorSpec& spec);

// The functions answer MAX_CHILDREN, SPEC_INVALID (a negative shutdown), NOPROC and whatever else a
// call to a supervisor ends with.
class TaskSupervisor {
 public:
  // Adds the module that tasks are processes of. Once, before the first task.
  static void AddModule(Modules* modules);
  static Task<StartResult> Start(Self& starter, TaskSupervisorSpec spec, StartContext context = {});

  explicit TaskSupervisor(Pid supervisor) : supervisor_(supervisor) {}

  static ShutdownPolicy DefaultShutdown() { return ShutdownPolicy::Timeout(absl::Seconds(5)); }

  // A task linked to the caller: they fail together. The link is there before the work begins.
  Task<absl::StatusOr<AsyncTask>> Async(Self& self, TaskWork work,
                                        ShutdownPolicy shutdown = DefaultShutdown()) const;
  // The same without the link: the caller survives the task's crash and hears of it as its outcome.
  Task<absl::StatusOr<AsyncTask>> AsyncNolink(Self& self, TaskWork work,
                                              ShutdownPolicy shutdown = DefaultShutdown()) const;
  // Work that nobody waits for.
  Task<absl::StatusOr<Pid>> StartChild(Self& self, TaskWork work,
                                       RestartType restart = RestartType::kTemporary,
                                       ShutdownPolicy shutdown = DefaultShutdown()) const;
  // The tasks that run.
  Task<absl::StatusOr<std::vector<Pid>>> Children(Self& self) const;
  // kOk or kNotFound.
  Task<absl::StatusOr<OpResult>> TerminateChild(Self& self, Pid task) const;

 private:
  Task<absl::StatusOr<AsyncTask>> Begin(Self& self, TaskWork work, ShutdownPolicy shutdown,
                                        bool link) const;
  Pid supervisor_;
};

// The task's value. CALLEE_EXITED with the reason: the task ended otherwise. CALL_TIMEOUT: it goes
// on, but its outcome will never come. Each of the three takes an outcome once.
Task<absl::StatusOr<Payload>> AwaitTask(Self& self, AsyncTask task,
                                        absl::Duration timeout = absl::Seconds(5));
// The outcome; nullopt: it goes on, and can be waited for again.
Task<std::optional<TaskOutcome>> YieldTask(Self& self, AsyncTask task,
                                           absl::Duration timeout = absl::Seconds(5));
// What `message` says about the task; nullopt: it is another message.
std::optional<TaskOutcome> CheckTask(const Message& message, const AsyncTask& task);
// Kills the task, if it runs, and waits for that; its outcome and its 'EXIT' will never come.
Task<void> KillTask(Self& self, AsyncTask task);

}  // namespace banyan
