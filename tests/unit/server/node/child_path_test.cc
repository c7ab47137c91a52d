#include <gmock/gmock.h>

#include "fake_coordinator.h"
#include "server/behaviours/supervisor.h"
#include "server/behaviours/supervisor_client.h"

namespace banyan::testing {
namespace {

using ::testing::IsSupersetOf;
using ::testing::Pair;

// A local supervisor "sup" with a worker "x" and a supervisor "a" that has a worker "b".
class ChildPath : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    Join();
    auto inner = std::make_shared<SupervisorSpec>();
    inner->children = {Worker("b")};
    ChildSpec nested;
    nested.id = "a";
    nested.type = ChildType::kSupervisor;
    nested.supervisor = inner;
    SupervisorSpec spec;
    spec.flags.intensity = 10;
    spec.children = {Worker("x"), nested};
    spec.children[0].restart_backoff = RestartBackoff{.initial = absl::Seconds(1)};
    StartSpec start;
    start.name = "sup";
    StartSupervisor(*runtime, std::make_shared<const SupervisorSpec>(spec), {}, start,
                    [&](StartResult r) { sup = r.pid; });
    Settle();
    ASSERT_TRUE(sup.valid());
  }
  static ChildSpec Worker(const std::string& id) {
    ChildSpec spec;
    spec.id = id;
    spec.start.module = "counter";
    return spec;
  }
  absl::StatusOr<Resolved> Resolve(const std::string& text,
                                   absl::Duration wait = absl::ZeroDuration()) {
    absl::StatusOr<Resolved> out = absl::UnknownError("no answer");
    node->ResolveTarget(*ParseTarget(text), time.Now() + wait,
                        [&](absl::StatusOr<Resolved> r) { out = std::move(r); });
    Settle();
    Settle(wait);
    return out;
  }
  Pid ChildOf(Pid supervisor, const std::string& id) {
    Pid out;
    SupervisorClient(supervisor)
        .WhichChild(*runtime, id, [&](absl::StatusOr<std::optional<ChildEntry>> child) {
          if (child.ok() && child->has_value()) out = (*child)->pid;
        });
    Settle();
    return out;
  }
  Pid sup;
};

TEST_F(ChildPath, LeadsToTheChildAndNotToItsSupervisor) {
  const absl::StatusOr<Resolved> found = Resolve("child:sup/x", absl::Seconds(1));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_NE(found->pid, sup);
  EXPECT_EQ(found->pid, ChildOf(sup, "x"));
  EXPECT_EQ(found->node, "n");
  EXPECT_EQ(Call(found->pid), "1");
}

TEST_F(ChildPath, LeadsDownThroughNestedSupervisors) {
  const Pid nested = ChildOf(sup, "a");
  EXPECT_EQ(Resolve("child:sup/a", absl::Seconds(1))->pid, nested);
  EXPECT_EQ(Resolve("child:sup/a/b", absl::Seconds(1))->pid, ChildOf(nested, "b"));
}

TEST_F(ChildPath, AMissingChildIsNamedWithItsSupervisor) {
  const absl::Status top = Resolve("child:sup/nope", absl::Seconds(1)).status();
  EXPECT_EQ(ErrorReason(top), "CHILD_NOT_FOUND");
  EXPECT_EQ(top.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(GetErrorInfo(top)->metadata,
              IsSupersetOf({Pair("supervisor", "sup"), Pair("childId", "nope")}));
  const absl::Status below = Resolve("child:sup/a/nope/z", absl::Seconds(1)).status();
  EXPECT_THAT(GetErrorInfo(below)->metadata,
              IsSupersetOf({Pair("supervisor", "sup/a"), Pair("childId", "nope")}));
}

TEST_F(ChildPath, AWorkerHasNoChildren) {
  EXPECT_EQ(ErrorReason(Resolve("child:sup/x/y", absl::Seconds(1)).status()), "NOT_A_SUPERVISOR");
}

TEST_F(ChildPath, AStoppedChildIsNoProcess) {
  SupervisorClient(sup).TerminateChild(*runtime, "x", [](absl::StatusOr<OpResult>) {});
  Settle();
  EXPECT_EQ(ErrorReason(Resolve("child:sup/x", absl::Seconds(1)).status()), "NOPROC");
}

TEST_F(ChildPath, AChildBetweenTwoLivesIsWaitedFor) {
  const Pid first = ChildOf(sup, "x");
  Call(first, "crash");  // is started again at once, the next time a second later
  const Pid second = ChildOf(sup, "x");
  ASSERT_NE(second, first);
  runtime->Exit(second, ExitReason::Kill());
  EXPECT_EQ(ErrorReason(Resolve("child:sup/x", absl::Milliseconds(300)).status()),
            "CHILD_RESTARTING");
  const absl::StatusOr<Resolved> found = Resolve("child:sup/x", absl::Seconds(3));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_NE(found->pid, second);
  EXPECT_TRUE(runtime->IsAlive(found->pid));
}

TEST_F(ChildPath, GoesOnBelowAChildThatTheCoordinatorPlacedHere) {
  internal::v1::Command command = StartCommand({"tree", "s"}, 100);
  v1::ChildSpec* spec = command.mutable_start()->mutable_spec();
  spec->set_type(v1::CHILD_TYPE_SUPERVISOR);
  v1::ChildSpec* worker = spec->mutable_supervisor()->add_children();
  worker->set_id("w");
  worker->mutable_start()->set_module("counter");
  c.SendCommand(command);
  Settle();
  ASSERT_TRUE(c.reports.back().has_started());
  const Pid placed{0, 0, c.reports.back().started().pid().id()};
  EXPECT_EQ(Resolve("child:tree/s", absl::Seconds(1))->pid, placed);
  EXPECT_EQ(Resolve("child:tree/s/w", absl::Seconds(1))->pid, ChildOf(placed, "w"));
  EXPECT_EQ(ErrorReason(Resolve("child:tree/t", absl::Seconds(1)).status()),
            "COORDINATOR_UNAVAILABLE");
}

}  // namespace
}  // namespace banyan::testing
