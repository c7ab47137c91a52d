#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/behaviours/task.h"
#include "tests/conformance/dynamic/dynamic_test.h"

namespace banyan {

// The language of the task cases: X is a task supervisor.
class TaskTest : public DynamicTest {
 protected:
  TaskTest() { TaskSupervisor::AddModule(&modules_); }

  static Task<Pid> StartX(Self& t, TaskSupervisorSpec spec = {}) {
    return [](Self& t, TaskSupervisorSpec spec) -> Task<Pid> {
      StartResult r = co_await TaskSupervisor::Start(t, std::move(spec));
      EXPECT_TRUE(r.started()) << r.reason.ToString();
      co_return r.pid;
    }(t, std::move(spec));
  }
  static TaskWork Done(std::string word = "done") {
    return [word](Self&) { return Task<Payload>(Word(word)); };
  }
  static TaskWork SleepFor(absl::Duration d) {
    return [d](Self& self) -> Task<Payload> { return Sleeping(self, d); };
  }
  static Task<Payload> Sleeping(Self& self, absl::Duration d) {
    co_await self.Sleep(d);
    co_return Word("slept");
  }
  static Task<Payload> Exiting(Self& self) {
    co_await self.ExitSelf(ExitReason::Error("q"));
    co_return Payload();
  }
  static Task<AsyncTask> Async(Self& t, Pid x, TaskWork work,
                               ShutdownPolicy shutdown = TaskSupervisor::DefaultShutdown()) {
    return Must(TaskSupervisor(x).Async(t, std::move(work), shutdown));
  }
  static Task<AsyncTask> AsyncNolink(Self& t, Pid x, TaskWork work,
                                     ShutdownPolicy shutdown = TaskSupervisor::DefaultShutdown()) {
    return Must(TaskSupervisor(x).AsyncNolink(t, std::move(work), shutdown));
  }
  static Task<size_t> Running(Self& t, Pid x) {
    std::vector<Pid> pids = co_await Must(TaskSupervisor(x).Children(t));
    co_return pids.size();
  }
  // The live processes that `p`, which must not be running now, is linked to.
  static Task<std::vector<Pid>> LinksOf(Self& t, Pid p) {
    return [](Self& t, Pid p) -> Task<std::vector<Pid>> {
      auto links = std::make_shared<std::vector<Pid>>();
      t.runtime().Inspect(p, [links](std::optional<ProcessSnapshot> s) {
        if (s) *links = s->links;
      });
      co_await Settle(t);
      co_return *links;
    }(t, p);
  }
  template <typename T>
  static Task<T> Must(Task<absl::StatusOr<T>> call) {
    absl::StatusOr<T> result = co_await std::move(call);
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) co_return T();
    co_return *std::move(result);
  }
};

}  // namespace banyan
