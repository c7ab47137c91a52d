// SUP-001 to SUP-015: starting a supervisor and its children. spec/supervisor.md 19.2.
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

class SupStart : public SupervisorTest {};

TEST_F(SupStart, SUP001StartsAndStops) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
  });
}

TEST_F(SupStart, SUP002InitIgnores) {
  modules_.AddSupervisor("ignoring", [](const auto&) { return std::optional<SupervisorSpec>(); });
  Run([&](Self& t) -> Task<void> {
    StartSpec spec;
    spec.module = "ignoring";
    StartResult r = co_await StartModule(t, spec, {});
    EXPECT_TRUE(r.ignored());
    // The 'EXIT' of OTP's trapping starter is consumed (gen_server.md 3 permits it).
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

TEST_F(SupStart, SUP003ChildIgnores) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    OpResult c1 = co_await StartChild(t, s, Child("c1", "w1", {"ignore"}));
    OpResult c2 = co_await StartChild(t, s, Child("c2", "w1"));
    EXPECT_EQ(c1.code, Code::kIgnored);
    EXPECT_EQ(c2.code, Code::kOk);
    std::vector<ChildEntry> wc = co_await Wc(t, s);
    EXPECT_EQ(co_await Show(t, s), "c2 c1:undefined");
    EXPECT_EQ(wc[0].pid, c2.pid);
    EXPECT_THAT(co_await Cc(t, s), Counts(2, 1, 0, 2));
  });
}

TEST_F(SupStart, SUP004TemporaryChildIgnoresAtStart) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(
        t, Spec(Strategy::kOneForOne, 2, 3600,
                {Child("c1", "w1", {"ignore"}, kTemp), Child("c2", "w1", {}, kTemp)}));
    EXPECT_EQ(co_await Show(t, s), "c2");
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 1, 0, 1));
  });
}

TEST_F(SupStart, SUP005TemporaryChildIgnoresInStartChild) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    OpResult c1 = co_await StartChild(t, s, Child("c1", "w1", {"ignore"}, kTemp));
    OpResult c2 = co_await StartChild(t, s, Child("c2", "w1", {}, kTemp));
    EXPECT_EQ(c1.code, Code::kIgnored);
    EXPECT_EQ(c2.code, Code::kOk);
    EXPECT_EQ(co_await Show(t, s), "c2");
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 1, 0, 1));
  });
}

TEST_F(SupStart, SUP006TemporaryDynamicChildIgnores) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(
        t, Spec(Strategy::kSimpleOneForOne, 2, 3600, {Child("x", "w1", {"ignore"}, kTemp)}));
    OpResult first = co_await StartDynamic(t, s);
    OpResult second = co_await StartDynamic(t, s);
    EXPECT_EQ(first.code, Code::kIgnored);
    EXPECT_EQ(second.code, Code::kOk);
    std::vector<ChildEntry> wc = co_await Wc(t, s);
    CO_ASSERT(wc.size() == 1);
    EXPECT_EQ(wc[0].pid, second.pid);
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 1, 0, 1));
  });
}

TEST_F(SupStart, SUP007PermanentDynamicChildIgnores) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(
        t, Spec(Strategy::kSimpleOneForOne, 2, 3600, {Child("x", "w1", {"ignore"}, kPerm)}));
    OpResult first = co_await StartDynamic(t, s);
    OpResult second = co_await StartDynamic(t, s);
    EXPECT_EQ(first.code, Code::kIgnored);
    EXPECT_EQ(second.code, Code::kOk);
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 1, 0, 1));
    EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
  });
}

TEST_F(SupStart, SUP008InitReturnsAnError) {
  modules_.AddSupervisor("invalid",
                         [](const auto&) -> absl::StatusOr<std::optional<SupervisorSpec>> {
                           return absl::InvalidArgumentError("invalid");
                         });
  Run([&](Self& t) -> Task<void> {
    StartSpec spec;
    spec.module = "invalid";
    StartResult r = co_await StartModule(t, spec, {});
    EXPECT_TRUE(r.failed());
    EXPECT_EQ(r.reason.type(), "bad_return");
    EXPECT_EQ(r.reason.message(), "invalid");
  });
}

TEST_F(SupStart, SUP009InitRaises) {
  modules_.AddSupervisor(
      "raising",
      [](const auto&) -> absl::StatusOr<std::optional<SupervisorSpec>> { throw FunctionClause(); });
  Run([&](Self& t) -> Task<void> {
    StartSpec spec;
    spec.module = "raising";
    StartResult r = co_await StartModule(t, spec, {});
    EXPECT_TRUE(r.failed());
    EXPECT_EQ(r.reason.type(), "banyan::FunctionClause");
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

TEST_F(SupStart, SUP010StartChildFails) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    OpResult r = co_await StartChild(t, s, Child("c1", "w1", {"ret_error"}));
    EXPECT_EQ(r.code, Code::kStartFailed);
    EXPECT_EQ(r.reason, ExitReason::Error("reason"));
    OpResult unknown = co_await StartChild(t, s, Child("c2", "no_such_module"));
    EXPECT_EQ(unknown.code, Code::kStartFailed);
    EXPECT_EQ(unknown.reason.type(), kUndef);
    EXPECT_EQ(co_await Show(t, s), "");
  });
}

TEST_F(SupStart, SUP011RestartChildFails) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600, {Child("c1", "w1", {"error"})}));
    OpResult stopped = co_await Terminate(t, s, "c1");
    EXPECT_EQ(stopped.code, Code::kOk);
    OpResult r = co_await Restart(t, s, "c1");
    EXPECT_EQ(r.code, Code::kStartFailed);
    EXPECT_EQ(r.reason.type(), "banyan::FunctionClause");
    EXPECT_EQ(co_await Show(t, s), "c1:undefined");
  });
}

TEST_F(SupStart, SUP012StartDynamicChildFails) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kSimpleOneForOne, 2, 3600, {Child("x", "w1")}));
    OpResult r = co_await StartDynamic(t, s, {"ret_error"});
    EXPECT_EQ(r.code, Code::kStartFailed);
    EXPECT_EQ(r.reason, ExitReason::Error("reason"));
    OpResult raised = co_await StartDynamic(t, s, {"raise"});
    EXPECT_EQ(raised.code, Code::kStartFailed);
    EXPECT_EQ(raised.reason.type(), "banyan::FunctionClause");
    EXPECT_EQ(co_await Show(t, s), "");
  });
}

TEST_F(SupStart, SUP013DefaultsOfChildSpecs) {
  Run([&](Self& t) -> Task<void> {
    ChildSpec c1, c2, c3;
    c1.id = "c1";
    c1.start.module = "w2";
    c1.start.args = {Word("0")};
    c2 = c3 = c1;
    c2.id = "c2";
    c2.shutdown = ShutdownPolicy::BrutalKill();
    c3.id = "c3";
    c3.type = ChildType::kSupervisor;
    SupervisorSpec spec;
    spec.children = {c1, c2, c3};
    Pid s = co_await Start(t, spec);
    auto got1 = co_await GetSpec(t, s, "c1");
    auto got2 = co_await GetSpec(t, s, "c2");
    auto got3 = co_await GetSpec(t, s, "c3");
    auto got4 = co_await GetSpec(t, s, "c4");
    CO_ASSERT(got1 && got2 && got3);
    EXPECT_EQ(got1->restart, kPerm);
    EXPECT_EQ(got1->type, ChildType::kWorker);
    EXPECT_FALSE(got1->significant);
    EXPECT_EQ(got1->shutdown_or_default(), Ms(5000));
    EXPECT_EQ(got2->shutdown_or_default(), ShutdownPolicy::BrutalKill());
    EXPECT_EQ(got3->type, ChildType::kSupervisor);
    EXPECT_EQ(got3->shutdown_or_default(), ShutdownPolicy::Infinity());
    EXPECT_EQ(got4, nullptr);
  });
}

TEST_F(SupStart, SUP014ChildSpecOfDynamicChildren) {
  Run([&](Self& t) -> Task<void> {
    ChildSpec c;
    c.start.module = "w1";
    c.restart = kTemp;
    Pid s = co_await Start(t, Spec(Strategy::kSimpleOneForOne, 1, 5, {c}));
    for (int i = 0; i < 3; ++i) {
      OpResult r = co_await StartDynamic(t, s);
      auto spec = co_await GetSpec(t, s, r.pid);
      CO_ASSERT(spec != nullptr);
      EXPECT_EQ(spec->restart, kTemp);
      EXPECT_EQ(spec->shutdown_or_default(), Ms(5000));
      EXPECT_EQ(spec->type, ChildType::kWorker);
      EXPECT_FALSE(spec->significant);
    }
    EXPECT_EQ(co_await GetSpec(t, s, t.pid()), nullptr);
  });
}

TEST_F(SupStart, SUP015FaultySpecs) {
  Run([&](Self& t) -> Task<void> {
    ChildSpec no_id = Child("", "w1");
    ChildSpec no_start = Child("c2", "");
    StartResult r = co_await TryStart(t, Spec(Strategy::kOneForOne, 1, 5, {no_id}));
    EXPECT_EQ(r.reason.type(), "start_spec");
    EXPECT_THAT(r.reason.message(), testing::HasSubstr("children[0].id"));
    r = co_await TryStart(t, Spec(Strategy::kOneForOne, 1, 5, {no_start}));
    EXPECT_EQ(r.reason.type(), "start_spec");
    EXPECT_THAT(r.reason.message(), testing::HasSubstr("children[0].start"));
    EXPECT_FALSE(rt_->Whereis("sup_test"));
  });
}

}  // namespace
}  // namespace banyan
