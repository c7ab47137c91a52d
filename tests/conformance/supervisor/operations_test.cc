// SUP-023 to SUP-029: operations and specifications. spec/supervisor.md 19.4.
#include "common/base/error.h"
#include "server/core/spec_validation.h"
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

class SupOps : public SupervisorTest {
 protected:
  static constexpr Pid kNobody = Pid{0, 0, 0x7'0000'0007};

  static Task<std::string> ErrorOf(Task<absl::StatusOr<OpResult>> call) {
    absl::StatusOr<OpResult> r = co_await std::move(call);
    co_return ErrorReason(r.status());
  }
};

TEST_F(SupOps, SUP023ChildAdministration) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600, {Child("c1", "w1")}));
    const Pid p = co_await PidOf(t, s, "c1");
    t.Link(p);
    OpResult r = co_await StartChild(t, s, Child("c1", "w1"));
    EXPECT_EQ(r.code, Code::kAlreadyStarted);
    EXPECT_EQ(r.pid, p);
    r = co_await Terminate(t, s, "hej");
    EXPECT_EQ(r.code, Code::kNotFound);
    SupervisorClient foo(kNobody);
    EXPECT_EQ(co_await ErrorOf(foo.TerminateChild(t, "c1")), "NOPROC");
    r = co_await Terminate(t, s, "c1");
    EXPECT_EQ(r.code, Code::kOk);
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Shutdown());
    EXPECT_EQ(co_await Show(t, s), "c1:undefined");
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 0, 0, 1));
    r = co_await Terminate(t, s, "c1");
    EXPECT_EQ(r.code, Code::kOk);
    r = co_await StartChild(t, s, Child("c1", "w1"));
    EXPECT_EQ(r.code, Code::kAlreadyPresent);
    r = co_await Restart(t, s, "c1");
    EXPECT_EQ(r.code, Code::kOk);
    EXPECT_EQ(co_await PidOf(t, s, "c1"), r.pid);
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 1, 0, 1));
    r = co_await Restart(t, s, "c1");
    EXPECT_EQ(r.code, Code::kRunning);
    r = co_await Restart(t, s, "c2");
    EXPECT_EQ(r.code, Code::kNotFound);
    r = co_await Delete(t, s, "c1");
    EXPECT_EQ(r.code, Code::kRunning);
    r = co_await Delete(t, s, "hej");
    EXPECT_EQ(r.code, Code::kNotFound);
    EXPECT_EQ(co_await ErrorOf(foo.DeleteChild(t, "c1")), "NOPROC");
    r = co_await Terminate(t, s, "c1");
    EXPECT_EQ(r.code, Code::kOk);
    r = co_await Delete(t, s, "c1");
    EXPECT_EQ(r.code, Code::kOk);
    r = co_await Restart(t, s, "c1");
    EXPECT_EQ(r.code, Code::kNotFound);
    EXPECT_EQ(co_await Show(t, s), "");
    EXPECT_THAT(co_await Cc(t, s), Counts(0, 0, 0, 0));
    EXPECT_EQ(co_await ErrorOf(foo.StartChild(t, Child("c1", "w1"))), "NOPROC");
    OpResult p3 = co_await StartChild(t, s, Child("c1", "w1"));
    EXPECT_EQ(p3.code, Code::kOk);
    r = co_await Terminate(t, s, p3.pid);
    EXPECT_EQ(r.code, Code::kNotFound);
    EXPECT_EQ(co_await PidOf(t, s, "c1"), p3.pid);
    auto wc = co_await foo.WhichChildren(t);
    EXPECT_EQ(ErrorReason(wc.status()), "NOPROC");
    auto cc = co_await foo.CountChildren(t);
    EXPECT_EQ(ErrorReason(cc.status()), "NOPROC");
  });
}

TEST_F(SupOps, SUP024ChildAdministrationDynamic) {
  RunAs(false, [&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kSimpleOneForOne, 2, 3600, {Child("x", "w1")}));
    EXPECT_EQ(co_await Show(t, s), "");
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 0, 0, 0));
    SupervisorClient foo(kNobody);
    EXPECT_EQ(co_await ErrorOf(foo.StartChild(t, std::vector<Payload>{})), "NOPROC");
    OpResult p1 = co_await StartDynamic(t, s);
    std::vector<ChildEntry> wc = co_await Wc(t, s);
    CO_ASSERT(wc.size() == 1);
    EXPECT_EQ(wc[0].id, "");
    EXPECT_EQ(wc[0].pid, p1.pid);
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 1, 0, 1));
    OpResult p2 = co_await StartDynamic(t, s);
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 2, 0, 2));
    OpResult r = co_await Terminate(t, s, "child1");
    EXPECT_EQ(r.code, Code::kSimpleOneForOne);
    r = co_await Terminate(t, s, p1.pid);
    EXPECT_EQ(r.code, Code::kOk);
    EXPECT_FALSE(rt_->IsAlive(p1.pid));
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 1, 0, 1));
    r = co_await Terminate(t, s, p1.pid);
    EXPECT_EQ(r.code, Code::kOk);
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 1, 0, 1));
    ProcessMain idle = [](Self& self) -> Task<ExitReason> {
      co_await self.Receive();
      co_return ExitReason::Normal();
    };
    absl::StatusOr<SpawnResult> stranger = t.Spawn(std::move(idle), {});
    r = co_await Terminate(t, s, stranger->pid);
    EXPECT_EQ(r.code, Code::kNotFound);
    EXPECT_TRUE(rt_->IsAlive(stranger->pid));
    r = co_await Restart(t, s, "child1");
    EXPECT_EQ(r.code, Code::kSimpleOneForOne);
    r = co_await Delete(t, s, "child1");
    EXPECT_EQ(r.code, Code::kSimpleOneForOne);
  });
}

TEST_F(SupOps, SUP025StartsWithExtraInfo) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(
        t, Spec(Strategy::kOneForOne, 2, 3600, {Child("c1", "w1", {"extra", "extra_return"})}));
    const Pid p = co_await PidOf(t, s, "c1");
    t.Link(p);
    OpResult r = co_await Restart(t, s, "hej");
    EXPECT_EQ(r.code, Code::kNotFound);
    r = co_await Delete(t, s, "hej");
    EXPECT_EQ(r.code, Code::kNotFound);
    r = co_await Terminate(t, s, "hej");
    EXPECT_EQ(r.code, Code::kNotFound);
    r = co_await Delete(t, s, "c1");
    EXPECT_EQ(r.code, Code::kRunning);
    r = co_await Restart(t, s, "c1");
    EXPECT_EQ(r.code, Code::kRunning);
    r = co_await Terminate(t, s, "c1");
    EXPECT_EQ(r.code, Code::kOk);
    EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Shutdown());
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 0, 0, 1));
    r = co_await Restart(t, s, "c1");
    EXPECT_EQ(r.code, Code::kOk);
    EXPECT_EQ(TextOf(r.info), "extra_return");
    for (int i = 0; i < 2; ++i) {
      r = co_await Terminate(t, s, "c1");
      EXPECT_EQ(r.code, Code::kOk);
    }
    r = co_await Delete(t, s, "c1");
    EXPECT_EQ(r.code, Code::kOk);
    r = co_await Restart(t, s, "c1");
    EXPECT_EQ(r.code, Code::kNotFound);
    EXPECT_THAT(co_await Cc(t, s), Counts(0, 0, 0, 0));
    OpResult p3 = co_await StartChild(t, s, Child("c1", "w1", {"extra", "extra_return"}));
    EXPECT_EQ(TextOf(p3.info), "extra_return");
    co_await End(t, p3.pid, "abnormal");
    Pid now = co_await PidOf(t, s, "c1");
    EXPECT_TRUE(now.valid());
    EXPECT_NE(now, p3.pid);
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 1, 0, 1));
  });
}

TEST_F(SupOps, SUP026ChildSpecsAreChecked) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    SupervisorClient client(s);
    ChildSpec bad_shutdown =
        Child("c", "w1", {}, kPerm, ShutdownPolicy::Timeout(-absl::Milliseconds(10)));
    ChildSpec bad_restart = Child("c", "w1");
    bad_restart.restart = static_cast<RestartType>(9);
    ChildSpec bad_type = Child("c", "w1");
    bad_type.type = static_cast<ChildType>(9);
    for (const auto& [spec, field] :
         {std::pair(bad_shutdown, "spec.shutdown.timeout"), std::pair(bad_restart, "spec.restart"),
          std::pair(bad_type, "spec.type"), std::pair(ChildSpec(), "spec.id")}) {
      absl::StatusOr<OpResult> r = co_await client.StartChild(t, spec);
      EXPECT_EQ(ErrorReason(r.status()), "SPEC_INVALID");
      std::optional<ErrorInfo> info = GetErrorInfo(r.status());
      CO_ASSERT(info && !info->fields.empty());
      EXPECT_EQ(info->fields.front().field, field);
    }
    EXPECT_EQ(co_await Show(t, s), "");
    StartResult twice = co_await TryStart(
        t, Spec(Strategy::kOneForOne, 2, 3600, {Child("child", "w1"), Child("child", "w1")}),
        "other");
    EXPECT_EQ(twice.reason.type(), "start_spec");
    EXPECT_THAT(twice.reason.message(), testing::HasSubstr("duplicate_child_name"));
    StartResult init =
        co_await TryStart(t, Spec(Strategy::kOneForOne, 2, 3600, {bad_restart}), "other");
    EXPECT_EQ(init.reason.type(), "start_spec");
    init = co_await TryStart(t, Spec(Strategy::kSimpleOneForOne, 2, 3600, {bad_restart}), "other");
    EXPECT_EQ(init.reason.type(), "start_spec");
    SupervisorSpec with_children = Spec(Strategy::kSimpleOneForOne, 2, 3600, {Child("x", "w1")});
    with_children.children = {Child("y", "w1")};
    init = co_await TryStart(t, with_children, "other");
    EXPECT_TRUE(init.failed());
  });
}

TEST_F(SupOps, SUP026EveryValidCombinationIsAccepted) {
  const AutoShutdown never = AutoShutdown::kNever;
  for (RestartType restart : {kPerm, kTrans, kTemp}) {
    for (ShutdownPolicy shutdown :
         {Ms(0), Ms(1000), ShutdownPolicy::Infinity(), ShutdownPolicy::BrutalKill()}) {
      for (ChildType type : {ChildType::kWorker, ChildType::kSupervisor}) {
        EXPECT_TRUE(
            ValidateChildSpec(Child("c", "w1", {}, restart, shutdown, type), &never).empty());
      }
    }
  }
}

TEST_F(SupOps, SUP027SignificantCombinations) {
  const AutoShutdown kinds[] = {AutoShutdown::kNever, AutoShutdown::kAnySignificant,
                                AutoShutdown::kAllSignificant};
  for (const AutoShutdown* kind :
       {static_cast<const AutoShutdown*>(nullptr), &kinds[0], &kinds[1], &kinds[2]}) {
    for (RestartType restart : {kPerm, kTrans, kTemp}) {
      for (bool significant : {false, true}) {
        ChildSpec c = Child("c", "w1", {}, restart);
        c.significant = significant;
        std::vector<SpecProblem> problems = ValidateChildSpec(c, kind);
        const bool never = kind && *kind == AutoShutdown::kNever;
        EXPECT_EQ(problems.empty(), !significant || (!never && restart != kPerm));
        if (!problems.empty()) EXPECT_EQ(problems.front().otp_error, "bad_combination");
      }
    }
  }
  Run([&](Self& t) -> Task<void> {
    ChildSpec c = Child("c", "w1", {}, kTrans);
    c.significant = true;
    StartResult r = co_await TryStart(t, Spec(Strategy::kOneForOne, 2, 3600, {c}));
    EXPECT_EQ(r.reason.type(), "start_spec");
    EXPECT_THAT(r.reason.message(), testing::HasSubstr("bad_combination"));
  });
}

TEST_F(SupOps, SUP028FlagsAreChecked) {
  Run([&](Self& t) -> Task<void> {
    SupervisorSpec strategy, period, auto_shutdown;
    strategy.flags.strategy = static_cast<Strategy>(9);
    period.flags.period = absl::ZeroDuration();
    auto_shutdown.flags.auto_shutdown = static_cast<AutoShutdown>(9);
    for (const auto& [spec, word] :
         {std::pair(strategy, "invalid_strategy"), std::pair(period, "invalid_period"),
          std::pair(auto_shutdown, "invalid_auto_shutdown")}) {
      StartResult r = co_await TryStart(t, spec);
      EXPECT_TRUE(r.failed());
      EXPECT_EQ(r.reason.type(), "supervisor_data");
      EXPECT_THAT(r.reason.message(), testing::HasSubstr(word));
    }
    SupervisorSpec infinite;
    infinite.flags.period = absl::InfiniteDuration();
    StartResult r = co_await TryStart(t, infinite);
    EXPECT_EQ(r.reason.type(), "supervisor_data");
    r = co_await TryStart(t, SupervisorSpec());
    EXPECT_TRUE(r.started());
  });
}

TEST_F(SupOps, SUP029RestartsFarApartDoNotCount) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 1));
    OpResult r =
        co_await StartChild(t, s, Child("c1", "w1", {}, kPerm, ShutdownPolicy::BrutalKill()));
    co_await End(t, r.pid, "abnormal");
    for (int i = 0; i < 3; ++i) {
      co_await t.Sleep(absl::Milliseconds(2100));
      co_await End(t, co_await PidOf(t, s, "c1"), "abnormal");
    }
    r = co_await Terminate(t, s, "c1");
    EXPECT_EQ(r.code, Code::kOk);
    r = co_await Delete(t, s, "c1");
    EXPECT_EQ(r.code, Code::kOk);
  });
}

}  // namespace
}  // namespace banyan
