// DYN-204, DYN-212 to DYN-216: streams of tasks.
#include "server/behaviours/task_stream.h"
#include "tests/conformance/dynamic/task_fixture.h"

namespace banyan {
namespace {

class DynStream : public TaskTest {
 protected:
  static std::vector<Payload> Numbers(std::vector<int> numbers) {
    std::vector<Payload> out;
    for (int n : numbers) out.push_back(Payload::Local(n));
    return out;
  }
  static int IntOf(const Payload& p) { return p.As<int>() ? *p.As<int>() : -1; }
  // A task that sleeps as many milliseconds as its input says, and returns it.
  static Task<Payload> Sleeper(Self& self, Payload input) {
    co_await self.Sleep(absl::Milliseconds(IntOf(input)));
    co_return input;
  }
  static Task<Payload> Exits(Self& self, Payload input) {
    co_await self.ExitSelf(ExitReason::Error(std::to_string(IntOf(input))));
    co_return input;
  }
  // Takes all: "ok:1 exit:boom", or the reason of the error that ended it.
  static Task<std::string> All(Self& t, TaskStream& stream) {
    std::string out;
    for (;;) {
      absl::StatusOr<std::optional<TaskStream::Item>> item = co_await stream.Next(t);
      if (!item.ok()) co_return out + ErrorReason(item.status());
      if (!item->has_value()) co_return out;
      const TaskOutcome& o = (*item)->outcome;
      if (!out.empty()) out += ' ';
      out += o.value ? "ok:" + std::to_string(IntOf(*o.value))
                     : "exit:" + std::to_string(IntOf((*item)->input)) + ":" + o.exit.ToString();
    }
  }
  // Nothing is left behind in T but its link with X.
  static Task<void> ExpectClean(Self& t, Pid x) {
    co_await Settle(t);
    EXPECT_EQ(t.mailbox_length(), 0u);
    EXPECT_THAT(co_await LinksOf(t, t.pid()), testing::ElementsAre(x));
    EXPECT_EQ(co_await Running(t, x), 0u);
  }
};

TEST_F(DynStream, DYN204NoRoom) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t, {.max_children = 1});
    for (bool link : {true, false}) {
      TaskStream stream(TaskSupervisor(x), Numbers({1000, 1000}), Sleeper,
                        {.max_concurrency = 2, .link = link});
      EXPECT_EQ(co_await All(t, stream), "MAX_CHILDREN");
      co_await ExpectClean(t, x);
    }
  });
}

TEST_F(DynStream, DYN212InOrder) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    for (size_t most : {1, 2, 4, 100}) {
      TaskStream up(TaskSupervisor(x), Numbers({1, 2, 3, 4}), Sleeper, {.max_concurrency = most});
      EXPECT_EQ(co_await All(t, up), "ok:1 ok:2 ok:3 ok:4");
      TaskStream down(TaskSupervisor(x), Numbers({40, 30, 20, 10}), Sleeper,
                      {.max_concurrency = most});
      EXPECT_EQ(co_await All(t, down), "ok:40 ok:30 ok:20 ok:10");
      co_await ExpectClean(t, x);
    }
    TaskStream any(TaskSupervisor(x), Numbers({40, 30, 20, 10}), Sleeper,
                   {.max_concurrency = 4, .ordered = false});
    EXPECT_EQ(co_await All(t, any), "ok:10 ok:20 ok:30 ok:40");
    co_await ExpectClean(t, x);
  });
}

TEST_F(DynStream, DYN212NeverMoreThanAllowed) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t, {.max_children = 3});
    TaskStream stream(TaskSupervisor(x), Numbers({5, 4, 3, 2, 1, 2, 3, 4, 5}), Sleeper,
                      {.max_concurrency = 3});
    EXPECT_EQ(co_await All(t, stream), "ok:5 ok:4 ok:3 ok:2 ok:1 ok:2 ok:3 ok:4 ok:5");
  });
}

TEST_F(DynStream, DYN213TasksThatExit) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    for (bool link : {true, false}) {
      TaskStream stream(TaskSupervisor(x), Numbers({1, 2, 3}), Exits,
                        {.max_concurrency = 2, .link = link});
      EXPECT_EQ(co_await All(t, stream), "exit:1:error 1 exit:2:error 2 exit:3:error 3");
      co_await ExpectClean(t, x);
    }
  });
}

TEST_F(DynStream, DYN214StoppedEarly) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    for (bool link : {true, false}) {
      TaskStream stream(TaskSupervisor(x), Numbers({0, 1000, 1001, 0, 1002}), Sleeper,
                        {.max_concurrency = 4, .link = link});
      absl::StatusOr<std::optional<TaskStream::Item>> first = co_await stream.Next(t);
      CO_ASSERT(first.ok() && first->has_value());
      EXPECT_EQ(IntOf((*first)->input), 0);
      co_await stream.Stop(t);
      co_await ExpectClean(t, x);
    }
  });
}

TEST_F(DynStream, DYN215ATaskThatTakesTooLong) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    for (bool link : {true, false}) {
      TaskStreamOptions options{
          .max_concurrency = 2, .timeout = absl::Milliseconds(50), .link = link};
      options.kill_on_timeout = true;
      TaskStream kills(TaskSupervisor(x), Numbers({1, 100}), Sleeper, options);
      EXPECT_EQ(co_await All(t, kills), "ok:1 exit:100:timeout");
      co_await ExpectClean(t, x);
      options.kill_on_timeout = false;
      TaskStream ends(TaskSupervisor(x), Numbers({1, 100, 1}), Sleeper, options);
      EXPECT_EQ(co_await All(t, ends), "ok:1CALL_TIMEOUT");
      co_await ExpectClean(t, x);
    }
  });
}

TEST_F(DynStream, DYN216AnotherConsumerAndWrongOptions) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    auto stream = std::make_shared<TaskStream>(TaskSupervisor(x), Numbers({1, 2, 3}), Sleeper);
    std::string taken;
    absl::StatusOr<SpawnResult> consumer = t.Spawn(
        [stream, &taken](Self& self) -> Task<ExitReason> {
          taken = co_await All(self, *stream);
          co_return ExitReason::Normal();
        },
        {});
    CO_ASSERT(consumer.ok());
    co_await DownOf(t, consumer->pid);
    EXPECT_EQ(taken, "ok:1 ok:2 ok:3");
    TaskStream wrong(TaskSupervisor(x), Numbers({1}), Sleeper, {.shutdown = Ms(-1)});
    EXPECT_EQ(co_await All(t, wrong), "SPEC_INVALID");
  });
}

// A consumer that ends takes the tasks along, linked or not.
TEST_F(DynStream, DYN216TheConsumerEnds) {
  Run([&](Self& t) -> Task<void> {
    Pid x = co_await StartX(t);
    for (bool link : {true, false}) {
      auto stream =
          std::make_shared<TaskStream>(TaskSupervisor(x), Numbers({0, 100'000, 100'000}), Sleeper,
                                       TaskStreamOptions{.max_concurrency = 3, .link = link});
      absl::StatusOr<SpawnResult> consumer = t.Spawn(
          [stream](Self& self) -> Task<ExitReason> {
            absl::StatusOr<std::optional<TaskStream::Item>> item = co_await stream->Next(self);
            EXPECT_TRUE(item.ok()) << item.status();
            co_await self.Receive();
            co_return ExitReason::Normal();
          },
          {});
      CO_ASSERT(consumer.ok());
      co_await Settle(t);
      EXPECT_EQ(co_await Running(t, x), 2u);
      co_await Kill(t, consumer->pid, ExitReason::Kill());
      co_await Settle(t);
      EXPECT_EQ(co_await Running(t, x), 0u) << link;
    }
  });
}

}  // namespace
}  // namespace banyan
