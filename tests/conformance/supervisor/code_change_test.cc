// SUP-081 to SUP-085: code change and order. spec/supervisor.md 15, 19.9.
#include "common/base/error.h"
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

class SupCodeChange : public SupervisorTest {};

TEST_F(SupCodeChange, SUP081And082SpecsAreMergedNotStarted) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 0, 1));
    EXPECT_TRUE((co_await Upgrade(t, s, Spec(Strategy::kOneForOne, 1, 3))).ok());
    absl::StatusOr<SupervisorInfo> info = co_await SupervisorClient(s).GetInfo(t);
    EXPECT_EQ(info->flags.intensity, 1u);
    EXPECT_EQ(info->flags.period, absl::Seconds(3));
    EXPECT_TRUE(
        (co_await Upgrade(t, s,
                          Spec(Strategy::kOneForOne, 1, 3, {Child("c1", "w1"), Child("c2", "w1")})))
            .ok());
    EXPECT_EQ(co_await Show(t, s), "c2:undefined c1:undefined");
    EXPECT_EQ((co_await Restart(t, s, "c1")).code, Code::kOk);
    EXPECT_EQ((co_await Restart(t, s, "c2")).code, Code::kOk);
    ChildSpec c1 = Child("c1", "w1", {}, kPerm, Ms(2000));
    EXPECT_TRUE(
        (co_await Upgrade(t, s, Spec(Strategy::kOneForOne, 1, 3, {c1, Child("c3", "w1")}))).ok());
    EXPECT_EQ(co_await Show(t, s), "c2 c3:undefined c1");
    auto got = co_await GetSpec(t, s, "c1");
    EXPECT_EQ(got->shutdown_or_default(), Ms(2000));
    SupervisorSpec bad = Spec(Strategy::kOneForOne, 1, 3);
    bad.flags.period = absl::ZeroDuration();
    absl::Status refused = co_await Upgrade(t, s, bad);
    EXPECT_EQ(ErrorReason(refused), "CODE_CHANGE_FAILED");
    EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("invalid_period"));
    EXPECT_EQ(co_await Show(t, s), "c2 c3:undefined c1");
    absl::Status running = co_await sys::ChangeCode(t, s, {});
    EXPECT_EQ(ErrorReason(running), "NOT_SUSPENDED");
  });
}

TEST_F(SupCodeChange, SUP081InitMayIgnoreOrFail) {
  int phase = 0;
  modules_.AddSupervisor("phases",
                         [&](const auto&) -> absl::StatusOr<std::optional<SupervisorSpec>> {
                           if (phase == 0)
                             return Spec(Strategy::kOneForOne, 1, 5, {Child("c1", "w1")});
                           if (phase == 1) return std::nullopt;
                           return absl::InternalError("faulty_return");
                         });
  Run([&](Self& t) -> Task<void> {
    StartSpec spec;
    spec.module = "phases";
    StartResult s = co_await StartModule(t, spec, {});
    for (phase = 1; phase <= 2; ++phase) {
      EXPECT_TRUE((co_await sys::Suspend(t, s.pid)).ok());
      absl::Status changed = co_await sys::ChangeCode(t, s.pid, {});
      EXPECT_EQ(changed.ok(), phase == 1) << changed;
      EXPECT_TRUE((co_await sys::Resume(t, s.pid)).ok());
      EXPECT_EQ(co_await Show(t, s.pid), "c1");
    }
  });
}

TEST_F(SupCodeChange, SUP083And084Simple) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kSimpleOneForOne, 0, 1, {Child("c1", "w1")}));
    OpResult old = co_await StartDynamic(t, s);
    EXPECT_TRUE(
        (co_await Upgrade(t, s, Spec(Strategy::kSimpleOneForOne, 0, 1, {Child("c1", "w4")}))).ok());
    EXPECT_TRUE(rt_->IsAlive(old.pid));
    EXPECT_EQ((co_await GetSpec(t, s, "c1"))->start.module, "w4");
    SupervisorSpec two = Spec(Strategy::kSimpleOneForOne, 0, 1, {Child("c1", "w1")});
    two.children = {Child("c2", "w1")};
    EXPECT_FALSE((co_await Upgrade(t, s, two)).ok());
    EXPECT_FALSE((co_await Upgrade(t, s, Spec(Strategy::kOneForOne, 0, 1))).ok()) << "Q9";
    EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
  });
}

TEST_F(SupCodeChange, SUP085OrderOfChildren) {
  Run([&](Self& t) -> Task<void> {
    std::vector<ChildSpec> children;
    for (const char* id : {"ch7", "ch3", "ch10", "ch2", "ch5"})
      children.push_back(Child(id, "r", {id}));
    Pid s = co_await Start(t, Spec(Strategy::kRestForOne, 2, 3600, children));
    EXPECT_THAT(world_.trace,
                testing::ElementsAre("init ch7", "init ch3", "init ch10", "init ch2", "init ch5"));
    world_.trace.clear();
    co_await End(t, co_await PidOf(t, s, "ch10"), "abnormal");
    EXPECT_THAT(world_.trace, testing::ElementsAre(
                                  "terminate ch10 error died", "terminate ch5 shutdown",
                                  "terminate ch2 shutdown", "init ch10", "init ch2", "init ch5"));
    world_.trace.clear();
    co_await Shutdown(t, s);
    EXPECT_THAT(world_.trace,
                testing::ElementsAre("terminate ch5 shutdown", "terminate ch2 shutdown",
                                     "terminate ch10 shutdown", "terminate ch3 shutdown",
                                     "terminate ch7 shutdown"));
  });
}

}  // namespace
}  // namespace banyan
