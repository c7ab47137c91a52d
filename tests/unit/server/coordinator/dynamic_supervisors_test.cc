// Cluster-wide supervisors whose children are started one by one.
#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

class DynamicSupervisors : public ClusterTest {
 protected:
  absl::StatusOr<v1::SupervisorInfo> Start(SupervisorSpec spec) {
    StartSupervisorArgs args;
    args.name = "pool";
    args.spec = std::move(spec);
    return Ask<v1::SupervisorInfo>([&](auto done) { coordinator_->StartSupervisor(args, done); });
  }
  static SupervisorSpec Dynamic() {
    SupervisorSpec spec;
    spec.flags = {.strategy = Strategy::kDynamic, .intensity = 5};
    return spec;
  }
  static Payload Arg(const std::string& bytes) {
    return Payload::Any("type.googleapis.com/x", bytes);
  }
  absl::StatusOr<v1::StartChildResponse> StartFromTemplate() {
    StartChildArgs args;
    args.supervisor = Target::Named("pool");
    return Ask<v1::StartChildResponse>([&](auto done) { coordinator_->StartChild(args, done); });
  }
  // The bytes of the arguments in the last start command.
  std::string StartedWith(const std::string& name) {
    std::string out;
    for (const auto& arg : node(name).last_start().start().spec().start().args())
      out += (out.empty() ? "" : " ") + arg.value().value();
    return out;
  }
};

TEST_F(DynamicSupervisors, EveryStartBringsASpec) {
  AddNode("n1");
  ASSERT_TRUE(Start(Dynamic()).ok());
  ChildSpec spec = Worker("same");
  spec.restart = RestartType::kTransient;
  auto first = StartChild("pool", spec);
  ASSERT_TRUE(first.ok()) << first.status();
  auto second = StartChild("pool", spec);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_NE(first->child().id(), second->child().id()) << "ids need not be unique";
  EXPECT_EQ(Children("pool").size(), 2u);
  auto repeated = StartChild("pool", spec, "r1");
  ASSERT_TRUE(repeated.ok()) << repeated.status();
  auto same = StartChild("pool", spec, "r1");
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->child().id(), repeated->child().id());
  EXPECT_EQ(ErrorReason(StartFromTemplate().status()), "SPEC_INVALID") << "it has no template";
  spec.significant = true;
  EXPECT_EQ(ErrorReason(StartChild("pool", spec).status()), "SPEC_INVALID");
  auto ended = Ask<v1::TerminateChildResponse>(
      [&](auto done) { coordinator_->TerminateChild(Named("pool", first->child().id()), done); });
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(Children("pool").size(), 2u);
}

TEST_F(DynamicSupervisors, MaxChildren) {
  AddNode("n1");
  for (bool dynamic : {true, false}) {
    SupervisorSpec spec = Dynamic();
    if (!dynamic) {
      spec.flags.strategy = Strategy::kSimpleOneForOne;
      spec.child_template = Worker("");
    }
    spec.flags.max_children = 2;
    ASSERT_TRUE(Start(spec).ok());
    const auto start = [&] {
      return dynamic ? StartChild("pool", Worker("c")) : StartFromTemplate();
    };
    auto first = start();
    ASSERT_TRUE(first.ok()) << first.status();
    ASSERT_TRUE(start().ok());
    auto third = start();
    EXPECT_EQ(third.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ErrorReason(third.status()), "MAX_CHILDREN") << third.status();
    auto ended = Ask<v1::TerminateChildResponse>(
        [&](auto done) { coordinator_->TerminateChild(Named("pool", first->child().id()), done); });
    ASSERT_TRUE(ended.ok()) << ended.status();
    EXPECT_TRUE(start().ok());
    auto stopped = Ask<ExitReason>([&](auto done) {
      coordinator_->StopSupervisor(Target::Named("pool"), ExitReason::Shutdown(), "", done);
    });
    ASSERT_TRUE(stopped.ok()) << stopped.status();
    Settle();
  }
}

TEST_F(DynamicSupervisors, AllOfItSurvivesARestartOfTheCoordinator) {
  AddNode("n1");
  SupervisorSpec spec = Dynamic();
  spec.flags.max_children = 1;
  spec.extra_arguments = {Arg("extra")};
  ASSERT_TRUE(Start(spec).ok());
  ChildSpec child = Worker("c");
  child.start.args = {Arg("own")};
  auto first = StartChild("pool", child);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(StartedWith("n1"), "extra own");
  RestartCoordinator();
  time_.RunFor(absl::Seconds(5));
  EXPECT_EQ(Children("pool").count(first->child().id()), 1u);
  EXPECT_EQ(ErrorReason(StartChild("pool", child).status()), "MAX_CHILDREN");
  auto ended = Ask<v1::TerminateChildResponse>(
      [&](auto done) { coordinator_->TerminateChild(Named("pool", first->child().id()), done); });
  ASSERT_TRUE(ended.ok()) << ended.status();
  auto second = StartChild("pool", child);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(StartedWith("n1"), "extra own");
}

}  // namespace
}  // namespace banyan::testing
