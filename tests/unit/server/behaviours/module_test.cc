#include "server/behaviours/module.h"

#include "server/behaviours/gen_server.h"
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

// Does not begin.
class Broken : public GenServer {
 public:
  Task<InitResult> Init(std::vector<Payload>) override { return Stop(ExitReason::Error("broken")); }
  Task<CallResult> HandleCall(Payload, CallFrom) override { return Reply(Payload()); }
  Task<Result> HandleCast(Payload) override { return NoReply(); }
};

class ModuleTest : public SupervisorTest {
 protected:
  ModuleTest() { modules_.Add<Broken>("broken"); }
};

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

// As if T had started it with start_link: T is its parent, whose exit ends it although it traps
// exits.
TEST_F(ModuleTest, AStartFromOutsideThatIsLinkedHasThatParent) {
  std::optional<StartResult> child;
  Pid parent;
  RunAs(true, [&](Self& t) -> Task<void> {
    parent = t.pid();
    StartSpec spec;
    spec.module = "w2";
    spec.args = {Word("0")};
    StartModule(*rt_, spec, {.parent = t.pid(), .link_to = t.pid()},
                [&](StartResult r) { child = r; });
    co_await t.Sleep(absl::Seconds(1));
    CO_ASSERT(child && child->started());
    std::optional<ProcessSnapshot> shown;
    rt_->Inspect(child->pid, [&](std::optional<ProcessSnapshot> s) { shown = std::move(s); });
    co_await t.Sleep(absl::Seconds(1));
    CO_ASSERT(shown);
    EXPECT_EQ(shown->parent, t.pid());
    EXPECT_THAT(shown->links, testing::ElementsAre(t.pid()));
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
  time_.RunFor(absl::Seconds(2));
  EXPECT_FALSE(rt_->IsAlive(child->pid));
}

TEST_F(ModuleTest, AFailedStartIsHeardOverItsLinkAndOneThatIsKilledForItsTimeIsNot) {
  std::optional<StartResult> failed, late;
  Run([&](Self& t) -> Task<void> {
    StartSpec spec;
    spec.module = "slow";
    spec.args = {Word("1000")};
    spec.start_timeout = absl::Milliseconds(100);
    StartModule(*rt_, spec, {.parent = t.pid(), .link_to = t.pid()},
                [&](StartResult r) { late = r; });
    co_await t.Sleep(absl::Seconds(2));
    CO_ASSERT(late);
    EXPECT_EQ(late->reason, ExitReason::Timeout());
    EXPECT_EQ(t.mailbox_length(), 0u) << "unlinked before it was killed";
    spec = {};
    spec.module = "broken";
    StartModule(*rt_, spec, {.parent = t.pid(), .link_to = t.pid()},
                [&](StartResult r) { failed = r; });
    std::optional<Message> heard = co_await Next(t);
    CO_ASSERT(heard && heard->is_exit());
    EXPECT_EQ(heard->reason().type(), "broken");
    co_await t.Sleep(absl::Seconds(1));
    CO_ASSERT(failed);
    EXPECT_EQ(failed->reason.type(), "broken");
  });
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
