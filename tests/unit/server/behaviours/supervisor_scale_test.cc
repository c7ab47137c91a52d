// Many children: every operation must cost the same however many there are.
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

class SupervisorScale : public SupervisorTest {};

TEST_F(SupervisorScale, SUP069CountsDynamicChildren) {
  Run([&](Self& t) -> Task<void> {
    Pid s =
        co_await Start(t, Spec(Strategy::kSimpleOneForOne, 2, 3600, {Child("x", "w1", {}, kTemp)}));
    for (int i = 0; i < 1000; ++i) co_await StartDynamic(t, s);
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 1000, 0, 1000));
    for (int i = 0; i < 1000; ++i) co_await StartDynamic(t, s);
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 2000, 0, 2000));
    std::vector<ChildEntry> children = co_await Wc(t, s);
    EXPECT_EQ(children.size(), 2000u);
    for (const ChildEntry& c : children) t.Exit(c.pid, ExitReason::Kill());
    co_await Settle(t);
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 0, 0, 0));
  });
}

TEST_F(SupervisorScale, SUP075TerminatesManyTemporaryChildrenOneByOne) {
  Run([&](Self& t) -> Task<void> {
    Pid s =
        co_await Start(t, Spec(Strategy::kSimpleOneForOne, 2, 3600, {Child("x", "w1", {}, kTemp)}));
    std::vector<Pid> pids;
    for (int i = 0; i < 10'000; ++i) pids.push_back((co_await StartDynamic(t, s)).pid);
    for (Pid p : pids) co_await Terminate(t, s, p);
    EXPECT_THAT(co_await Cc(t, s), Counts(1, 0, 0, 0));
  });
}

TEST_F(SupervisorScale, StopsTwentyThousandAtOnce) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kSimpleOneForOne, 2, 3600, {Child("x", "w1")}));
    for (int i = 0; i < 20'000; ++i) co_await StartDynamic(t, s);
    EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
    EXPECT_EQ(rt_->process_count(), 1u);
  });
}

TEST_F(SupervisorScale, SUP086StartsAndTerminatesManyById) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    for (int i = 0; i < 10'000; ++i) co_await StartChild(t, s, Child(std::to_string(i), "w1"));
    for (int i = 0; i < 10'000; ++i) co_await Terminate(t, s, std::to_string(i));
    EXPECT_THAT(co_await Cc(t, s), Counts(10'000, 0, 0, 10'000));
  });
}

}  // namespace
}  // namespace banyan
