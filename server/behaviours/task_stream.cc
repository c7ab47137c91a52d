#include "server/behaviours/task_stream.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "common/base/error.h"
#include "server/runtime/runtime.h"

namespace banyan {
namespace {

// To the guard: this task has begun, or is over.
struct Watch {
  Pid task;
  bool begun;
};

// Lives as long as the consumer and kills the tasks that are under way when that ends.
Task<ExitReason> Guard(Self& self, Pid consumer) {
  const Ref gone = self.Monitor(consumer);
  std::set<Pid> tasks;
  for (;;) {
    std::optional<Message> m = co_await self.Receive();
    if (m->is_down() && m->ref() == gone) break;
    if (const Watch* watch = m->payload().As<Watch>()) {
      if (watch->begun) {
        tasks.insert(watch->task);
      } else {
        tasks.erase(watch->task);
      }
    }
  }
  for (Pid task : tasks) self.Exit(task, ExitReason::Kill());
  co_return ExitReason::Normal();
}

}  // namespace

TaskStream::TaskStream(TaskSupervisor supervisor, std::vector<Payload> inputs, Work work,
                       TaskStreamOptions options)
    : TaskStream(
          supervisor,
          [all = std::move(inputs), next = size_t{0}]() mutable -> std::optional<Payload> {
            if (next == all.size()) return std::nullopt;
            return std::move(all[next++]);
          },
          std::move(work), options) {}

bool TaskStream::Ready(const Running& running) const {
  return running.done && (!options_.ordered || &running == &running_.front());
}

Task<absl::StatusOr<std::optional<TaskStream::Item>>> TaskStream::Next(Self& self) {
  for (;;) {
    absl::Status status = co_await Fill(self);
    if (!status.ok()) {
      co_await Stop(self);
      co_return status;
    }
    if (running_.empty()) {
      co_await Stop(self);
      co_return std::nullopt;
    }
    auto ready = std::find_if(running_.begin(), running_.end(),
                              [this](const Running& r) { return Ready(r); });
    if (ready != running_.end()) {
      Item item = std::move(ready->item);
      running_.erase(ready);
      co_return item;
    }
    status = co_await AwaitOne(self);
    if (!status.ok()) {
      co_await Stop(self);
      co_return status;
    }
  }
}

Task<absl::Status> TaskStream::Fill(Self& self) {
  const size_t workers = static_cast<size_t>(std::max(1, self.runtime().options().workers));
  const size_t most = options_.max_concurrency > 0 ? options_.max_concurrency : workers;
  while (!exhausted_ && running_.size() < most) {
    std::optional<Payload> input = inputs_();
    if (!input) {
      exhausted_ = true;
      break;
    }
    TaskWork work = [work = work_, input = *input](Self& task) { return work(task, input); };
    absl::StatusOr<AsyncTask> task =
        options_.link ? co_await supervisor_.Async(self, std::move(work), options_.shutdown)
                      : co_await supervisor_.AsyncNolink(self, std::move(work), options_.shutdown);
    if (!task.ok()) co_return task.status();
    TellGuard(self, task->pid, true);
    const Instant deadline = options_.timeout == absl::InfiniteDuration()
                                 ? Instant::Infinite()
                                 : self.Now() + options_.timeout;
    running_.push_back({*std::move(task), deadline, {*std::move(input), {}}});
  }
  co_return absl::OkStatus();
}

// Waits until one more task is over, or out of time.
Task<absl::Status> TaskStream::AwaitOne(Self& self) {
  Instant deadline = Instant::Infinite();
  for (const Running& r : running_) {
    if (!r.done) deadline = std::min(deadline, r.deadline);
  }
  const auto find = [this](const Message& m) {
    return std::find_if(running_.begin(), running_.end(), [&m](const Running& r) {
      return !r.done && (m.is_reply() || m.is_down()) && m.ref() == r.task.request.ref;
    });
  };
  std::optional<Message> m = co_await self.ReceiveIf(
      [&](const Message& message) { return find(message) != running_.end(); }, deadline);
  if (!m) co_return co_await OnTimeout(self);
  Running& over = *find(*m);
  Settle(self, over, *CheckTask(*m, over.task));
  co_return absl::OkStatus();
}

Task<absl::Status> TaskStream::OnTimeout(Self& self) {
  for (Running& r : running_) {
    if (r.done || self.Now() < r.deadline) continue;
    if (!options_.kill_on_timeout)
      co_return MakeError("CALL_TIMEOUT", "a task of the stream takes too long");
    co_await KillTask(self, r.task);
    Settle(self, r, {.value = {}, .exit = ExitReason::Timeout()});
  }
  co_return absl::OkStatus();
}

void TaskStream::Settle(Self& self, Running& running, TaskOutcome outcome) {
  const Pid pid = running.task.pid;
  TellGuard(self, pid, false);
  if (options_.link) {
    self.Unlink(pid);
    self.TakeIf([pid](const Message& m) { return m.is_exit() && m.from() == pid; });
  }
  running.item.outcome = std::move(outcome);
  running.done = true;
}

// Linked tasks end with the consumer anyway.
void TaskStream::TellGuard(Self& self, Pid task, bool watch) {
  if (options_.link) return;
  if (!guard_.valid()) {
    absl::StatusOr<SpawnResult> guard = self.Spawn(
        [consumer = self.pid()](Self& g) { return Guard(g, consumer); }, {.module = "task_stream"});
    if (!guard.ok()) return;
    guard_ = guard->pid;
  }
  self.Send(guard_, Payload::Local(Watch{task, watch}));
}

Task<void> TaskStream::Stop(Self& self) {
  exhausted_ = true;
  for (Running& r : running_) {
    if (!r.done) co_await KillTask(self, r.task);
  }
  running_.clear();
  if (guard_.valid()) self.Exit(guard_, ExitReason::Kill());
  guard_ = {};
}

}  // namespace banyan
