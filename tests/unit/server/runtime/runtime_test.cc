// The runtime on threads: what the virtual-time tests cannot show.
#include "server/runtime/runtime.h"

#include <condition_variable>
#include <mutex>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/base/error.h"
#include "common/time/system_clock.h"

namespace banyan {
namespace {

// Counts down to an event that the test's thread waits for. Outlives the runtime whose processes
// use it.
class Latch {
 public:
  explicit Latch(int n) : n_(n) {}
  void Count() {
    std::lock_guard lock(mu_);
    if (--n_ <= 0) cv_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mu_);
    cv_.wait(lock, [&] { return n_ <= 0; });
  }

 private:
  std::mutex mu_;
  std::condition_variable cv_;
  int n_;
};

class RuntimeThreads : public ::testing::Test {
 protected:
  Runtime::Options options() { return {.clock = &clock_, .timers = &timers_, .workers = 4}; }
  static Payload Text(std::string s) { return Payload::Any("test/text", std::move(s)); }
  static ProcessMain Echo() {
    return [](Self& self) -> Task<ExitReason> {
      for (;;) {
        std::optional<Message> m = co_await self.Receive();
        if (m->is_call()) self.Answer(m->call_from(), m->payload());
      }
    };
  }
  SystemClock clock_;
  SystemTimers timers_;
};

TEST_F(RuntimeThreads, CallsFromManyProcessesAreAllAnswered) {
  constexpr int kCallers = 64, kCalls = 200;
  Latch done(kCallers);
  Runtime rt(options());
  Pid server = *rt.Spawn(Echo());
  std::atomic<int> ok{0};
  for (int i = 0; i < kCallers; ++i) {
    ASSERT_TRUE(rt.Spawn([&, i](Self& self) -> Task<ExitReason> {
                    for (int n = 0; n < kCalls; ++n) {
                      std::string text = std::to_string(i * kCalls + n);
                      auto r = co_await self.Call(server, Text(text));
                      if (r.ok() && r->bytes() == text) ++ok;
                    }
                    done.Count();
                    co_return ExitReason::Normal();
                  }).ok());
  }
  done.Wait();
  EXPECT_EQ(ok.load(), kCallers * kCalls);
}

TEST_F(RuntimeThreads, ExternalCallIsAnsweredOnce) {
  constexpr int kCalls = 2000;
  Latch done(kCalls);
  Runtime rt(options());
  Pid server = *rt.Spawn(Echo());
  std::atomic<int> ok{0};
  for (int i = 0; i < kCalls; ++i) {
    rt.Call(server, Text("x"), clock_.Now() + absl::Seconds(30),
            [&](absl::StatusOr<Payload> r, Pid) {
              if (r.ok()) ++ok;
              done.Count();
            });
  }
  done.Wait();
  EXPECT_EQ(ok.load(), kCalls);
}

TEST_F(RuntimeThreads, ExternalCallToTheDeadIsNoproc) {
  Latch done(1);
  Runtime rt(options());
  std::string reason;  // not the Status: TSan cannot see into Debian's reference counts
  rt.Call(Pid::Local(77, 3), Text("x"), Instant::Infinite(), [&](absl::StatusOr<Payload> r, Pid) {
    reason = ErrorReason(r.status());
    done.Count();
  });
  done.Wait();
  EXPECT_EQ(reason, "NOPROC");
}

TEST_F(RuntimeThreads, CallThatIsNotAnsweredTimesOut) {
  Latch done(1);
  Runtime rt(options());
  Pid silent = *rt.Spawn([](Self& self) -> Task<ExitReason> {
    for (;;) co_await self.Receive();
  });
  std::string reason;  // not the Status: TSan cannot see into Debian's reference counts
  rt.Call(silent, Text("x"), clock_.Now() + absl::Milliseconds(20),
          [&](absl::StatusOr<Payload> r, Pid) {
            reason = ErrorReason(r.status());
            done.Count();
          });
  done.Wait();
  EXPECT_EQ(reason, "CALL_TIMEOUT");
}

TEST_F(RuntimeThreads, LinksHoldWhileBothEndsRace) {
  constexpr int kPairs = 500;
  Latch ended(kPairs * 2);
  Runtime rt(options());
  for (int i = 0; i < kPairs; ++i) {
    Pid a = *rt.Spawn([](Self& self) -> Task<ExitReason> {
      for (;;) co_await self.Receive();
    });
    // Links, then one end dies at once: the other has to follow, whichever way the race goes.
    Pid b = *rt.Spawn([a](Self& self) -> Task<ExitReason> {
      self.Link(a);
      for (;;) co_await self.Receive();
    });
    rt.Monitor(a, [&](Pid, ExitReason) { ended.Count(); });
    rt.Monitor(b, [&](Pid, ExitReason) { ended.Count(); });
    rt.Exit(b, ExitReason::Error("x"));
    rt.Exit(a, ExitReason::Error("x"));
  }
  ended.Wait();
  SUCCEED();
}

TEST_F(RuntimeThreads, SlotsAreReusedUnderLoad) {
  Runtime rt(options());
  constexpr int kWaves = 20, kWave = 500;
  for (int w = 0; w < kWaves; ++w) {
    Latch ended(kWave);
    for (int i = 0; i < kWave; ++i) {
      Pid p = *rt.Spawn([](Self& self) -> Task<ExitReason> {
        co_await self.Receive();
        co_return ExitReason::Normal();
      });
      rt.Monitor(p, [&](Pid, ExitReason) { ended.Count(); });
      rt.Send(p, {});
      rt.Send(p, {});  // may arrive when it has ended, or has a successor in its slot
    }
    ended.Wait();
  }
  EXPECT_EQ(rt.counters().spawned.load(), uint64_t{kWaves * kWave});
}

TEST_F(RuntimeThreads, BlockingWorkLeavesTheWorkersFree) {
  Latch release(1), done(2);
  Runtime rt({.clock = &clock_, .timers = &timers_, .workers = 1});
  Pid server = *rt.Spawn(Echo());
  int result = 0;
  ASSERT_TRUE(rt.Spawn([&](Self& self) -> Task<ExitReason> {
                  result = co_await self.Blocking([&] {
                    release.Wait();
                    return 7;
                  });
                  done.Count();
                  co_return ExitReason::Normal();
                }).ok());
  rt.Call(server, Text("x"), Instant::Infinite(), [&](absl::StatusOr<Payload>, Pid) {
    release.Count();
    done.Count();
  });
  done.Wait();
  EXPECT_EQ(result, 7);
}

TEST_F(RuntimeThreads, AFullMailboxRefusesCalls) {
  Latch started(1), release(1), done(1);
  Runtime rt(options());
  Pid busy = *rt.Spawn(
      [&](Self& self) -> Task<ExitReason> {
        started.Count();
        release.Wait();  // on purpose on a worker: there are four
        for (;;) co_await self.Receive();
      },
      {.max_messages = 10});
  started.Wait();
  for (int i = 0; i < 10; ++i) rt.Send(busy, {});
  std::string reason;  // not the Status: TSan cannot see into Debian's reference counts
  rt.Call(busy, {}, Instant::Infinite(), [&](absl::StatusOr<Payload> r, Pid) {
    reason = ErrorReason(r.status());
    done.Count();
  });
  done.Wait();
  release.Count();
  EXPECT_EQ(reason, "MAILBOX_FULL");
}

TEST_F(RuntimeThreads, PutSaysWhetherTheMessageIsInTheMailbox) {
  Latch started(1), release(1), taken(3);
  Runtime rt(options());
  Pid busy = *rt.Spawn(
      [&](Self& self) -> Task<ExitReason> {
        started.Count();
        release.Wait();  // on purpose on a worker: there are four
        for (;;) {
          std::optional<Message> m = co_await self.Receive();
          if (m->is_cast() || m->is_info()) taken.Count();
        }
      },
      {.max_messages = 3});
  started.Wait();
  EXPECT_TRUE(rt.Put(busy, Text("1"), SignalKind::kMessage).ok());
  EXPECT_TRUE(rt.Put(busy, Text("2"), SignalKind::kCast).ok());
  EXPECT_TRUE(rt.Put(busy, Text("3"), SignalKind::kCast).ok());
  EXPECT_EQ(ErrorReason(rt.Put(busy, Text("4"), SignalKind::kMessage)), "MAILBOX_FULL");
  release.Count();
  taken.Wait();
  EXPECT_EQ(
      ErrorReason(rt.Put(Pid::Local(busy.slot(), busy.generation() + 1), {}, SignalKind::kMessage)),
      "NOPROC");
  EXPECT_EQ(ErrorReason(rt.Put(Pid{2, 1, busy.id}, {}, SignalKind::kMessage)), "NOPROC");
}

TEST_F(RuntimeThreads, ShutdownUnwindsEveryProcess) {
  std::atomic<int> alive{0};
  {
    Runtime rt(options());
    Latch started(100);
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(rt.Spawn([&](Self& self) -> Task<ExitReason> {
                      struct Guard {
                        std::atomic<int>* n;
                        explicit Guard(std::atomic<int>* c) : n(c) { ++*n; }
                        ~Guard() { --*n; }
                      } guard(&alive);
                      started.Count();
                      for (;;) co_await self.Receive();
                    }).ok());
    }
    started.Wait();
    EXPECT_EQ(alive.load(), 100);
  }
  EXPECT_EQ(alive.load(), 0);
}

}  // namespace
}  // namespace banyan
