// DYN-026 to DYN-032: how the children of a dynamic supervisor are stopped.
#include "tests/conformance/dynamic/dynamic_test.h"

namespace banyan {
namespace {

class DynStop : public DynamicTest {
 protected:
  // Starts D with the children, stops it, and returns how each of them ended.
  Task<std::vector<ExitReason>> Stop(Self& t, std::vector<ChildSpec> children,
                                     std::string stuck = "") {
    return [](Reports& reports, Self& t, std::vector<ChildSpec> children,
              std::string stuck) -> Task<std::vector<ExitReason>> {
      Pid d = co_await Start(t, D(), "");
      std::vector<Pid> pids;
      for (ChildSpec& spec : children) {
        const bool gets_stuck = spec.id == stuck;
        pids.push_back(co_await StartLinked(t, d, std::move(spec)));
        if (gets_stuck) t.Send(pids.back(), Word("sleep"));
      }
      co_await Settle(t);
      reports.stop_errors.clear();
      EXPECT_EQ(co_await Shutdown(t, d), ExitReason::Shutdown());
      std::vector<ExitReason> out;
      for (Pid p : pids) {
        std::optional<ExitReason> reason = co_await ExitOf(t, p);
        out.push_back(reason.value_or(ExitReason::NoProc()));
      }
      co_return out;
    }(reports_, t, std::move(children), std::move(stuck));
  }
  static std::vector<ChildSpec> Three(std::string module, std::vector<std::string> words,
                                      ShutdownPolicy shutdown) {
    ChildSpec spec = Child("c", std::move(module), std::move(words), kPerm, shutdown);
    return {spec, spec, spec};
  }
};

TEST_F(DynStop, DYN026BrutalKill) {
  Run([&](Self& t) -> Task<void> {
    std::vector<ExitReason> ends =
        co_await Stop(t, Three("plain", {}, ShutdownPolicy::BrutalKill()));
    EXPECT_THAT(ends, testing::Each(ExitReason::Killed()));
    EXPECT_TRUE(reports_.stop_errors.empty());
  });
}

TEST_F(DynStop, DYN027InfinityAndTimeout) {
  Run([&](Self& t) -> Task<void> {
    for (ShutdownPolicy policy : {ShutdownPolicy::Infinity(), Ms(1000)}) {
      std::vector<ExitReason> ends = co_await Stop(t, Three("plain", {}, policy));
      EXPECT_THAT(ends, testing::Each(ExitReason::Shutdown()));
    }
    EXPECT_TRUE(reports_.stop_errors.empty());
  });
}

TEST_F(DynStop, DYN028ShutdownWithADetailIsClean) {
  Run([&](Self& t) -> Task<void> {
    for (ShutdownPolicy policy : {ShutdownPolicy::Infinity(), Ms(1000)}) {
      std::vector<ExitReason> ends = co_await Stop(t, Three("w4", {"shutdown_test"}, policy));
      EXPECT_THAT(ends, testing::Each(ReasonOfWord("shutdown_test")));
      EXPECT_TRUE(reports_.stop_errors.empty());
    }
  });
}

TEST_F(DynStop, DYN029OneThatGetsStuck) {
  Run([&](Self& t) -> Task<void> {
    std::vector<ExitReason> ends =
        co_await Stop(t,
                      {Child("a", "plain", {}, kPerm, Ms(1)), Child("b", "w1", {}, kPerm, Ms(1)),
                       Child("c", "plain", {}, kPerm, Ms(1))},
                      "b");
    EXPECT_THAT(ends, testing::ElementsAre(ExitReason::Shutdown(), ExitReason::Killed(),
                                           ExitReason::Shutdown()));
    EXPECT_THAT(reports_.stop_errors, testing::ElementsAre(ExitReason::Killed()));
  });
}

TEST_F(DynStop, DYN030NormalIsReportedForPermanentChildren) {
  Run([&](Self& t) -> Task<void> {
    std::vector<ExitReason> ends =
        co_await Stop(t, Three("w4", {"normal"}, ShutdownPolicy::Infinity()));
    EXPECT_THAT(ends, testing::Each(ExitReason::Normal()));
    EXPECT_THAT(reports_.stop_errors, testing::SizeIs(3)) << "each one by itself";
    EXPECT_THAT(reports_.stop_errors, testing::Each(ExitReason::Normal()));
  });
}

TEST_F(DynStop, DYN031MixedShutdowns) {
  Run([&](Self& t) -> Task<void> {
    std::vector<ExitReason> ends =
        co_await Stop(t, {Child("a", "plain", {}, kPerm, ShutdownPolicy::Infinity()),
                          Child("b", "plain", {}, kPerm, ShutdownPolicy::BrutalKill())});
    EXPECT_THAT(ends, testing::ElementsAre(ExitReason::Shutdown(), ExitReason::Killed()));
  });
}

TEST_F(DynStop, DYN032TerminateChild) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D());
    for (ShutdownPolicy policy : {ShutdownPolicy::BrutalKill(), Ms(1000)}) {
      Pid c = co_await StartLinked(t, d, Child("c", "plain", {}, kPerm, policy));
      OpResult first = co_await Terminate(t, d, c);
      EXPECT_EQ(first.code, Code::kOk);
      EXPECT_EQ(co_await ExitOf(t, c),
                policy.brutal_kill ? ExitReason::Killed() : ExitReason::Shutdown());
      OpResult again = co_await Terminate(t, d, c);
      EXPECT_EQ(again.code, Code::kNotFound);
      EXPECT_EQ(co_await Entries(t, d), 0u);
    }
  });
}

}  // namespace
}  // namespace banyan
