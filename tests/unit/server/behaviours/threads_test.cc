// Supervisors and servers on several threads, for TSan.
#include <future>
#include <thread>

#include "common/time/system_clock.h"
#include "common/time/system_timers.h"
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

class ThreadsTest : public testing::Test {
 protected:
  ThreadsTest() {
    AddWorkers(&modules_, &world_);
    modules_.Add<Echo>("echo");
    host_.modules = &modules_;
    Runtime::Options o;
    o.clock = &clock_;
    o.timers = &timers_;
    o.workers = 4;
    rt_ = std::make_unique<Runtime>(o);
    rt_->SetHost(&host_);
  }
  ~ThreadsTest() override { rt_->Shutdown(); }

  class Echo : public GenServer {
    Task<InitResult> Init(std::vector<Payload>) override { return Ok(); }
    Task<CallResult> HandleCall(Payload request, CallFrom) override {
      return Reply(std::move(request));
    }
    Task<Result> HandleCast(Payload) override { return Stop(ExitReason::Error("cast")); }
  };

  Pid StartSup(SupervisorSpec spec) {
    std::promise<StartResult> started;
    StartSupervisor(*rt_, std::make_shared<SupervisorSpec>(std::move(spec)), {}, {},
                    [&](StartResult r) { started.set_value(std::move(r)); });
    return started.get_future().get().pid;
  }
  template <typename T, typename Call>
  static T Wait(Call call) {
    std::promise<absl::StatusOr<T>> done;
    call([&](absl::StatusOr<T> r) { done.set_value(std::move(r)); });
    absl::StatusOr<T> r = done.get_future().get();
    EXPECT_TRUE(r.ok()) << r.status();
    return r.ok() ? *std::move(r) : T();
  }

  SystemClock clock_;
  SystemTimers timers_;
  WorkerWorld world_;
  Modules modules_;
  Host host_;
  std::unique_ptr<Runtime> rt_;
};

TEST_F(ThreadsTest, ChildrenAreStartedCalledAndCrashedFromManyThreads) {
  SupervisorSpec spec;
  spec.flags.strategy = Strategy::kSimpleOneForOne;
  spec.flags.intensity = 1'000'000;
  spec.child_template.emplace();
  spec.child_template->start.module = "echo";
  const SupervisorClient client(StartSup(spec));
  auto work = [&] {
    for (int i = 0; i < 100; ++i) {
      OpResult r =
          Wait<OpResult>([&](auto done) { client.StartChild(*rt_, std::vector<Payload>{}, done); });
      EXPECT_EQ(r.code, OpResult::Code::kOk);
      std::promise<bool> answered;
      rt_->Call(r.pid, Word("hi"), clock_.Now() + absl::Seconds(30),
                [&](absl::StatusOr<Payload> reply, Pid) { answered.set_value(reply.ok()); });
      EXPECT_TRUE(answered.get_future().get());
      if (i % 3 == 0) rt_->Cast(r.pid, Word("crash"));
      if (i % 3 == 1) rt_->Exit(r.pid, ExitReason::Kill());
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(work);
  for (std::thread& t : threads) t.join();
  ChildCounts counts = Wait<ChildCounts>([&](auto done) { client.CountChildren(*rt_, done); });
  EXPECT_EQ(counts.workers, 400u);
}

TEST_F(ThreadsTest, ServersCallEachOther) {
  StartSpec spec;
  spec.module = "echo";
  std::promise<StartResult> started;
  StartModule(*rt_, spec, {}, [&](StartResult r) { started.set_value(std::move(r)); });
  const Pid echo = started.get_future().get().pid;
  std::promise<void> all;
  std::atomic<int> left{8};
  for (int i = 0; i < 8; ++i) {
    ProcessMain caller = [&](Self& self) -> Task<ExitReason> {
      for (int n = 0; n < 500; ++n) {
        absl::StatusOr<Payload> r = co_await self.Call(echo, Word("x"), absl::Seconds(60));
        EXPECT_TRUE(r.ok());
      }
      if (--left == 0) all.set_value();
      co_return ExitReason::Normal();
    };
    ASSERT_TRUE(rt_->Spawn(std::move(caller)).ok());
  }
  EXPECT_EQ(all.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
}

}  // namespace
}  // namespace banyan
