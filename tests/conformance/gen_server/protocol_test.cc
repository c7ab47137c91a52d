// The start protocol (proc_lib): PL-002 to PL-009, PL-013, PL-014, PL-101 to PL-105.
// spec/gen_server.md 13, 16.
#include "common/base/error.h"
#include "server/runtime/process_exit.h"
#include "tests/conformance/gen_server/server.h"

namespace banyan {
namespace {

class Protocol : public GenServerTest {};

TEST_F(Protocol, PL003To006StartWaitsForTheAck) {
  Run([&](Self& t) -> Task<void> {
    StartBody body = [](Self& self, StartAck ack) -> Task<ExitReason> {
      co_await self.Sleep(absl::Seconds(1));
      ack.Started(Word("info"));
      ack.Started();  // only the first counts
      co_await self.Sleep(absl::Seconds(1));
      co_return ExitReason::Normal();
    };
    for (bool link : {true, false}) {
      StartOptions o;
      o.link = link;
      o.monitor = true;
      Instant before = t.Now();
      StartResult r = co_await StartProcess(t, body, o);
      EXPECT_TRUE(r.started());
      EXPECT_EQ(TextOf(r.info), "info");
      EXPECT_EQ(t.Now() - before, absl::Seconds(1));
      if (link) EXPECT_EQ(co_await ExitOf(t, r.pid), ExitReason::Normal());
      std::optional<Message> down = co_await Next(t);
      EXPECT_TRUE(down->is_down());
      EXPECT_EQ(t.mailbox_length(), 0u);
    }
  });
}

TEST_F(Protocol, PL002WhatExceptionsBecome) {
  Run([&](Self& t) -> Task<void> {
    auto end_of = [&t](ProcessMain main) -> Task<std::optional<ExitReason>> {
      SpawnOptions o;
      o.link = true;
      return ExitOf(t, t.Spawn(std::move(main), o)->pid);
    };
    EXPECT_EQ(co_await end_of([](Self&) -> Task<ExitReason> { throw std::out_of_range("2"); }),
              ExitReason::Error("std::out_of_range", "2"));
    EXPECT_EQ(co_await end_of(
                  [](Self&) -> Task<ExitReason> { throw ProcessExit(ExitReason::Error("bye")); }),
              ExitReason::Error("bye"));
    EXPECT_EQ(co_await end_of([](Self&) -> Task<ExitReason> { throw 7; }),
              ExitReason::Error("int"));
    // From the depth of a body that has waited.
    EXPECT_EQ(co_await end_of([](Self& self) -> Task<ExitReason> {
                co_await self.Sleep(absl::Seconds(1));
                throw ProcessExit(ExitReason::Shutdown());
              }),
              ExitReason::Shutdown());
    // Caught like any other exception.
    EXPECT_EQ(co_await end_of([](Self&) -> Task<ExitReason> {
                try {
                  throw ProcessExit(ExitReason::Error("bye"));
                } catch (const ProcessExit& e) {
                  return ExitReason::Error("caught", e.reason().type());
                }
              }),
              ExitReason::Error("caught", "bye"));
  });
}

TEST_F(Protocol, PL007To009AStartThatIsNeverAcknowledged) {
  StartBody body = [](Self& self, StartAck) -> Task<ExitReason> {
    co_await self.Sleep(absl::Hours(1));
    co_return ExitReason::Normal();
  };
  Run([&](Self& t) -> Task<void> {
    for (bool link : {true, false}) {
      for (bool monitor : {true, false}) {
        StartOptions o;
        o.link = link;
        o.monitor = monitor;
        o.timeout = absl::Milliseconds(500);
        Instant before = t.Now();
        StartResult r = co_await StartProcess(t, body, o);
        EXPECT_EQ(r.reason, ExitReason::Timeout());
        EXPECT_EQ(t.Now() - before, absl::Milliseconds(500));
        EXPECT_FALSE(co_await Next(t, absl::Milliseconds(500))) << "neither EXIT nor DOWN";
      }
    }
  });
}

TEST_F(Protocol, PL013ACrashBeforeTheAckDoesNotHang) {
  StartBody body = [](Self&, StartAck) -> Task<ExitReason> { throw std::logic_error("bad_init"); };
  Run([&](Self& t) -> Task<void> {
    for (auto [link, timeout] : {std::pair(true, absl::InfiniteDuration()),
                                 {false, absl::InfiniteDuration()},
                                 {false, absl::Seconds(5)}}) {
      StartOptions o;
      o.link = link;
      o.timeout = timeout;
      Instant before = t.Now();
      StartResult r = co_await StartProcess(t, body, o);
      EXPECT_EQ(r.reason, ExitReason::Error("std::logic_error", "bad_init"));
      EXPECT_EQ(t.Now(), before);
    }
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

// A process without a behaviour that ends as it is told, in its own way.
StartBody Obeys(std::function<Task<ExitReason>(Self&, ExitReason)> how) {
  return [how = std::move(how)](Self& self, StartAck ack) -> Task<ExitReason> {
    ack.Started();
    std::optional<Message> m =
        co_await self.ReceiveIf([](const Message& m) { return m.is_system(); });
    const SysRequest* request = m->payload().As<SysRequest>();
    self.Answer(m->call_from(), {});
    co_return co_await how(self, request->reason);
  };
}

TEST_F(Protocol, PL014StopOfProcessesWithoutABehaviour) {
  Run([&](Self& t) -> Task<void> {
    auto start = [&t](std::function<Task<ExitReason>(Self&, ExitReason)> how,
                      std::string name = "") -> Task<Pid> {
      StartOptions o;
      o.link = false;
      o.name = std::move(name);
      StartResult r = co_await StartProcess(t, Obeys(std::move(how)), o);
      co_return r.pid;
    };
    auto good = [](Self&, ExitReason reason) -> Task<ExitReason> { return reason; };
    Pid p = co_await start(good);
    EXPECT_TRUE((co_await sys::Stop(t, p)).ok());
    absl::Status again = co_await sys::Stop(t, p);
    EXPECT_EQ(ErrorReason(again), "NOPROC");
    p = co_await start(good, "server");
    EXPECT_TRUE((co_await sys::Stop(t, p, ExitReason::Error("other_reason"))).ok());
    EXPECT_FALSE(rt_->Whereis("server"));
    p = co_await start(
        [](Self&, ExitReason) -> Task<ExitReason> { return ExitReason::Error("die"); });
    absl::Status died = co_await sys::Stop(t, p);
    EXPECT_EQ(*GetErrorInfo(died)->exit_reason, ExitReason::Error("die"));
    p = co_await start([](Self&, ExitReason) -> Task<ExitReason> { throw std::logic_error("2"); });
    died = co_await sys::Stop(t, p);
    EXPECT_EQ(*GetErrorInfo(died)->exit_reason, ExitReason::Error("std::logic_error", "2"));
    auto hangs = [](Self& self, ExitReason) -> Task<ExitReason> {
      co_await self.Sleep(absl::Hours(1));
      co_return ExitReason::Normal();
    };
    p = co_await start(hangs);
    absl::Status late = co_await sys::Stop(t, p, {}, absl::Seconds(1));
    EXPECT_EQ(ErrorReason(late), "CALL_TIMEOUT");
    EXPECT_TRUE(rt_->IsAlive(p));
    t.Exit(p, ExitReason::Kill());
    // The request is delivered, even if nobody waits.
    p = co_await start(good);
    late = co_await sys::Stop(t, p, {}, absl::ZeroDuration());
    EXPECT_EQ(ErrorReason(late), "CALL_TIMEOUT");
    EXPECT_EQ(co_await DownOf(t, p), ExitReason::Normal());
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

TEST_F(Protocol, PL105ACrashAfterTheAckComesByTheLink) {
  Run([&](Self& t) -> Task<void> {
    StartBody body = [](Self& self, StartAck ack) -> Task<ExitReason> {
      ack.Started();
      co_await self.Sleep(absl::Seconds(1));
      throw std::logic_error("late");
    };
    Instant before = t.Now();
    StartResult r = co_await StartProcess(t, body, {});
    EXPECT_TRUE(r.started());
    EXPECT_EQ(t.Now(), before);
    EXPECT_EQ(co_await ExitOf(t, r.pid), ExitReason::Error("std::logic_error", "late"));
  });
}

TEST_F(Protocol, PL101And102EndsWithoutAnAck) {
  Run([&](Self& t) -> Task<void> {
    for (bool link : {true, false}) {
      StartOptions o;
      o.link = link;
      for (const ExitReason& why : {ExitReason::Normal(), ExitReason::Error("zz")}) {
        StartBody body = [why](Self&, StartAck) -> Task<ExitReason> { return why; };
        StartResult r = co_await StartProcess(t, body, o);
        EXPECT_TRUE(r.failed());
        EXPECT_EQ(r.reason, why);
      }
    }
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

TEST_F(Protocol, PL103NonTrappingStarterHearsNormal) {
  RunAs(false, [&](Self& t) -> Task<void> {
    StartBody body = [](Self&, StartAck) -> Task<ExitReason> { return ExitReason::Normal(); };
    StartResult r = co_await StartProcess(t, body, {});
    EXPECT_TRUE(r.failed());
    EXPECT_TRUE(r.reason.is_normal());
  });
}

TEST_F(Protocol, FailedLinkedStartEndsANonTrappingStarter) {
  bool after = false;
  RunAs(
      false,
      [&](Self& t) -> Task<void> {
        StartBody body = [](Self&, StartAck) -> Task<ExitReason> {
          return ExitReason::Error("zz");
        };
        co_await StartProcess(t, body, {});
        after = true;
      },
      true);
  EXPECT_FALSE(after);
}

TEST_F(Protocol, PL104AckOfAnErrorThenAnotherReason) {
  Run([&](Self& t) -> Task<void> {
    StartBody body = [](Self&, StartAck ack) -> Task<ExitReason> {
      ack.Failed(ExitReason::Error("r"));
      return ExitReason::Error("r2");
    };
    StartResult r = co_await StartProcess(t, body, {});
    EXPECT_EQ(r.reason, ExitReason::Error("r"));
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

}  // namespace
}  // namespace banyan
