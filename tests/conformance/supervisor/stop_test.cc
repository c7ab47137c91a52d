// SUP-016 to SUP-022: stopping a supervisor. spec/supervisor.md 19.3.
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

class SupStop : public SupervisorTest {
 protected:
  static const std::vector<std::string>& Words() {
    static const auto* const kWords =
        new std::vector<std::string>{"normal", "shutdown", "shutdown_test", "other"};
    return *kWords;
  }
};

TEST_F(SupStop, SUP016Infinity) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    OpResult c1 = co_await StartChild(
        t, s, Child("c1", "w1", {}, kPerm, ShutdownPolicy::Infinity(), ChildType::kSupervisor));
    OpResult c2 =
        co_await StartChild(t, s, Child("c2", "w1", {}, kPerm, ShutdownPolicy::Infinity()));
    t.Link(c1.pid);
    t.Link(c2.pid);
    EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, c1.pid), ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, c2.pid), ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
  });
}

TEST_F(SupStop, SUP017TimeoutKills) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    OpResult c1 = co_await StartChild(t, s, Child("c1", "w1"));
    OpResult c2 = co_await StartChild(t, s, Child("c2", "w1"));
    t.Link(c1.pid);
    t.Link(c2.pid);
    t.Send(c2.pid, Word("sleep"));
    const Instant before = t.Now();
    EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
    EXPECT_EQ(t.Now() - before, absl::Seconds(1));
    EXPECT_EQ(co_await ExitOf(t, c1.pid), ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, c2.pid), ExitReason::Killed());
  });
}

TEST_F(SupStop, SUP018TimeoutKillsDynamic) {
  Run([&](Self& t) -> Task<void> {
    Pid s =
        co_await Start(t, Spec(Strategy::kSimpleOneForOne, 2, 3600, {Child("x", "w1", {}, kTemp)}));
    OpResult a = co_await StartDynamic(t, s);
    OpResult b = co_await StartDynamic(t, s);
    t.Link(a.pid);
    t.Link(b.pid);
    t.Send(b.pid, Word("sleep"));
    EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, a.pid), ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, b.pid), ExitReason::Killed());
  });
}

TEST_F(SupStop, SUP019BrutalKill) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    OpResult c1 = co_await StartChild(t, s, Child("c1", "w1"));
    OpResult c2 =
        co_await StartChild(t, s, Child("c2", "w1", {}, kPerm, ShutdownPolicy::BrutalKill()));
    t.Link(c1.pid);
    t.Link(c2.pid);
    EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, c1.pid), ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, c2.pid), ExitReason::Killed());
  });
}

TEST_F(SupStop, SUP020BrutalKillDynamic) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kSimpleOneForOne, 2, 3600,
                                   {Child("x", "w4", {}, kTemp, ShutdownPolicy::BrutalKill())}));
    std::vector<Pid> children;
    for (int i = 0; i < 10; ++i) {
      OpResult r = co_await StartDynamic(t, s);
      t.Link(r.pid);
      children.push_back(r.pid);
    }
    EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
    for (Pid p : children) EXPECT_EQ(co_await ExitOf(t, p), ExitReason::Killed());
  });
}

TEST_F(SupStop, SUP021ChildrenEndWhileTheSupervisorStops) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 3600));
    OpResult a = co_await StartChild(t, s, Child("a", "w1", {}, kTemp));
    t.Link(a.pid);
    std::vector<std::pair<Pid, ExitReason>> twelve;
    for (RestartType restart : {kTemp, kTrans, kPerm}) {
      for (const std::string& word : Words()) {
        std::string id = word + std::to_string(static_cast<int>(restart));
        OpResult r = co_await StartChild(t, s, Child(id, "w4", {word}, restart));
        t.Link(r.pid);
        twelve.emplace_back(r.pid, ReasonOfWord(word));
      }
    }
    OpResult z = co_await StartChild(t, s, Child("z", "w2", {"1000"}, kTemp, Ms(2000)));
    t.Link(z.pid);
    t.Exit(s, ExitReason::Shutdown());
    co_await t.Sleep(absl::Milliseconds(200));
    for (const auto& [pid, reason] : twelve) t.Send(pid, Word("stop"));
    EXPECT_EQ(co_await ExitOf(t, s), ExitReason::Shutdown());
    EXPECT_EQ(co_await ExitOf(t, z.pid), ExitReason::Shutdown());
    for (const auto& [pid, reason] : twelve) EXPECT_EQ(co_await ExitOf(t, pid), reason);
    EXPECT_EQ(co_await ExitOf(t, a.pid), ExitReason::Shutdown());
    EXPECT_EQ(rt_->process_count(), 1u) << "something was restarted";
  });
}

TEST_F(SupStop, SUP022DynamicChildrenEndWithOtherReasons) {
  Run([&](Self& t) -> Task<void> {
    for (RestartType restart : {kTemp, kTrans, kPerm}) {
      Pid s = co_await Start(
          t, Spec(Strategy::kSimpleOneForOne, 2, 3600, {Child("x", "w4", {}, restart, Ms(5000))}));
      std::vector<std::pair<Pid, ExitReason>> children;
      for (const std::string& word : Words()) {
        OpResult r = co_await StartDynamic(t, s, {word});
        t.Link(r.pid);
        children.emplace_back(r.pid, ReasonOfWord(word));
      }
      EXPECT_EQ(co_await Shutdown(t, s), ExitReason::Shutdown());
      for (const auto& [pid, reason] : children) EXPECT_EQ(co_await ExitOf(t, pid), reason);
    }
  });
}

}  // namespace
}  // namespace banyan
