// What can be seen of a process from outside: SYS-060 to SYS-066. spec/sys.md 6, 11.
#include "tests/conformance/sys/subject.h"

namespace banyan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class SysFacts : public SysTest {
 protected:
  // A process that reads nothing and ends when told to.
  static Pid Deaf(Self& t) {
    absl::StatusOr<SpawnResult> r = t.Spawn(
        [](Self& s) -> Task<ExitReason> {
          co_await s.Sleep(absl::Seconds(30));
          co_return ExitReason::Normal();
        },
        {});
    return r->pid;
  }
};

TEST_F(SysFacts, SYS060To062LinksMonitorsAndQueue) {
  Run([&](Self& t) -> Task<void> {
    Pid a = Deaf(t), b = Deaf(t);
    script_.init = [&](S& s, auto) -> Task<Init> {
      EXPECT_TRUE(s.self().Link(a));
      s.self().Monitor(b);
      s.self().Monitor(b);
      return S::Ok();
    };
    Pid p = co_await StartSubject(t);
    std::optional<ProcessSnapshot> facts = co_await FactsOf(t, p);
    CO_ASSERT(facts.has_value());
    EXPECT_THAT(facts->links, UnorderedElementsAre(t.pid(), a));
    EXPECT_THAT(facts->monitors, ElementsAre(b, b)) << "once a monitor";
    EXPECT_THAT(facts->watchers, IsEmpty());
    EXPECT_TRUE(facts->trap_exit);

    t.Monitor(p);
    t.Monitor(p);
    facts = co_await FactsOf(t, p);
    EXPECT_THAT(facts->watchers, ElementsAre(t.pid(), t.pid())) << "SYS-061";
    EXPECT_EQ(facts->monitored_by, 2u);

    for (int i = 0; i < 5; ++i) t.Send(a, Word("m"));
    facts = co_await FactsOf(t, a);
    EXPECT_EQ(facts->mailbox_length, 5u) << "SYS-062";
    EXPECT_THAT(facts->links, ElementsAre(p));
  });
}

TEST_F(SysFacts, SYS063WhereItComesFrom) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t, Linked("named"));
    std::optional<ProcessSnapshot> facts = co_await FactsOf(t, p);
    EXPECT_EQ(facts->module, "script");
    EXPECT_EQ(facts->parent, t.pid());
    EXPECT_THAT(facts->names, ElementsAre("named"));
    EXPECT_EQ(facts->state, ProcessSnapshot::State::kWaiting);
    EXPECT_THAT(rt_->AncestorsOf(p), ElementsAre(t.pid()));
    Pid child;
    script_.cast = [&](S& s, std::string) -> Task<Step> {
      child = Deaf(s.self());
      return S::NoReply();
    };
    t.Cast(p, Word("spawn"));
    co_await t.Sleep(Ms(1));
    EXPECT_THAT(rt_->AncestorsOf(child), ElementsAre(p, t.pid())) << "nearest first";
  });
}

TEST_F(SysFacts, SYS064NobodyThere) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    EXPECT_TRUE((co_await sys::Stop(t, p)).ok());
    EXPECT_FALSE((co_await FactsOf(t, p)).has_value()) << "dead";
    Pid remote = p;
    remote.node_id = 7;
    EXPECT_FALSE((co_await FactsOf(t, remote)).has_value()) << "of another node";
    EXPECT_THAT(rt_->AncestorsOf(p), IsEmpty());
  });
}

TEST_F(SysFacts, SYS065WhatTheAskerSentIsThere) {
  Run([&](Self& t) -> Task<void> {
    Pid a = Deaf(t);
    t.Send(a, Word("m"));
    std::optional<ProcessSnapshot> facts;
    rt_->Inspect(a, [&](std::optional<ProcessSnapshot> f) { facts = std::move(f); });
    co_await t.Sleep(Ms(1));
    EXPECT_EQ(facts->mailbox_length, 1u);
  });
}

TEST_F(SysFacts, SYS066ABusyProcessIsSeenFromOutside) {
  std::optional<ProcessSnapshot> facts;
  script_.cast = [&](S& s, std::string) -> Task<Step> {
    s.self().Send(s.self().pid(), Word("later"));
    facts = Look(s.self().pid());  // as if from another thread: it waits for nobody
    return S::NoReply();
  };
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartSubject(t);
    t.Cast(p, Word("busy"));
    co_await t.Sleep(Ms(1));
    CO_ASSERT(facts.has_value());
    EXPECT_EQ(facts->state, ProcessSnapshot::State::kRunning);
    EXPECT_EQ(facts->mailbox_length, 1u);
  });
}

}  // namespace
}  // namespace banyan
