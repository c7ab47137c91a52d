// Initialisation in trees of supervisors: INI-006 to INI-008, INI-011 to INI-015.
// spec/gen_server.md 14.1, 14.5, 14.6.
#include "tests/conformance/gen_server/server.h"
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

class GsInit : public SupervisorTest {
 protected:
  using S = ScriptServer;
  GsInit() {
    modules_.AddBehaviour("script", [this] { return std::make_unique<S>(&script_); });
  }
  S::Script script_;
};

TEST_F(GsInit, INI006ContinueThatAlwaysExits) {
  int inits = 0;
  script_.init = [&](S&, auto) -> Task<GenServer::InitResult> {
    ++inits;
    return S::Ok().Continue(Word("go"));
  };
  script_.resume = [](S&, std::string) -> Task<GenServer::Result> {
    return S::Stop(ExitReason::Error("always"));
  };
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    OpResult r = co_await StartChild(t, s, Child("c", "script"));
    EXPECT_EQ(r.code, Code::kOk);
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
  });
  EXPECT_EQ(inits, 3);
  EXPECT_EQ(std::count(script_.trace.begin(), script_.trace.end(), "terminate error always"), 3);
}

TEST_F(GsInit, INI007AFailingSiblingStopsTheEarlierOnesInReverse) {
  Run([&](Self& t) -> Task<void> {
    StartResult r =
        co_await TryStart(t, Spec(Strategy::kOneForOne, 1, 5,
                                  {Child("a", "r", {"a"}), Child("b", "r", {"b"}),
                                   Child("c", "w1", {"ret_error"}), Child("d", "r", {"d"})}));
    EXPECT_EQ(r.reason, ExitReason::FailedToStartChild("c", ExitReason::Error("reason")));
    EXPECT_THAT(world_.trace, testing::ElementsAre("init a", "init b", "terminate b shutdown",
                                                   "terminate a shutdown"));
  });
}

TEST_F(GsInit, INI008FailuresNest) {
  Run([&](Self& t) -> Task<void> {
    ChildSpec inner =
        Child("inner", "", {}, kPerm, ShutdownPolicy::Infinity(), ChildType::kSupervisor);
    inner.supervisor = std::make_shared<const SupervisorSpec>(
        Spec(Strategy::kOneForOne, 1, 5, {Child("g", "w1", {"ret_error"})}));
    StartResult r = co_await TryStart(t, Spec(Strategy::kOneForOne, 1, 5, {inner}));
    EXPECT_EQ(r.reason,
              ExitReason::FailedToStartChild(
                  "inner", ExitReason::FailedToStartChild("g", ExitReason::Error("reason"))));
  });
}

TEST_F(GsInit, INI011CallToOnesOwnSupervisorTimesOut) {
  script_.init = [](S& s, auto) -> Task<GenServer::InitResult> {
    Pid sup = s.self().parent();
    absl::StatusOr<ChildCounts> counts =
        co_await SupervisorClient(sup, absl::Milliseconds(300)).CountChildren(s.self());
    EXPECT_FALSE(counts.ok());
    co_return S::Ok();
  };
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5));
    Instant before = t.Now();
    EXPECT_EQ((co_await StartChild(t, s, Child("c", "script"))).code, Code::kOk);
    EXPECT_EQ(t.Now() - before, absl::Milliseconds(300));
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 1, 0, 1));
  });
}

TEST_F(GsInit, INI012LaterSiblingFindsTheNewEarlierOne) {
  std::vector<std::optional<Pid>> found;
  script_.init = [&](S& s, auto) -> Task<GenServer::InitResult> {
    found.push_back(s.self().runtime().Whereis("a"));
    return S::Ok();
  };
  Run([&](Self& t) -> Task<void> {
    ChildSpec a = Child("a", "w1");
    a.start.name = "a";
    Pid s = co_await Start(t, Spec(Strategy::kRestForOne, 1, 5, {a, Child("b", "script")}));
    Pid old = co_await PidOf(t, s, "a");
    co_await End(t, old, "abnormal");
    CO_ASSERT(found.size() == 2);
    EXPECT_EQ(found[0], old);
    EXPECT_EQ(found[1], co_await PidOf(t, s, "a"));
  });
}

TEST_F(GsInit, INI013StartTimeoutOfAChildFailsTheTree) {
  Run([&](Self& t) -> Task<void> {
    ChildSpec hangs = Child("b", "slow", {"100000"});
    hangs.start.start_timeout = absl::Milliseconds(100);
    StartResult r =
        co_await TryStart(t, Spec(Strategy::kOneForOne, 1, 5, {Child("a", "r", {"a"}), hangs}));
    EXPECT_EQ(r.reason, ExitReason::FailedToStartChild("b", ExitReason::Timeout()));
    EXPECT_THAT(world_.trace, testing::ElementsAre("init a", "terminate a shutdown"));
  });
}

TEST_F(GsInit, INI014IgnoreThenRestartWhenReady) {
  bool ready = false;
  script_.init = [&](S&, auto) -> Task<GenServer::InitResult> {
    return ready ? S::Ok() : S::Ignore();
  };
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(
        t, Spec(Strategy::kOneForOne, 1, 5, {Child("c", "script"), Child("d", "w1")}));
    EXPECT_EQ(co_await Show(t, s), "d c:undefined") << "kept, and later siblings run";
    OpResult r = co_await Restart(t, s, std::string("c"));
    EXPECT_EQ(r.code, Code::kIgnored);
    ready = true;
    r = co_await Restart(t, s, std::string("c"));
    EXPECT_EQ(r.code, Code::kOk);
    EXPECT_EQ(r.pid, co_await PidOf(t, s, "c"));
  });
}

TEST_F(GsInit, INI015AShutdownWaitsForTheInitThatRuns) {
  script_.init = [&](S& s, auto) -> Task<GenServer::InitResult> {
    s.self().SetTrapExit(true);
    co_await s.self().Sleep(absl::Milliseconds(600));
    script_.trace.push_back("init done");
    co_return S::Ok();
  };
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5));
    ProcessMain starter = [s](Self& self) -> Task<ExitReason> {
      (void)co_await SupervisorClient(s).StartChild(self, Child("c", "script"));
      co_return ExitReason::Normal();
    };
    (void)t.Spawn(std::move(starter), {});
    co_await t.Sleep(absl::Milliseconds(100));
    t.Exit(s, ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, s, absl::Milliseconds(499)), std::nullopt);
    EXPECT_EQ(co_await ExitOf(t, s, absl::Milliseconds(2)), ExitReason::Shutdown());
    EXPECT_THAT(script_.trace, testing::ElementsAre("init done", "terminate shutdown"));
  });
}

}  // namespace
}  // namespace banyan
