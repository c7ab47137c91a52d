#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

using Kind = SupervisorEvent::Kind;

class Recorder : public SupervisorEvents {
 public:
  void OnEvent(const SupervisorEvent& e) override { events.push_back(e); }
  void OnReport(Pid, const std::string& name, const SupervisorReport& r) override {
    EXPECT_EQ(name, "sup_test");
    reports.push_back(r.context);
  }
  std::vector<Kind> kinds() const {
    std::vector<Kind> out;
    for (const SupervisorEvent& e : events) out.push_back(e.kind);
    return out;
  }
  std::vector<SupervisorEvent> events;
  std::vector<SupervisorReport::Context> reports;
};

class SupervisorEventsTest : public SupervisorTest {
 protected:
  SupervisorEventsTest() { host_.supervisor_events = &recorder_; }
  Recorder recorder_;
};

TEST_F(SupervisorEventsTest, TellTheLifeOfAChild) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5, {Child("c", "w1")}));
    Pid c = co_await PidOf(t, s, "c");
    co_await End(t, c, "abnormal");
    co_await Terminate(t, s, "c");
    co_await Delete(t, s, "c");
    co_await Shutdown(t, s);
  });
  EXPECT_THAT(recorder_.kinds(), testing::ElementsAre(Kind::kChildStarted, Kind::kSupervisorStarted,
                                                      Kind::kChildExited, Kind::kChildRestarted,
                                                      Kind::kChildTerminated, Kind::kChildDeleted,
                                                      Kind::kSupervisorExited));
  EXPECT_EQ(recorder_.events[2].reason, ExitReason::Error("died"));
  EXPECT_EQ(recorder_.events[3].previous, recorder_.events[2].pid);
  EXPECT_EQ(recorder_.events[3].restarts, 1u);
  EXPECT_EQ(recorder_.events[6].reason, ExitReason::Shutdown());
}

TEST_F(SupervisorEventsTest, TellOfGivingUpAndOfBeingKilled) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 0, 5, {Child("c", "w1")}));
    co_await End(t, co_await PidOf(t, s, "c"), "abnormal");
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
    s = co_await Start(t, Spec(Strategy::kOneForOne, 0, 5));
    t.Exit(s, ExitReason::Kill());
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Killed());
  });
  EXPECT_THAT(
      recorder_.kinds(),
      testing::ElementsAre(Kind::kChildStarted, Kind::kSupervisorStarted, Kind::kChildExited,
                           Kind::kIntensityExceeded, Kind::kSupervisorExited,
                           Kind::kSupervisorStarted, Kind::kSupervisorExited));
  EXPECT_EQ(recorder_.events.back().reason, ExitReason::Killed());
}

TEST_F(SupervisorEventsTest, SUP108ReportsOfRestartsThatFail) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(
        t, Spec(Strategy::kOneForOne, 2, 3600, {Child("c", "r", {"c", "for_ever"})}));
    co_await End(t, co_await PidOf(t, s, "c"), "abnormal");
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
  });
  using C = SupervisorReport::Context;
  EXPECT_THAT(recorder_.reports,
              testing::ElementsAre(C::kProgress, C::kChildTerminated, C::kStartError,
                                   C::kStartError, C::kShutdown));
  EXPECT_EQ(std::count(world_.trace.begin(), world_.trace.end(), "fail c"), 2);
}

}  // namespace
}  // namespace banyan
