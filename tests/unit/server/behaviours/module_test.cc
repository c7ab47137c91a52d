#include "server/behaviours/module.h"

#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

class ModuleTest : public SupervisorTest {};

TEST_F(ModuleTest, ListsWhatWasAdded) {
  modules_.AddSupervisor("tree", [](const auto&) { return SupervisorSpec(); }, {.version = "3"});
  const Modules::Entry* tree = modules_.Find("tree");
  ASSERT_NE(tree, nullptr);
  EXPECT_EQ(tree->info.name, "tree");
  EXPECT_EQ(tree->info.version, "3");
  EXPECT_EQ(tree->info.type, ChildType::kSupervisor);
  EXPECT_EQ(modules_.Find("nothing"), nullptr);
  EXPECT_GT(modules_.List().size(), 5u);
}

TEST_F(ModuleTest, UnknownModuleFailsTheStart) {
  Run([&](Self& t) -> Task<void> {
    StartSpec spec;
    spec.module = "nothing";
    StartResult r = co_await StartModule(t, spec, {});
    EXPECT_EQ(r.reason.type(), kUndef);
    EXPECT_THAT(r.reason.message(), testing::HasSubstr("nothing"));
  });
}

// Starts from outside any process: the way of the node.
TEST_F(ModuleTest, StartsFromOutside) {
  std::optional<StartResult> worker, failed, tree;
  StartSpec spec;
  spec.module = "w1";
  StartModule(*rt_, spec, {.child_id = "c", .fence = 7, .exclusive = true},
              [&](StartResult r) { worker = r; });
  spec.module = "nothing";
  StartModule(*rt_, spec, {}, [&](StartResult r) { failed = r; });
  auto child = std::make_shared<ChildSpec>();
  child->id = "tree";
  child->supervisor =
      std::make_shared<SupervisorSpec>(Spec(Strategy::kOneForOne, 1, 5, {Child("a", "w1")}));
  StartChildProcess(*rt_, child, {}, [&](StartResult r) { tree = r; });
  time_.RunUntilIdle();
  ASSERT_TRUE(worker && failed && tree);
  ASSERT_TRUE(worker->started());
  EXPECT_TRUE(rt_->IsAlive(worker->pid));
  EXPECT_TRUE(failed->failed());
  ASSERT_TRUE(tree->started()) << tree->reason.ToString();
  std::optional<ProcessSnapshot> shown;
  rt_->Inspect(worker->pid, [&](std::optional<ProcessSnapshot> s) { shown = std::move(s); });
  std::optional<ChildCounts> counts;
  SupervisorClient(tree->pid).CountChildren(*rt_,
                                            [&](absl::StatusOr<ChildCounts> c) { counts = *c; });
  time_.RunUntilIdle();
  ASSERT_TRUE(shown && counts);
  EXPECT_EQ(shown->fence, 7u);
  EXPECT_TRUE(shown->exclusive);
  EXPECT_EQ(shown->child_id, "c");
  EXPECT_THAT(*counts, Counts(1, 1, 0, 1));
}

TEST_F(ModuleTest, ShutdownOfTheRuntimeAnswersStartsUnderWay) {
  std::optional<StartResult> slow;
  StartSpec spec;
  spec.module = "slow";
  spec.args = {Word("1000")};
  StartModule(*rt_, spec, {}, [&](StartResult r) { slow = r; });
  time_.RunUntilIdle();
  EXPECT_FALSE(slow);
  rt_->Shutdown();
  time_.RunUntilIdle();
  ASSERT_TRUE(slow);
  EXPECT_EQ(slow->reason, ExitReason::Killed());
}

}  // namespace
}  // namespace banyan
