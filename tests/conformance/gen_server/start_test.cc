// Starting: GS-001, GS-038, GS-101 to GS-107, GS-126, GS-133. spec/gen_server.md 2, 3.
#include "common/base/error.h"
#include "tests/conformance/gen_server/server.h"

namespace banyan {
namespace {

class GsStart : public GenServerTest {};

struct Raised : std::exception {
  const char* what() const noexcept override { return "raised"; }
};

// What start, start_link and start_monitor have in common.
TEST_F(GsStart, GS001StartCallAndStop) {
  script_.call = [](S&, std::string word, CallFrom) -> Task<CallResult> {
    if (word == "stop") return S::StopReply(ExitReason::Error("stopped"), Word("ok"));
    return S::Reply(Word("ok"));
  };
  Run([&](Self& t) -> Task<void> {
    for (const char* name : {"", "my_server"}) {
      for (auto [link, monitor] : {std::pair(false, false), {true, false}, {false, true}}) {
        StartOptions o = Linked(name);
        o.link = link;
        o.monitor = monitor;
        o.timeout = absl::Seconds(1);
        StartResult r = co_await StartIt(t, o);
        CO_ASSERT(r.started());
        EXPECT_EQ(r.monitor != 0, monitor);
        if (*name) {
          StartResult again = co_await StartIt(t, o);
          EXPECT_EQ(again.reason.type(), kAlreadyStarted);
          EXPECT_EQ(again.pid, r.pid);
          EXPECT_EQ(TextOf(*co_await t.CallName(name, Word("started_p"))), "ok");
        }
        EXPECT_EQ(TextOf(*co_await t.Call(r.pid, Word("started_p"))), "ok");
        EXPECT_EQ(TextOf(*co_await t.Call(r.pid, Word("stop"))), "ok");
        if (link) EXPECT_EQ(co_await ExitOf(t, r.pid), ExitReason::Error("stopped"));
        if (monitor) {
          std::optional<Message> down = co_await Next(t);
          EXPECT_TRUE(down->is_down() && down->ref() == r.monitor);
          EXPECT_EQ(down->reason(), ExitReason::Error("stopped"));
        }
        absl::StatusOr<Payload> gone = co_await t.Call(r.pid, Word("x"), absl::Milliseconds(1));
        EXPECT_EQ(ErrorReason(gone.status()), "NOPROC");
        EXPECT_EQ(t.mailbox_length(), 0u);
      }
    }
  });
}

TEST_F(GsStart, GS038TheNameIsFreeTheInstantTheStartReturns) {
  Run([&](Self& t) -> Task<void> {
    for (int i = 0; i < 100; ++i) {
      script_.init = [](S&, auto) -> Task<Init> { return S::Ignore(); };
      EXPECT_TRUE((co_await StartIt(t, Linked("server"))).ignored());
      EXPECT_FALSE(rt_->Whereis("server"));
      script_.init = [](S&, auto) -> Task<Init> { return S::Stop(ExitReason::Error("r")); };
      EXPECT_TRUE((co_await StartIt(t, Linked("server"))).failed());
      EXPECT_FALSE(rt_->Whereis("server"));
    }
  });
}

TEST_F(GsStart, GS101InitResults) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S&, auto) -> Task<Init> { return S::Stop(ExitReason::Error("r")); };
    StartResult r = co_await StartIt(t);
    EXPECT_EQ(r.reason, ExitReason::Error("r"));
    script_.init = [](S&, auto) -> Task<Init> { return S::Ignore(); };
    r = co_await StartIt(t);
    EXPECT_TRUE(r.ignored());
    script_.init = [](S&, auto) -> Task<Init> { throw Raised(); };
    r = co_await StartIt(t);
    EXPECT_EQ(r.reason.message(), "raised");
    EXPECT_THAT(r.reason.type(), testing::HasSubstr("Raised"));
    script_.init = [](S& s, auto) -> Task<Init> {
      co_await s.self().Sleep(absl::Seconds(1));
      throw Raised();
    };
    r = co_await StartIt(t);
    EXPECT_EQ(r.reason.message(), "raised");
    script_.init = [](S& s, auto) -> Task<Init> {
      co_await s.self().ExitSelf(ExitReason::Error("r"));
      co_return S::Ok();
    };
    r = co_await StartIt(t);
    EXPECT_EQ(r.reason, ExitReason::Error("r"));
    script_.init = [](S&, auto) -> Task<Init> { return S::Stop(ExitReason::Normal()); };
    r = co_await StartIt(t);
    EXPECT_TRUE(r.failed());
    EXPECT_TRUE(r.reason.is_normal());
    EXPECT_EQ(t.mailbox_length(), 0u) << "no stray EXIT";
    EXPECT_THAT(script_.trace, testing::IsEmpty()) << "terminate must not run";
  });
}

TEST_F(GsStart, GS102InitTimeout) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S& s, auto) -> Task<Init> {
      co_await s.self().Sleep(absl::Hours(1));
      co_return S::Ok();
    };
    for (auto [link, monitor] : {std::pair(true, false), {false, false}, {false, true}}) {
      StartOptions o = Linked("slow_server");
      o.link = link;
      o.monitor = monitor;
      o.timeout = absl::Milliseconds(500);
      Instant before = t.Now();
      StartResult r = co_await StartIt(t, o);
      EXPECT_EQ(r.reason, ExitReason::Timeout());
      EXPECT_EQ(t.Now() - before, absl::Milliseconds(500));
      EXPECT_FALSE(rt_->Whereis("slow_server"));
    }
    co_await t.Sleep(absl::Seconds(1));
    EXPECT_EQ(t.mailbox_length(), 0u);
    EXPECT_THAT(script_.trace, testing::IsEmpty());
  });
}

TEST_F(GsStart, GS103FailedStartMonitorLeavesNothing) {
  Run([&](Self& t) -> Task<void> {
    StartOptions o = Linked();
    o.link = false;
    o.monitor = true;
    script_.init = [](S&, auto) -> Task<Init> { return S::Stop(ExitReason::Error("r")); };
    StartResult r = co_await StartIt(t, o);
    EXPECT_EQ(r.reason, ExitReason::Error("r"));
    script_.init = [](S&, auto) -> Task<Init> { return S::Ignore(); };
    r = co_await StartIt(t, o);
    EXPECT_TRUE(r.ignored());
    script_.init = nullptr;
    r = co_await StartIt(t, o);
    EXPECT_TRUE(r.started());
    EXPECT_EQ(t.mailbox_length(), 0u);
    t.Exit(r.pid, ExitReason::Kill());
    std::optional<Message> down = co_await Next(t);
    EXPECT_TRUE(down->is_down() && down->ref() == r.monitor);
  });
}

// Parent exits: GS-104 to GS-107.
TEST_F(GsStart, GS104And105And106And107ParentExit) {
  Run([&](Self& t) -> Task<void> {
    auto trapping = [](S& s, auto) -> Task<Init> {
      s.self().SetTrapExit(true);
      return S::Ok();
    };
    script_.init = trapping;
    Pid p = co_await StartOk(t);
    t.Exit(p, ExitReason::Normal());
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Normal());
    EXPECT_THAT(script_.trace, testing::ElementsAre("terminate normal"));
    script_.trace.clear();
    StartOptions unlinked = Linked();
    unlinked.link = false;
    p = co_await StartOk(t, unlinked);
    t.Exit(p, ExitReason::Error("foo"));
    co_await t.Sleep(absl::Milliseconds(1));
    EXPECT_THAT(script_.trace, testing::ElementsAre("EXIT error foo")) << "start/3: no parent";
    t.Monitor(p);
    rt_->Exit(p, ExitReason::Kill());
    std::optional<Message> killed = co_await Next(t);
    EXPECT_TRUE(killed->is_down() && killed->reason() == ExitReason::Killed());
    script_.trace.clear();
    StartOptions monitored = unlinked;
    monitored.monitor = true;
    p = co_await StartOk(t, monitored);
    t.Exit(p, ExitReason::Error("foo"));
    std::optional<Message> down = co_await Next(t);
    EXPECT_TRUE(down->is_down() && down->reason() == ExitReason::Error("foo"));
    EXPECT_THAT(script_.trace, testing::ElementsAre("terminate error foo")) << "start_monitor";
    script_.trace.clear();
    script_.init = nullptr;
    p = co_await StartOk(t);
    t.Exit(p, ExitReason::Normal());
    co_await t.Sleep(absl::Milliseconds(1));
    EXPECT_TRUE(rt_->IsAlive(p));
    t.Exit(p, ExitReason::Error("foo"));
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Error("foo"));
    EXPECT_THAT(script_.trace, testing::IsEmpty());
  });
}

TEST_F(GsStart, GS126NameIsThereWhileInitRuns) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](S& s, auto) -> Task<Init> {
      co_await s.self().Sleep(absl::Seconds(1));
      co_return S::Ok();
    };
    bool answered = false;
    ProcessMain caller = [&](Self& self) -> Task<ExitReason> {
      co_await self.Sleep(absl::Milliseconds(10));
      absl::StatusOr<Payload> r = co_await self.CallName("server", Word("hi"));
      answered = r.ok();
      co_return ExitReason::Normal();
    };
    (void)t.Spawn(std::move(caller), {});
    co_await StartOk(t, Linked("server"));
    co_await t.Sleep(absl::Milliseconds(1));
    EXPECT_TRUE(answered);
  });
}

TEST_F(GsStart, GS133NameIsFreeAfterEveryFailure) {
  Run([&](Self& t) -> Task<void> {
    std::vector<std::function<Task<Init>(S&, std::vector<Payload>)>> failures{
        [](S&, auto) -> Task<Init> { return S::Stop(ExitReason::Error("r")); },
        [](S&, auto) -> Task<Init> { return S::Ignore(); },
        [](S&, auto) -> Task<Init> { throw Raised(); },
        [](S& s, auto) -> Task<Init> {
          co_await s.self().Sleep(absl::Hours(1));
          co_return S::Ok();
        }};
    for (const auto& failure : failures) {
      script_.init = failure;
      StartOptions o = Linked("server");
      o.timeout = absl::Seconds(1);
      StartResult r = co_await StartIt(t, o);
      EXPECT_FALSE(r.started());
      EXPECT_FALSE(rt_->Whereis("server"));
    }
  });
}

TEST_F(GsStart, NameTakenIsAlreadyStarted) {
  Run([&](Self& t) -> Task<void> {
    Pid first = co_await StartOk(t, Linked("server"));
    StartResult r = co_await StartIt(t, Linked("server"));
    EXPECT_EQ(r.reason.type(), kAlreadyStarted);
    EXPECT_EQ(r.pid, first);
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

}  // namespace
}  // namespace banyan
