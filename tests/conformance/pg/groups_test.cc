// spec/signals.md 12 and 17: members of one node's groups.
#include "tests/conformance/pg/pg_fixture.h"

namespace banyan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class PgGroups : public PgTest {};

TEST_F(PgGroups, PG001JoinTwice) {
  Run([&](Self& t) -> Task<void> {
    co_await StartScope(t);
    Ref m = co_await MonitorScope(t);
    Pid p = Member(t);
    co_await Join(t, "g", {p});
    co_await Join(t, "g", {p});
    EXPECT_THAT(pg::GetMembers(t, "s", "g"), ElementsAre(p, p));
    EXPECT_THAT(pg::GetLocalMembers(t, "s", "g"), ElementsAre(p, p));
    EXPECT_EQ(co_await Change(t, m), Joined("g", {p}));
    EXPECT_EQ(co_await Change(t, m), Joined("g", {p}));
    EXPECT_EQ(co_await Change(t, m), std::nullopt);
  });
}

TEST_F(PgGroups, PG002OneJoinOfAProcessTwice) {
  Run([&](Self& t) -> Task<void> {
    co_await StartScope(t);
    Ref m = co_await MonitorScope(t);
    Pid q = Member(t);
    co_await Join(t, "g", {q, q});
    EXPECT_EQ(co_await Change(t, m), Joined("g", {q, q}));
    EXPECT_EQ(co_await Change(t, m), std::nullopt);
    EXPECT_THAT(pg::GetMembers(t, "s", "g"), ElementsAre(q, q));
  });
}

TEST_F(PgGroups, PG003LeaveOnceAndWhereNobodyIs) {
  Run([&](Self& t) -> Task<void> {
    co_await StartScope(t);
    Pid p = Member(t), other = Member(t);
    co_await Join(t, "g", {p, p});
    Ref m = co_await MonitorScope(t);
    EXPECT_EQ(co_await Leave(t, "g", {p}), "ok");
    EXPECT_THAT(pg::GetMembers(t, "s", "g"), ElementsAre(p));
    EXPECT_EQ(co_await Leave(t, "g", {other}), "NOT_JOINED");
    EXPECT_EQ(co_await Leave(t, "unknown", {p}), "NOT_JOINED");
    EXPECT_EQ(co_await Change(t, m), Left("g", {p}));
    EXPECT_EQ(co_await Change(t, m), std::nullopt);
  });
}

TEST_F(PgGroups, PG005LeaveOfAListWithAStranger) {
  Run([&](Self& t) -> Task<void> {
    co_await StartScope(t);
    Pid p = Member(t), x = Member(t);
    co_await Join(t, "g", {p});
    Ref m = co_await MonitorScope(t);
    EXPECT_EQ(co_await Leave(t, "g", {p, x, p}), "ok");
    EXPECT_THAT(pg::GetMembers(t, "s", "g"), IsEmpty());
    EXPECT_EQ(co_await Change(t, m), Left("g", {p})) << "only who was a member";
  });
}

TEST_F(PgGroups, PG006TheLastMemberEndsOrLeaves) {
  Run([&](Self& t) -> Task<void> {
    co_await StartScope(t);
    Pid p = Member(t), q = Member(t);
    co_await Join(t, "dies", {p, p});
    co_await Join(t, "leaves", {q, q});
    Ref m = co_await MonitorScope(t);
    EXPECT_THAT(pg::WhichGroups(t, "s"), ElementsAre("dies", "leaves"));
    co_await EndOf(t, p);
    EXPECT_EQ(co_await Change(t, m), Left("dies", {p}));
    EXPECT_EQ(co_await Change(t, m), Left("dies", {p}));
    EXPECT_THAT(pg::WhichGroups(t, "s"), ElementsAre("leaves"));
    EXPECT_EQ(co_await Leave(t, "leaves", {q}), "ok");
    EXPECT_EQ(co_await Leave(t, "leaves", {q}), "ok");
    EXPECT_EQ(co_await Change(t, m), Left("leaves", {q}));
    EXPECT_EQ(co_await Change(t, m), Left("leaves", {q}));
    EXPECT_THAT(pg::WhichGroups(t, "s"), IsEmpty());
    EXPECT_THAT(pg::WhichLocalGroups(t, "s"), IsEmpty());
    co_await EndOf(t, q);
    EXPECT_EQ(co_await Change(t, m), std::nullopt) << "it was no member any more";
  });
}

TEST_F(PgGroups, PG008AProcessThatHasEndedJoinsAndLeaves) {
  Run([&](Self& t) -> Task<void> {
    co_await StartScope(t);
    Ref m = co_await MonitorScope(t);
    Pid p = Member(t);
    co_await EndOf(t, p);
    co_await Join(t, "g", {p});
    EXPECT_EQ(co_await Change(t, m), Joined("g", {p}));
    EXPECT_EQ(co_await Change(t, m), Left("g", {p}));
    EXPECT_THAT(pg::GetMembers(t, "s", "g"), IsEmpty());
  });
}

TEST_F(PgGroups, PG009ProcessesOfOtherNodes) {
  Run([&](Self& t) -> Task<void> {
    co_await StartScope(t);
    Ref m = co_await MonitorScope(t);
    const Pid local = Member(t), remote{7, 1, 3};
    absl::Status joined = co_await pg::Join(t, "s", "g", {local, remote});
    EXPECT_EQ(ErrorReason(joined), "NOT_LOCAL");
    EXPECT_EQ(GetErrorInfo(joined)->metadata.at("pid"), FormatPid(remote));
    EXPECT_EQ(co_await Leave(t, "g", {remote}), "NOT_LOCAL");
    EXPECT_EQ(co_await Change(t, m), std::nullopt);
    EXPECT_THAT(pg::WhichGroups(t, "s"), IsEmpty());
  });
}

TEST_F(PgGroups, PG010UnknownGroupsAndScopes) {
  Run([&](Self& t) -> Task<void> {
    EXPECT_THAT(pg::GetMembers(t, "s", "g"), IsEmpty());
    EXPECT_THAT(pg::WhichGroups(t, "s"), IsEmpty());
    EXPECT_EQ(ErrorReason(co_await pg::Join(t, "s", "g", {t.pid()})), "NOPROC");
    EXPECT_EQ(co_await Leave(t, "g", {t.pid()}), "NOPROC");
    EXPECT_EQ(ErrorReason((co_await pg::Monitor(t, "s", "g")).status()), "NOPROC");
    EXPECT_EQ(ErrorReason((co_await pg::MonitorScope(t, "s")).status()), "NOPROC");
    EXPECT_EQ(ErrorReason((co_await pg::Demonitor(t, "s", 1)).status()), "NOPROC");
    co_await StartScope(t);
    EXPECT_THAT(pg::GetMembers(t, "s", "g"), IsEmpty());
    EXPECT_THAT(pg::GetLocalMembers(t, "s", "g"), IsEmpty());
  });
}

TEST_F(PgGroups, PG024ScopesAreIndependent) {
  Run([&](Self& t) -> Task<void> {
    co_await StartScope(t, "s");
    co_await StartScope(t, "r");
    Ref ms = co_await MonitorScope(t, "s"), mr = co_await MonitorScope(t, "r");
    Pid p = Member(t), q = Member(t);
    co_await Join(t, "g", {p});
    EXPECT_TRUE((co_await pg::Join(t, "r", "g", {q})).ok());
    EXPECT_THAT(pg::GetMembers(t, "s", "g"), ElementsAre(p));
    EXPECT_THAT(pg::GetMembers(t, "r", "g"), ElementsAre(q));
    EXPECT_EQ(co_await Leave(t, "g", {q}), "NOT_JOINED");
    EXPECT_EQ(co_await Change(t, ms), Joined("g", {p}));
    EXPECT_EQ(co_await Change(t, ms), std::nullopt);
    EXPECT_EQ(co_await Change(t, mr), Joined("g", {q}));
    EXPECT_EQ(co_await Change(t, mr), std::nullopt);
  });
}

TEST_F(PgGroups, AnEmptyListMakesNoGroup) {
  Run([&](Self& t) -> Task<void> {
    co_await StartScope(t);
    Ref m = co_await MonitorScope(t);
    co_await Join(t, "g", {});
    EXPECT_EQ(co_await Change(t, m), std::nullopt);
    EXPECT_THAT(pg::WhichGroups(t, "s"), IsEmpty());
    EXPECT_EQ(co_await Leave(t, "g", {}), "NOT_JOINED");
  });
}

TEST_F(PgGroups, AGroupsNameIsAName) {
  Run([&](Self& t) -> Task<void> {
    co_await StartScope(t);
    for (const std::string name : {"", "\xff", "a\nb"}) {
      EXPECT_EQ(ErrorReason(co_await pg::Join(t, "s", name, {t.pid()})), "TARGET_INVALID");
    }
    EXPECT_THAT(pg::WhichGroups(t, "s"), IsEmpty());
  });
}

TEST_F(PgGroups, AScopeStartsOnceAndForgetsAllAtItsEnd) {
  Run([&](Self& t) -> Task<void> {
    StartResult first = co_await pg::StartLink(t, "s");
    CO_ASSERT(first.started());
    StartResult second = co_await pg::StartLink(t, "s");
    EXPECT_EQ(second.reason.type(), kAlreadyStarted);
    EXPECT_EQ(second.pid, first.pid);
    co_await Join(t, "g", {t.pid()});
    t.Exit(first.pid, ExitReason::Kill());
    EXPECT_EQ(co_await ExitOf(t, first.pid), ExitReason::Killed());
    EXPECT_THAT(pg::GetMembers(t, "s", "g"), IsEmpty());
    co_await StartScope(t);
    EXPECT_THAT(pg::WhichGroups(t, "s"), IsEmpty());
    co_await Join(t, "g", {t.pid()});
    EXPECT_THAT(pg::GetMembers(t, "s", "g"), ElementsAre(t.pid()));
  });
}

TEST_F(PgGroups, SysShowsTheGroups) {
  Run([&](Self& t) -> Task<void> {
    Pid scope = co_await StartScope(t);
    co_await Join(t, "g", {t.pid()});
    absl::StatusOr<Payload> state = co_await sys::GetState(t, scope);
    CO_ASSERT(state.ok());
    const auto* groups = state->As<GroupTable::Groups>();
    CO_ASSERT(groups != nullptr);
    EXPECT_THAT(groups->at("g"), ElementsAre(t.pid()));
  });
}

TEST_F(PgGroups, AScopeRefusesOtherCallsAndIgnoresOtherMessages) {
  Run([&](Self& t) -> Task<void> {
    Pid scope = co_await StartScope(t);
    EXPECT_EQ(ErrorReason((co_await t.Call(scope, Word("what"))).status()), "CALL_NOT_HANDLED");
    t.Send(scope, Word("junk"));
    t.Cast(scope, Word("junk"));
    co_await Join(t, "g", {t.pid()});
    EXPECT_THAT(pg::GetMembers(t, "s", "g"), ElementsAre(t.pid()));
  });
}

}  // namespace
}  // namespace banyan
