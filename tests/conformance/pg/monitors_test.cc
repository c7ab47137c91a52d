// spec/signals.md 12 and 17: who is told of changes.
#include "tests/conformance/pg/pg_fixture.h"

namespace banyan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAreArray;

class PgMonitors : public PgTest {
 protected:
  // How many monitors the scope's process holds, when all is quiet.
  Task<size_t> Monitors(Self& t, Pid scope) {
    size_t n = 0;
    co_await t.Sleep(absl::Seconds(1));
    rt_->Inspect(scope, [&n](std::optional<ProcessSnapshot> s) { n = s->monitors.size(); });
    co_await t.Sleep(absl::Seconds(1));
    co_return n;
  }
};

TEST_F(PgMonitors, PG012AGroupThatIsNotThereYet) {
  Run([&](Self& t) -> Task<void> {
    co_await StartScope(t);
    absl::StatusOr<pg::GroupMonitor> m = co_await pg::Monitor(t, "s", "g");
    CO_ASSERT(m.ok());
    EXPECT_THAT(m->members, IsEmpty());
    EXPECT_THAT(pg::WhichGroups(t, "s"), IsEmpty());
    Pid p = Member(t);
    co_await Join(t, "other", {p});
    co_await Join(t, "g", {p});
    EXPECT_EQ(co_await Change(t, m->ref), Joined("g", {p}));
    EXPECT_EQ(co_await Change(t, m->ref), std::nullopt) << "only of its group";
  });
}

TEST_F(PgMonitors, TheAnswerTellsWhoIsThere) {
  Run([&](Self& t) -> Task<void> {
    co_await StartScope(t);
    Pid p = Member(t);
    co_await Join(t, "g", {p, p});
    co_await Join(t, "h", {t.pid()});
    absl::StatusOr<pg::GroupMonitor> group = co_await pg::Monitor(t, "s", "g");
    CO_ASSERT(group.ok());
    EXPECT_THAT(group->members, ElementsAre(p, p));
    absl::StatusOr<pg::ScopeMonitor> scope = co_await pg::MonitorScope(t, "s");
    CO_ASSERT(scope.ok());
    EXPECT_EQ(scope->groups, (GroupTable::Groups{{"g", {p, p}}, {"h", {t.pid()}}}));
    EXPECT_NE(scope->ref, group->ref);
  });
}

TEST_F(PgMonitors, PG013DemonitorTakesWhatWasNotRead) {
  Run([&](Self& t) -> Task<void> {
    co_await StartScope(t);
    Ref m = co_await MonitorScope(t), other = co_await MonitorScope(t);
    Pid p = Member(t);
    for (int i = 0; i < 5; ++i) co_await Join(t, "g", {p});
    EXPECT_TRUE((co_await pg::Demonitor(t, "s", m)).value());
    EXPECT_EQ(co_await Change(t, m), std::nullopt);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(co_await Change(t, other), Joined("g", {p}));
    co_await Join(t, "g", {p});
    EXPECT_EQ(co_await Change(t, m), std::nullopt);
    EXPECT_FALSE((co_await pg::Demonitor(t, "s", m)).value());
  });
}

TEST_F(PgMonitors, PG022ASubscriberEnds) {
  Run([&](Self& t) -> Task<void> {
    Pid scope = co_await StartScope(t);
    ProcessMain main = [](Self& self) -> Task<ExitReason> {
      co_await MonitorScope(self);
      EXPECT_TRUE((co_await pg::Monitor(self, "s", "g")).ok());
      self.Send(self.parent(), Word("ready"));
      co_await self.Receive();
      co_return ExitReason::Normal();
    };
    Pid subscriber = t.Spawn(std::move(main), {})->pid;
    EXPECT_EQ(TextOf((co_await Next(t))->payload()), "ready");
    EXPECT_EQ(co_await Monitors(t, scope), 2u);
    co_await EndOf(t, subscriber);
    EXPECT_EQ(co_await Monitors(t, scope), 0u);
    co_await Join(t, "g", {t.pid()});
  });
}

TEST_F(PgMonitors, WhoLeavesIsNotWatchedAnyMore) {
  Run([&](Self& t) -> Task<void> {
    Pid scope = co_await StartScope(t);
    Pid p = Member(t);
    co_await Join(t, "g", {p, p});
    co_await Join(t, "h", {p});
    EXPECT_EQ(co_await Leave(t, "g", {p, p}), "ok");
    EXPECT_EQ(co_await Monitors(t, scope), 1u);
    EXPECT_EQ(co_await Leave(t, "h", {p}), "ok");
    EXPECT_EQ(co_await Monitors(t, scope), 0u);
  });
}

TEST_F(PgMonitors, PG023NothingIsMissedBetweenSnapshotAndNotices) {
  Run([&](Self& t) -> Task<void> {
    co_await StartScope(t);
    ProcessMain main = [](Self& self) -> Task<ExitReason> {
      for (int i = 0; i < 100; ++i) {
        co_await Join(self, i % 2 == 0 ? "even" : "odd", {self.pid()});
        co_await self.Yield();
      }
      self.Send(self.parent(), Word("joined"));
      co_await self.Receive();
      co_return ExitReason::Normal();
    };
    Pid other = t.Spawn(std::move(main), {})->pid;
    // It has joined a while, not to the end.
    while (pg::GetMembers(t, "s", "odd").size() < 10) co_await t.Yield();
    absl::StatusOr<pg::ScopeMonitor> m = co_await pg::MonitorScope(t, "s");
    CO_ASSERT(m.ok());
    EXPECT_LT(m->groups["odd"].size(), 50u);
    co_await t.ReceiveIf([](const Message& m) { return TextOf(m.payload()) == "joined"; });
    while (std::optional<GroupChange> change = co_await Change(t, m->ref)) {
      std::vector<Pid>& pids = m->groups[change->group];
      pids.insert(pids.end(), change->pids.begin(), change->pids.end());
    }
    for (const std::string group : {"even", "odd"}) {
      EXPECT_THAT(m->groups[group], UnorderedElementsAreArray(std::vector<Pid>(50, other)));
      EXPECT_EQ(pg::GetMembers(t, "s", group), m->groups[group]);
    }
    t.Send(other, Word("end"));
  });
}

}  // namespace
}  // namespace banyan
