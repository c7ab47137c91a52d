// DYN-001 to DYN-009: starting dynamic supervisors, their flags, code changes.
// spec/supervisor.md 25.
#include "tests/conformance/dynamic/dynamic_test.h"

namespace banyan {
namespace {

class DynStart : public DynamicTest {
 protected:
  static ChildSpec Nested(std::string id, std::string name) {
    ChildSpec spec;
    spec.id = std::move(id);
    spec.supervisor = std::make_shared<const SupervisorSpec>(D());
    spec.type = ChildType::kSupervisor;
    spec.start.name = std::move(name);
    return spec;
  }
};

TEST_F(DynStart, DYN001UnderASupervisor) {
  Run([&](Self& t) -> Task<void> {
    co_await Start(t, Spec(Strategy::kOneForOne, 1, 5, {Nested("d", "dyn")}));
    std::optional<Pid> d = t.runtime().Whereis("dyn");
    CO_ASSERT(d.has_value());
    EXPECT_EQ(co_await Show(t, *d), "");
  });
}

TEST_F(DynStart, DYN002NamedAndAnonymousInOneSupervisor) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5,
                                   {Nested("a", "dyn.a"), Nested("b", "dyn.b"), Nested("c", "")}));
    EXPECT_THAT(co_await Cc(t, s), Counts(3, 3, 3, 0));
    for (std::string id : {"a", "b", "c"}) {
      Pid d = co_await PidOf(t, s, id);
      EXPECT_EQ(co_await Entries(t, d), 0u);
    }
    OpResult again = co_await StartChild(t, s, Nested("c", ""));
    EXPECT_EQ(again.code, Code::kAlreadyStarted);
    EXPECT_EQ(again.pid, co_await PidOf(t, s, "c"));
  });
}

TEST_F(DynStart, DYN003AsAChild) {
  ChildSpec spec = Nested("d", "");
  EXPECT_EQ(spec.type, ChildType::kSupervisor);
  EXPECT_EQ(spec.restart, RestartType::kPermanent);
  EXPECT_EQ(spec.shutdown_or_default(), ShutdownPolicy::Infinity());
  spec.restart = kTemp;
  spec.shutdown = ShutdownPolicy::BrutalKill();
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 1, 5, {spec}));
    std::shared_ptr<const ChildSpec> kept = co_await GetSpec(t, s, "d");
    CO_ASSERT(kept != nullptr);
    EXPECT_EQ(kept->restart, kTemp);
    EXPECT_EQ(kept->shutdown, ShutdownPolicy::BrutalKill());
  });
}

TEST_F(DynStart, DYN004Defaults) {
  SupervisorSpec spec;
  spec.flags.strategy = Strategy::kDynamic;
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, spec);
    absl::StatusOr<SupervisorInfo> info = co_await SupervisorClient(d).GetInfo(t);
    CO_ASSERT(info.ok());
    EXPECT_EQ(info->flags.intensity, 1u);
    EXPECT_EQ(info->flags.period, absl::Seconds(5));
    EXPECT_EQ(info->flags.max_children, std::nullopt);
    EXPECT_EQ(info->flags.auto_shutdown, AutoShutdown::kNever);
  });
}

TEST_F(DynStart, DYN005WrongFlags) {
  modules_.AddSupervisor("unknown",
                         [](const auto&) -> absl::StatusOr<std::optional<SupervisorSpec>> {
                           return absl::InvalidArgumentError("unknown");
                         });
  modules_.AddSupervisor("ignoring", [](const auto&) { return std::optional<SupervisorSpec>(); });
  Run([&](Self& t) -> Task<void> {
    std::vector<std::pair<std::string, SupervisorSpec>> wrong;
    wrong.emplace_back("invalid_strategy", D()).second.flags.strategy = Strategy{9};
    wrong.emplace_back("invalid_period", D()).second.flags.period = absl::ZeroDuration();
    wrong.emplace_back("invalid_auto_shutdown", D()).second.flags.auto_shutdown =
        AutoShutdown::kAnySignificant;
    wrong.emplace_back("invalid_max_children", Spec(Strategy::kOneForOne, 1, 5))
        .second.flags.max_children = 1;
    wrong.emplace_back("invalid_extra_arguments", Spec(Strategy::kOneForOne, 1, 5))
        .second.extra_arguments = {Word("f")};
    for (auto& [error, spec] : wrong) {
      StartResult r = co_await TryStart(t, spec);
      EXPECT_TRUE(r.failed()) << error;
      EXPECT_EQ(r.reason.type(), "supervisor_data");
      EXPECT_THAT(r.reason.message(), testing::HasSubstr(error));
    }
    SupervisorSpec with_children = D();
    with_children.children = {Child("c", "plain")};
    StartResult start_spec = co_await TryStart(t, with_children);
    EXPECT_EQ(start_spec.reason.type(), "start_spec");
    StartSpec start;
    start.module = "unknown";
    StartResult bad = co_await StartModule(t, start, {});
    EXPECT_EQ(bad.reason.type(), "bad_return");
    start.module = "ignoring";
    StartResult ignored = co_await StartModule(t, start, {});
    EXPECT_TRUE(ignored.ignored());
  });
}

TEST_F(DynStart, DYN006NamedAndStopped) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D(), "dyn");
    EXPECT_EQ(t.runtime().Whereis("dyn"), d);
    absl::Status stopped = co_await sys::Terminate(t, d, ExitReason::Normal());
    EXPECT_TRUE(stopped.ok()) << stopped;
    EXPECT_EQ(co_await ExitOf(t, d), ExitReason::Normal()) << "it was linked";
    EXPECT_EQ(t.runtime().Whereis("dyn"), std::nullopt);
  });
}

TEST_F(DynStart, DYN008CodeChangeWithWrongFlags) {
  absl::StatusOr<std::optional<SupervisorSpec>> now = std::optional<SupervisorSpec>(D());
  modules_.AddSupervisor("changing", [&now](const auto&) { return now; });
  Run([&](Self& t) -> Task<void> {
    StartSpec start;
    start.module = "changing";
    StartResult d = co_await StartModule(t, start, {});
    CO_ASSERT(d.started());
    const auto change = [](Self& t, Pid d) -> Task<absl::Status> {
      absl::Status suspended = co_await sys::Suspend(t, d);
      EXPECT_TRUE(suspended.ok());
      absl::Status result = co_await sys::ChangeCode(t, d, CodeChange{});
      absl::Status resumed = co_await sys::Resume(t, d);
      EXPECT_TRUE(resumed.ok());
      co_return result;
    };
    std::vector<std::pair<std::string, SupervisorSpec>> wrong;
    wrong.emplace_back("invalid_strategy", D()).second.flags.strategy = Strategy{9};
    wrong.emplace_back("invalid_period", D()).second.flags.period = absl::ZeroDuration();
    wrong.emplace_back("invalid_auto_shutdown", D()).second.flags.auto_shutdown =
        AutoShutdown::kAnySignificant;
    wrong.emplace_back("simple_one_for_one",
                       Spec(Strategy::kSimpleOneForOne, 1, 5, {Child("x", "plain")}));
    for (auto& [error, spec] : wrong) {
      now = std::optional<SupervisorSpec>(spec);
      absl::Status status = co_await change(t, d.pid);
      EXPECT_EQ(ErrorReason(status), "CODE_CHANGE_FAILED") << error;
      EXPECT_THAT(std::string(status.message()), testing::HasSubstr(error));
    }
    now = absl::InvalidArgumentError("unknown");
    absl::Status unknown = co_await change(t, d.pid);
    EXPECT_EQ(ErrorReason(unknown), "CODE_CHANGE_FAILED");
    EXPECT_THAT(std::string(unknown.message()), testing::HasSubstr("unknown"));
    now = std::optional<SupervisorSpec>();
    absl::Status ignored = co_await change(t, d.pid);
    EXPECT_TRUE(ignored.ok()) << ignored;
    OpResult still = co_await StartChild(t, d.pid, Child("c", "plain"));
    EXPECT_EQ(still.code, Code::kOk);
  });
}

TEST_F(DynStart, DYN009LoweringMaxChildrenKeepsChildren) {
  Run([&](Self& t) -> Task<void> {
    Pid d = co_await Start(t, D());
    OpResult one = co_await StartChild(t, d, Child("c", "plain"));
    EXPECT_EQ(one.code, Code::kOk);
    absl::Status changed = co_await Upgrade(t, d, D(3, 0));
    EXPECT_TRUE(changed.ok()) << changed;
    EXPECT_TRUE(t.runtime().IsAlive(one.pid));
    OpResult refused = co_await StartChild(t, d, Child("c", "plain"));
    EXPECT_EQ(refused.code, Code::kMaxChildren);
    EXPECT_EQ(ErrorReason(OpError(refused, "d", "c")), "MAX_CHILDREN");
    changed = co_await Upgrade(t, d, D(3, 2));
    EXPECT_TRUE(changed.ok()) << changed;
    OpResult second = co_await StartChild(t, d, Child("c", "plain"));
    EXPECT_EQ(second.code, Code::kOk);
  });
}

}  // namespace
}  // namespace banyan
