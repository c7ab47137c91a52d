// Initialisation in steps that undo each other: INI-001 to INI-005. spec/gen_server.md 14.2.
#include "common/base/error.h"
#include "tests/conformance/gen_server/server.h"

namespace banyan {
namespace {

class InitStepsCase : public GenServerTest {
 protected:
  class Warnings : public ProcessReports {
   public:
    void OnWarning(Pid, const std::string&, const std::string& text) override {
      seen.push_back(text);
    }
    std::vector<std::string> seen;
  };

  InitStepsCase() { host_.reports = &warnings_; }

  void Note(std::string what) { script_.trace.push_back(std::move(what)); }
  // A step that says that it runs, and its undo that does.
  Task<void> Do(S& s, std::string name) {
    return s.steps().Run(
        name,
        [this, name] {
          Note("do " + name);
          return Task<void>();
        },
        [this, name] {
          Note("undo " + name);
          return Task<void>();
        });
  }
  // Init of four steps, whose third is `step`.
  template <typename F>
  void FailThird(F step) {
    script_.init = [this, step](S& s, auto) -> Task<Init> {
      co_await Do(s, "1");
      co_await Do(s, "2");
      co_await s.steps().Run("third", step);
      co_await Do(s, "4");
      co_return S::Ok();
    };
  }
  // A failing start whose steps 1 and 2 were undone, and nothing else.
  Task<ExitReason> Undone(Self& t) {
    script_.trace.clear();
    StartResult r = co_await StartIt(t, Linked("server"));
    EXPECT_TRUE(r.failed());
    EXPECT_THAT(script_.trace, testing::ElementsAre("do 1", "do 2", "undo 2", "undo 1"));
    EXPECT_FALSE(rt_->Whereis("server"));
    EXPECT_EQ(t.mailbox_length(), 0u);
    co_return r.reason;
  }

  Warnings warnings_;
};

TEST_F(InitStepsCase, INI001AFailingStepUndoesThoseBeforeIt) {
  Run([&](Self& t) -> Task<void> {
    FailThird([]() -> Task<absl::Status> { return MakeError("MAILBOX_FULL", "no room"); });
    ExitReason why = co_await Undone(t);
    EXPECT_EQ(why, ExitReason::Error("MAILBOX_FULL", "step \"third\": no room"));
    FailThird([]() -> Task<absl::Status> { return absl::UnavailableError("not there"); });
    why = co_await Undone(t);
    EXPECT_EQ(why, ExitReason::Error("failed_step", "step \"third\": not there"));
    FailThird([]() -> Task<absl::StatusOr<int>> { return absl::NotFoundError("none"); });
    why = co_await Undone(t);
    EXPECT_EQ(why, ExitReason::Error("failed_step", "step \"third\": none"));
    // {stop,r} after some steps.
    script_.init = [this](S& s, auto) -> Task<Init> {
      co_await Do(s, "1");
      co_await Do(s, "2");
      co_return S::Stop(ExitReason::Error("r"));
    };
    why = co_await Undone(t);
    EXPECT_EQ(why, ExitReason::Error("r"));
  });
  EXPECT_THAT(warnings_.seen, testing::IsEmpty());
}

TEST_F(InitStepsCase, INI001TheStatusOfAFailedCallKeepsTheExitReason) {
  Run([&](Self& t) -> Task<void> {
    FailThird([]() -> Task<absl::Status> {
      return MakeError("CALLEE_EXITED", "it ended", {}, ExitReason::Error("boom"));
    });
    ExitReason why = co_await Undone(t);
    EXPECT_EQ(why.type(), "CALLEE_EXITED");
    CO_ASSERT(why.cause());
    EXPECT_EQ(*why.cause(), ExitReason::Error("boom"));
  });
}

TEST_F(InitStepsCase, INI002StepsThatRaiseExitOrThrow) {
  Run([&](Self& t) -> Task<void> {
    FailThird([]() -> Task<void> { throw std::out_of_range("gone"); });
    ExitReason why = co_await Undone(t);
    EXPECT_EQ(why, ExitReason::Error("std::out_of_range", "step \"third\": gone"));
    FailThird([]() -> Task<int> { throw 7; });
    why = co_await Undone(t);
    EXPECT_EQ(why, ExitReason::Error("int", "step \"third\""));
    FailThird([]() -> Task<void> {
      throw ProcessExit(ExitReason::Error("r", "", Word("detail")));
      co_return;
    });
    why = co_await Undone(t);
    EXPECT_EQ(why.type(), "r");
    EXPECT_EQ(TextOf(why.detail()), "detail");
    FailThird([]() -> Task<void> { throw ProcessExit(ExitReason::Shutdown()); });
    why = co_await Undone(t);
    EXPECT_EQ(why, ExitReason::Shutdown());
    // Not in a step at all.
    script_.init = [this](S& s, auto) -> Task<Init> {
      co_await Do(s, "1");
      co_await Do(s, "2");
      throw std::out_of_range("between");
    };
    why = co_await Undone(t);
    EXPECT_EQ(why, ExitReason::Error("std::out_of_range", "between"));
  });
}

TEST_F(InitStepsCase, INI003AFailingUndoStopsNoOther) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [this](S& s, auto) -> Task<Init> {
      co_await Do(s, "1");
      co_await s.steps().Run(
          "2", [] { return Task<void>(); },
          [this]() -> Task<void> {
            Note("undo 2");
            throw std::runtime_error("cannot");
          });
      co_await s.steps().Run("3", []() -> Task<void> { throw std::out_of_range("r"); });
      co_return S::Ok();
    };
    StartResult r = co_await StartIt(t);
    EXPECT_EQ(r.reason, ExitReason::Error("std::out_of_range", "step \"3\": r"));
    EXPECT_THAT(script_.trace, testing::ElementsAre("do 1", "undo 2", "undo 1"));
  });
  EXPECT_THAT(warnings_.seen,
              testing::ElementsAre("undoing step \"2\" failed: error std::runtime_error: cannot"));
}

TEST_F(InitStepsCase, StepsGiveValuesMayWaitAndAreHandedToTerminate) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [this](S& s, auto) -> Task<Init> {
      int one = co_await s.steps().Run("one", [&s]() -> Task<absl::StatusOr<int>> {
        co_await s.self().Sleep(absl::Seconds(1));
        co_return 1;
      });
      auto two = co_await s.steps().Run(
          "two",
          [one]() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(one + 1); },
          [this, &s]() -> Task<void> {
            co_await s.self().Sleep(absl::Seconds(1));
            Note("undo two");
          });
      Note("has " + std::to_string(*two));
      co_return S::Ok();
    };
    script_.terminate = [](S& s, ExitReason) { return s.steps().Unwind(); };
    Pid p = co_await StartOk(t);
    EXPECT_THAT(script_.trace, testing::ElementsAre("has 2"));
    EXPECT_TRUE((co_await sys::Stop(t, p)).ok());
    EXPECT_THAT(script_.trace, testing::ElementsAre("has 2", "terminate normal", "undo two"));
  });
}

// An Init that starts a linked helper, and stops it in an undo if `undone`, then ends as `end`
// says.
class InitHelpers : public InitStepsCase {
 protected:
  using End = std::function<Task<Init>(S&)>;
  // Whether the helper is alive after that.
  Task<bool> HelperSurvives(Self& t, End end, bool undone = false) {
    Pid helper;
    script_.init = [&helper, end, undone](S& s, auto) -> Task<Init> {
      auto start = [&helper, &s]() -> Task<void> {
        ProcessMain main = [](Self& self) -> Task<ExitReason> {
          co_await self.Receive();
          co_return ExitReason::Normal();
        };
        SpawnOptions o;
        o.link = true;
        helper = s.self().Spawn(std::move(main), o)->pid;
        return Task<void>();
      };
      auto stop = [&helper, &s]() -> Task<void> {
        s.self().Unlink(helper);
        s.self().Exit(helper, ExitReason::Shutdown());
        return Task<void>();
      };
      co_await s.steps().Run("helper", start, undone ? InitSteps::Undo(stop) : nullptr);
      co_return co_await end(s);
    };
    StartOptions o = Linked();
    o.timeout = absl::Seconds(10);
    StartResult r = co_await StartIt(t, o);
    EXPECT_FALSE(r.started());
    co_await t.Sleep(absl::Milliseconds(1));
    const bool alive = rt_->IsAlive(helper);
    if (alive) t.Exit(helper, ExitReason::Kill());
    co_return alive;
  }
};

TEST_F(InitHelpers, INI004LinkedHelpersDieWithAFailingInit) {
  Run([&](Self& t) -> Task<void> {
    EXPECT_FALSE(co_await HelperSurvives(
        t, [](S&) -> Task<Init> { return S::Stop(ExitReason::Shutdown()); }));
    EXPECT_FALSE(co_await HelperSurvives(
        t, [](S&) -> Task<Init> { return S::Stop(ExitReason::Error("r")); }));
    // The time is up: no undo can run, so the link alone sees to it.
    EXPECT_FALSE(co_await HelperSurvives(t, [](S& s) -> Task<Init> {
      co_await s.self().Sleep(absl::Hours(1));
      co_return S::Ok();
    }));
  });
}

TEST_F(InitHelpers, INI005LinkedHelpersSurviveACleanEndUnlessUndone) {
  Run([&](Self& t) -> Task<void> {
    End ignore = [](S&) -> Task<Init> { return S::Ignore(); };
    End normal = [](S&) -> Task<Init> { return S::Stop(ExitReason::Normal()); };
    EXPECT_TRUE(co_await HelperSurvives(t, ignore));
    EXPECT_TRUE(co_await HelperSurvives(t, normal));
    EXPECT_FALSE(co_await HelperSurvives(t, ignore, true));
    EXPECT_FALSE(co_await HelperSurvives(t, normal, true));
  });
}

}  // namespace
}  // namespace banyan
