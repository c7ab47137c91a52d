// DYN-201 to DYN-211 and DYN-217: supervised tasks.
#include "tests/conformance/dynamic/task_fixture.h"

namespace banyan {
namespace {

class DynTask : public TaskTest {};

TEST_F(DynTask, DYN201ANewOneHasNoTasks) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t, {.name = "x"});
    EXPECT_EQ(t.runtime().Whereis("x"), x);
    EXPECT_EQ(co_await Running(t, x), 0u);
    EXPECT_THAT(co_await Cc(t, x), Counts(0, 0, 0, 0));
  });
}

TEST_F(DynTask, DYN202Async) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    AsyncTask task = co_await Async(t, x, SleepFor(absl::Seconds(1)));
    std::vector<Pid> running = co_await Must(TaskSupervisor(x).Children(t));
    EXPECT_THAT(running, testing::ElementsAre(task.pid));
    EXPECT_THAT(co_await LinksOf(t, task.pid), testing::UnorderedElementsAre(x, t.pid()));
    absl::StatusOr<Payload> value = co_await AwaitTask(t, task);
    EXPECT_EQ(TextOf(value.value_or(Payload())), "slept");
    EXPECT_EQ(co_await ExitOf(t, task.pid), ExitReason::Normal());
    co_await Settle(t);
    EXPECT_EQ(t.mailbox_length(), 0u);
    EXPECT_EQ(co_await Running(t, x), 0u);
  });
}

// A server finds the outcome among its messages.
TEST_F(DynTask, DYN202TheOutcomeIsAMessage) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    AsyncTask other = co_await AsyncNolink(t, x, SleepFor(absl::Hours(1)));
    AsyncTask task = co_await AsyncNolink(t, x, Done());
    std::optional<Message> m = co_await Next(t);
    CO_ASSERT(m.has_value());
    EXPECT_FALSE(CheckTask(*m, other).has_value());
    std::optional<TaskOutcome> outcome = CheckTask(*m, task);
    CO_ASSERT(outcome.has_value() && outcome->value.has_value());
    EXPECT_EQ(TextOf(*outcome->value), "done");
  });
}

TEST_F(DynTask, DYN203StoppingTheSupervisorKillsByPolicy) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    const ShutdownPolicy kill = ShutdownPolicy::BrutalKill();
    AsyncTask linked = co_await Async(t, x, SleepFor(absl::Hours(1)), kill);
    AsyncTask nolink = co_await AsyncNolink(t, x, SleepFor(absl::Hours(1)), kill);
    Pid child =
        co_await Must(TaskSupervisor(x).StartChild(t, SleepFor(absl::Hours(1)), kTemp, kill));
    t.Link(child);
    co_await Shutdown(t, x);
    for (const AsyncTask& task : {linked, nolink}) {
      std::optional<TaskOutcome> outcome = co_await YieldTask(t, task);
      CO_ASSERT(outcome.has_value());
      EXPECT_FALSE(outcome->value.has_value());
      EXPECT_EQ(outcome->exit, ExitReason::Killed());
    }
    EXPECT_EQ(co_await ExitOf(t, child), ExitReason::Killed());
  });
}

TEST_F(DynTask, DYN204NoRoom) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t, {.max_children = 1});
    AsyncTask first = co_await AsyncNolink(t, x, SleepFor(absl::Seconds(1)));
    absl::StatusOr<AsyncTask> linked = co_await TaskSupervisor(x).Async(t, Done());
    EXPECT_EQ(ErrorReason(linked.status()), "MAX_CHILDREN");
    absl::StatusOr<AsyncTask> nolink = co_await TaskSupervisor(x).AsyncNolink(t, Done());
    EXPECT_EQ(ErrorReason(nolink.status()), "MAX_CHILDREN");
    absl::StatusOr<Pid> child = co_await TaskSupervisor(x).StartChild(t, Done());
    EXPECT_EQ(ErrorReason(child.status()), "MAX_CHILDREN");
    absl::StatusOr<Payload> value = co_await AwaitTask(t, first);
    EXPECT_TRUE(value.ok());
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

TEST_F(DynTask, DYN206AsyncNolink) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    AsyncTask task = co_await AsyncNolink(t, x, SleepFor(absl::Seconds(1)));
    EXPECT_THAT(co_await LinksOf(t, task.pid), testing::ElementsAre(x));
    absl::StatusOr<Payload> value = co_await AwaitTask(t, task);
    EXPECT_EQ(TextOf(value.value_or(Payload())), "slept");
    co_await Settle(t);
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

TEST_F(DynTask, DYN207StartChild) {
  Pid parent;
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    Pid task = co_await Must(TaskSupervisor(x).StartChild(t, [&parent](Self& self) {
      parent = self.parent();
      return Sleeping(self, absl::Seconds(1));
    }));
    EXPECT_THAT(co_await LinksOf(t, task), testing::ElementsAre(x));
    EXPECT_EQ(parent, x);
    EXPECT_EQ(co_await DownOf(t, task), ExitReason::Normal());
    co_await Settle(t);
    EXPECT_EQ(co_await Running(t, x), 0u);
  });
}

TEST_F(DynTask, DYN208StartChildPermanent) {
  int runs = 0;
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    Pid task = co_await Must(TaskSupervisor(x).StartChild(
        t,
        [&runs](Self& self) {
          ++runs;
          return Sleeping(self, absl::Hours(1));
        },
        kPerm));
    co_await Settle(t);
    co_await End(t, task, "shutdown");
    EXPECT_EQ(runs, 2);
    EXPECT_EQ(co_await Running(t, x), 1u);
  });
}

TEST_F(DynTask, DYN209TerminateChild) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    Pid task = co_await Must(TaskSupervisor(x).StartChild(t, SleepFor(absl::Hours(1))));
    OpResult first = co_await Must(TaskSupervisor(x).TerminateChild(t, task));
    EXPECT_EQ(first.code, Code::kOk);
    EXPECT_EQ(co_await Running(t, x), 0u);
    OpResult again = co_await Must(TaskSupervisor(x).TerminateChild(t, task));
    EXPECT_EQ(again.code, Code::kNotFound);
  });
}

TEST_F(DynTask, DYN210ALateOutcomeNeverComes) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    AsyncTask task = co_await AsyncNolink(t, x, SleepFor(absl::Seconds(1)));
    absl::StatusOr<Payload> value = co_await AwaitTask(t, task, absl::ZeroDuration());
    EXPECT_EQ(ErrorReason(value.status()), "CALL_TIMEOUT");
    EXPECT_TRUE(t.runtime().IsAlive(task.pid));
    co_await t.Sleep(absl::Seconds(2));
    EXPECT_FALSE(t.runtime().IsAlive(task.pid));
    EXPECT_FALSE(t.TakeIf([](const Message&) { return true; }).has_value());
    // One that is yielded to can be waited for again.
    task = co_await AsyncNolink(t, x, SleepFor(absl::Seconds(1)));
    std::optional<TaskOutcome> none = co_await YieldTask(t, task, absl::ZeroDuration());
    EXPECT_FALSE(none.has_value());
    value = co_await AwaitTask(t, task);
    EXPECT_TRUE(value.ok()) << value.status();
  });
}

TEST_F(DynTask, DYN211HowTasksFail) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    const std::vector<std::pair<TaskWork, std::string>> ways = {
        {[](Self&) -> Task<Payload> { throw FunctionClause(); }, "banyan::FunctionClause"},
        {[](Self&) -> Task<Payload> { throw ProcessExit(ExitReason::Error("r")); }, "r"},
        {[](Self& self) -> Task<Payload> { return Exiting(self); }, "q"}};
    for (const auto& [work, type] : ways) {
      AsyncTask task = co_await Async(t, x, work);
      absl::StatusOr<Payload> value = co_await AwaitTask(t, task);
      EXPECT_EQ(ErrorReason(value.status()), "CALLEE_EXITED") << type;
      std::optional<ErrorInfo> info = GetErrorInfo(value.status());
      CO_ASSERT(info.has_value() && info->exit_reason.has_value());
      EXPECT_EQ(info->exit_reason->type(), type);
      std::optional<ExitReason> exit = co_await ExitOf(t, task.pid);
      CO_ASSERT(exit.has_value());
      EXPECT_EQ(exit->type(), type) << "they are linked";
    }
  });
}

// The task of an owner that does not trap exits takes it along.
TEST_F(DynTask, DYN211ACrashEndsTheOwner) {
  RunAs(
      false,
      [&](Self& t) -> Task<void> {
        Pid x = co_await StartX(t);
        AsyncTask task =
            co_await Async(t, x, [](Self&) -> Task<Payload> { throw FunctionClause(); });
        absl::StatusOr<Payload> value = co_await AwaitTask(t, task);
        co_await t.Sleep(absl::Seconds(1));
        ADD_FAILURE() << "still here: " << value.status();
      },
      /*may_die=*/true);
}

TEST_F(DynTask, DYN217ACrashWithoutALink) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    AsyncTask task = co_await AsyncNolink(
        t, x, [](Self&) -> Task<Payload> { throw ProcessExit(ExitReason::Error("boom")); });
    std::optional<TaskOutcome> outcome = co_await YieldTask(t, task);
    CO_ASSERT(outcome.has_value());
    EXPECT_FALSE(outcome->value.has_value());
    EXPECT_EQ(outcome->exit, ExitReason::Error("boom"));
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

// The owner ends between the start and the work; or never sends it.
TEST_F(DynTask, HandOver) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    // An owner that is killed while the supervisor, suspended, holds its request.
    absl::Status suspended = co_await sys::Suspend(t, x);
    EXPECT_TRUE(suspended.ok());
    absl::StatusOr<SpawnResult> owner = t.Spawn(
        [x](Self& self) -> Task<ExitReason> {
          absl::StatusOr<AsyncTask> task = co_await TaskSupervisor(x).AsyncNolink(self, Done());
          co_return ExitReason::Normal();
        },
        {});
    CO_ASSERT(owner.ok());
    co_await Settle(t);
    co_await Kill(t, owner->pid, ExitReason::Kill());
    absl::Status resumed = co_await sys::Resume(t, x);
    EXPECT_TRUE(resumed.ok());
    co_await Settle(t);
    EXPECT_EQ(co_await Running(t, x), 0u) << "the task has heard of it";
  });
}

}  // namespace
}  // namespace banyan
