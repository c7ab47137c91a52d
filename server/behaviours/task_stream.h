#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "server/behaviours/task.h"

namespace banyan {

struct TaskStreamOptions {
  // Tasks under way, and outcomes not yet taken, at a time. 0: one per worker of the runtime.
  size_t max_concurrency = 0;
  // Outcomes come in the order of the inputs; false: in the order in which they are known.
  bool ordered = true;
  // From a task's start to its end. Beyond it: kill_on_timeout kills that task alone, and its
  // outcome is `timeout`; else the stream ends with CALL_TIMEOUT.
  absl::Duration timeout = absl::Seconds(5);
  bool kill_on_timeout = false;
  // Tasks are linked to the consumer, so that one's crash ends it unless it traps exits.
  bool link = true;
  ShutdownPolicy shutdown = TaskSupervisor::DefaultShutdown();
};

// One task for each of many inputs, some at a time (Elixir's Task.Supervisor.async_stream). Lazy:
// tasks start in Next(). One process consumes it; not necessarily the one that made it.
class TaskStream {
 public:
  // The next input; nullopt: there are no more.
  using Source = std::function<std::optional<Payload>()>;
  using Work = std::function<Task<Payload>(Self&, Payload input)>;
  struct Item {
    Payload input;
    TaskOutcome outcome;
  };

  TaskStream(TaskSupervisor supervisor, Source inputs, Work work, TaskStreamOptions options = {})
      : supervisor_(supervisor),
        inputs_(std::move(inputs)),
        work_(std::move(work)),
        options_(options) {}
  TaskStream(TaskSupervisor supervisor, std::vector<Payload> inputs, Work work,
             TaskStreamOptions options = {});
  TaskStream(const TaskStream&) = delete;
  TaskStream& operator=(const TaskStream&) = delete;

  // nullopt: all inputs are done. An error (a task could not be started: MAX_CHILDREN, ...;
  // CALL_TIMEOUT) ends the stream as Stop() does.
  Task<absl::StatusOr<std::optional<Item>>> Next(Self& self);
  // Kills what still runs; no message and no link stays behind. Needed unless Next() has come to
  // the end; the consumer's own end does the same.
  Task<void> Stop(Self& self);

 private:
  struct Running {
    AsyncTask task;
    Instant deadline;
    Item item;
    bool done = false;
  };

  Task<absl::Status> Fill(Self& self);
  Task<absl::Status> AwaitOne(Self& self);
  Task<absl::Status> OnTimeout(Self& self);
  void Settle(Self& self, Running& running, TaskOutcome outcome);
  bool Ready(const Running& running) const;
  void TellGuard(Self& self, Pid task, bool watch);

  const TaskSupervisor supervisor_;
  Source inputs_;
  const Work work_;
  const TaskStreamOptions options_;
  std::list<Running> running_;  // in the order of the inputs
  bool exhausted_ = false;
  Pid guard_;  // kills unlinked tasks when the consumer ends
};

}  // namespace banyan
