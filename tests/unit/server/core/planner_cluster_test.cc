// A driver whose actions take long: events arrive while others are under way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planner_fixture.h"

namespace banyan {
namespace {

// Shows actions as words without performing them: ">a" start, "<a" stop, "<<a,b" stop all, "exit".
class SlowPlanner : public testing::Test {
 protected:
  void Make(Strategy strategy, uint32_t intensity = 5, SupervisorPlanner::Options options = {}) {
    planner_ = std::make_unique<SupervisorPlanner>(Flags(strategy, intensity), options);
  }
  // Starts all of `specs`.
  void Up(std::vector<std::shared_ptr<const ChildSpec>> specs) {
    std::string more = Show(planner_->Init(std::move(specs), now_));
    while (!more.empty()) more = Started(more.substr(1));
  }
  std::string Show(const SupervisorActions& actions) {
    std::string text;
    const auto word = [&](const std::string& w) { text += (text.empty() ? "" : " ") + w; };
    for (const SupervisorAction& a : actions) {
      if (const auto* x = std::get_if<action::Start>(&a)) word(">" + Id(x->key));
      if (const auto* x = std::get_if<action::Stop>(&a)) word("<" + Id(x->key));
      if (const auto* x = std::get_if<action::StopAll>(&a)) {
        std::string ids;
        for (ChildKey key : x->keys) ids += Id(key);
        word("<<" + ids);
      }
      if (const auto* x = std::get_if<action::ScheduleRetry>(&a)) word("retry:" + Id(x->key));
      if (const auto* x = std::get_if<action::ExitSupervisor>(&a))
        word("exit:" + x->reason.ToString());
      if (const auto* x = std::get_if<action::OpReply>(&a)) {
        word(fmt::format("op{}:{}", x->op, static_cast<int>(x->result.code)));
      }
    }
    return text;
  }
  std::string Id(ChildKey key) {
    const ChildRecord* r = planner_->Find(key);
    return r == nullptr ? "?" : r->spec->id;
  }
  ChildKey Key(const std::string& id) {
    const ChildRecord* r = planner_->FindById(id);
    return r == nullptr ? kNoChild : r->key;
  }
  ChildState State(const std::string& id) { return planner_->FindById(id)->state; }
  std::string Started(const std::string& id) {
    return Show(planner_->OnStarted(Key(id), Pid::Local(next_++, 1), {}, now_));
  }
  std::string Stopped(const std::string& id) {
    return Show(planner_->OnStopped(Key(id), ExitReason::Shutdown(), now_));
  }
  std::string Failed(const std::string& id) {
    return Show(planner_->OnStartFailed(Key(id), Boom(), now_));
  }
  std::string Exited(const std::string& id, const ExitReason& why = Boom()) {
    return Show(planner_->OnExited(Key(id), why, now_));
  }
  std::string Terminate(OpId op, const std::string& id) {
    return Show(planner_->TerminateChild(op, id, now_));
  }

  std::unique_ptr<SupervisorPlanner> planner_;
  Instant now_ = Instant::FromNanos(1'000'000'000'000);
  uint32_t next_ = 1;
};

TEST_F(SlowPlanner, OneForOneHasManyInFlight) {
  Make(Strategy::kOneForOne);
  Up({S("a"), S("b"), S("c")});
  EXPECT_EQ(Exited("a"), ">a");
  EXPECT_EQ(Exited("b"), ">b");
  EXPECT_EQ(Terminate(1, "c"), "<c");
  EXPECT_EQ(Show(planner_->StartChild(2, S("d"), now_)), ">d");
  EXPECT_EQ(Show(planner_->StartChild(3, S("d"), now_)), "op3:3") << "already started";
  EXPECT_TRUE(planner_->busy());
  EXPECT_EQ(Started("b"), "");
  EXPECT_EQ(Started("d"), "op2:0");
  EXPECT_EQ(Stopped("c"), "op1:0");
  EXPECT_EQ(Started("a"), "");
  EXPECT_FALSE(planner_->busy());
}

TEST_F(SlowPlanner, AStartThatNeverComesCanBeTerminated) {
  Make(Strategy::kOneForOne);
  Up({S("a")});
  EXPECT_EQ(Show(planner_->StartChild(1, S("b"), now_)), ">b");
  EXPECT_EQ(Terminate(2, "b"), "op1:2 <b") << "the start failed";
  EXPECT_EQ(Started("b"), "") << "overtaken";
  EXPECT_EQ(Stopped("b"), "op2:0");
  EXPECT_EQ(State("b"), ChildState::kUndefined);
}

TEST_F(SlowPlanner, SeveralWaitersForOneStop) {
  Make(Strategy::kOneForOne);
  Up({S("a")});
  EXPECT_EQ(Terminate(1, "a"), "<a");
  EXPECT_EQ(Terminate(2, "a"), "");
  EXPECT_EQ(Exited("a"), "op1:0 op2:0") << "its own exit is as good as the stop";
  EXPECT_EQ(Stopped("a"), "");
}

TEST_F(SlowPlanner, MembersThatExitBeforeTheirStopCountAsStopped) {
  Make(Strategy::kOneForAll, 1);
  Up({S("a"), S("b"), S("c"), S("d")});
  EXPECT_EQ(Exited("a"), "<d");
  EXPECT_EQ(Exited("c"), "");
  EXPECT_EQ(Exited("d"), "<b") << "the one being stopped too";
  EXPECT_EQ(Stopped("b"), ">a");
  EXPECT_EQ(Started("a"), ">b");
  EXPECT_EQ(Started("b"), ">c");
  EXPECT_EQ(Started("c"), ">d");
  EXPECT_EQ(Started("d"), "");
  EXPECT_FALSE(planner_->busy());
}

TEST_F(SlowPlanner, AnExitWhileTheGroupStartsIsOneMoreRestart) {
  Make(Strategy::kOneForAll, 2);
  Up({S("a"), S("b"), S("c")});
  EXPECT_EQ(Exited("a"), "<c");
  EXPECT_EQ(Stopped("c"), "<b");
  EXPECT_EQ(Stopped("b"), ">a");
  EXPECT_EQ(Started("a"), ">b");
  EXPECT_EQ(Exited("a"), "<b") << "b's start is overtaken";
  EXPECT_EQ(Stopped("b"), ">a");
  EXPECT_EQ(Started("a"), ">b");
  EXPECT_EQ(Exited("a"), "<b") << "the third restart is one too many";
  EXPECT_EQ(Stopped("b"), "exit:shutdown");
}

TEST_F(SlowPlanner, RestForOneGoesBackToTheMemberThatExited) {
  Make(Strategy::kRestForOne);
  Up({S("z"), S("a"), S("b"), S("c")});
  EXPECT_EQ(Exited("a"), "<c");
  EXPECT_EQ(Stopped("c"), "<b");
  EXPECT_EQ(Stopped("b"), ">a");
  EXPECT_EQ(Started("a"), ">b");
  EXPECT_EQ(Started("b"), ">c");
  EXPECT_EQ(Exited("b"), "<c");
  EXPECT_EQ(Stopped("c"), ">b");
  EXPECT_EQ(Started("b"), ">c");
  EXPECT_EQ(Started("c"), "");
}

TEST_F(SlowPlanner, RestForOneWidensWhenAnEarlierChildExits) {
  Make(Strategy::kRestForOne);
  Up({S("z"), S("a"), S("b")});
  EXPECT_EQ(Exited("a"), "<b");
  EXPECT_EQ(Exited("z"), "") << "b's stop is still out";
  EXPECT_EQ(Stopped("b"), ">z");
  EXPECT_EQ(Started("z"), ">a");
  EXPECT_EQ(Started("a"), ">b");
  EXPECT_EQ(Started("b"), "");
}

TEST_F(SlowPlanner, OperationsWaitForTheGroup) {
  Make(Strategy::kOneForAll);
  Up({S("a"), S("b", kTemp)});
  EXPECT_EQ(Exited("a"), "<b");
  EXPECT_EQ(Terminate(1, "b"), "");
  EXPECT_EQ(Show(planner_->StartChild(2, S("n"), now_)), "");
  EXPECT_EQ(Terminate(3, "n"), "");
  EXPECT_EQ(Stopped("b"), ">a");
  EXPECT_EQ(Started("a"), "op1:0 >n");
  EXPECT_EQ(Started("n"), "op2:0 <n");
  EXPECT_EQ(Stopped("n"), "op3:0");
}

TEST_F(SlowPlanner, AGroupThatCannotStartCanBeGivenUp) {
  Make(Strategy::kOneForAll);
  Up({S("a"), S("b"), S("c")});
  EXPECT_EQ(Exited("c"), "<b");
  EXPECT_EQ(Stopped("b"), "<a");
  EXPECT_EQ(Stopped("a"), ">a");
  EXPECT_EQ(Started("a"), ">b");
  EXPECT_EQ(Terminate(1, "b"), "<b");
  EXPECT_EQ(Stopped("b"), "op1:0");
  EXPECT_EQ(State("a"), ChildState::kRunning);
  EXPECT_EQ(State("b"), ChildState::kUndefined);
  EXPECT_EQ(State("c"), ChildState::kUndefined);
  EXPECT_FALSE(planner_->busy());
}

TEST_F(SlowPlanner, ExitsDuringAnOperationAreJudgedAfterIt) {
  Make(Strategy::kOneForAll);
  Up({S("a"), S("b")});
  EXPECT_EQ(Show(planner_->StartChild(1, S("c"), now_)), ">c");
  EXPECT_EQ(Exited("a"), "");
  EXPECT_EQ(Started("c"), "op1:0 <c");
  EXPECT_EQ(Stopped("c"), "<b");
  EXPECT_EQ(Stopped("b"), ">a");
}

TEST_F(SlowPlanner, SUP116TerminateSwallowsAnExitThatWaits) {
  Make(Strategy::kOneForAll, 0);
  Up({S("a"), S("b")});
  EXPECT_EQ(Show(planner_->StartChild(1, S("c"), now_)), ">c");
  EXPECT_EQ(Terminate(2, "a"), "");
  EXPECT_EQ(Started("c"), "op1:0 <a");
  EXPECT_EQ(Exited("a"), "op2:0");
  EXPECT_FALSE(planner_->busy());
  EXPECT_FALSE(planner_->exited());
}

TEST_F(SlowPlanner, ExitsDuringStartUpWait) {
  Make(Strategy::kOneForOne);
  EXPECT_EQ(Show(planner_->Init({S("a"), S("b")}, now_)), ">a");
  EXPECT_EQ(Started("a"), ">b");
  EXPECT_EQ(Exited("a"), "");
  EXPECT_TRUE(planner_->initializing());
  EXPECT_EQ(Started("b"), ">a");
}

TEST_F(SlowPlanner, ShutdownOvertakesStartsAndAnswersEverything) {
  Make(Strategy::kOneForOne);
  Up({S("a"), S("b")});
  EXPECT_EQ(Exited("a"), ">a");
  EXPECT_EQ(Show(planner_->StartChild(1, S("c"), now_)), ">c");
  EXPECT_EQ(Terminate(2, "b"), "<b");
  EXPECT_EQ(Show(planner_->BeginShutdown(ExitReason::Shutdown(), now_)), "<c");
  EXPECT_EQ(Show(planner_->StartChild(3, S("d"), now_)), "op3:10");
  EXPECT_EQ(Stopped("c"), "op1:10") << "then waits for b, whose stop is out";
  EXPECT_EQ(Stopped("b"), "op2:0 <a");
  EXPECT_EQ(Stopped("a"), "exit:shutdown");
}

TEST_F(SlowPlanner, ShutdownDuringAGroupRestart) {
  Make(Strategy::kOneForAll);
  Up({S("a"), S("b"), S("c")});
  EXPECT_EQ(Exited("b"), "<c");
  EXPECT_EQ(Terminate(1, "a"), "");
  EXPECT_EQ(Show(planner_->BeginShutdown(ExitReason::Normal(), now_)), "op1:10");
  EXPECT_EQ(Stopped("c"), "<a");
  EXPECT_EQ(Stopped("a"), "exit:normal");
}

TEST_F(SlowPlanner, ParallelStop) {
  Make(Strategy::kOneForAll, 5, {.parallel_stop = true});
  Up({S("a"), S("b"), S("c")});
  EXPECT_EQ(Exited("b"), "<<ca");
  EXPECT_EQ(Stopped("a"), "");
  EXPECT_EQ(Stopped("c"), ">a");
  EXPECT_EQ(Started("a"), ">b");
  EXPECT_EQ(Show(planner_->BeginShutdown(ExitReason::Shutdown(), now_)), "<<ba");
  EXPECT_EQ(Stopped("a"), "");
  EXPECT_EQ(Stopped("b"), "exit:shutdown");
}

TEST_F(SlowPlanner, MovedChildrenStartAgainAlone) {
  Make(Strategy::kOneForAll, 0);
  Up({S("a"), S("b", kTemp), S("c", kTrans)});
  EXPECT_EQ(Show(planner_->OnMoved(Key("b"), now_)), ">b");
  EXPECT_EQ(Show(planner_->OnMoved(Key("c"), now_)), "") << "one at a time in a group";
  EXPECT_EQ(Started("b"), ">c");
  EXPECT_EQ(Started("c"), "");
  EXPECT_EQ(planner_->FindById("b")->restarts, 0u);
}

TEST_F(SlowPlanner, ACleanExitWhileTheGroupStartsIsNoRestart) {
  Make(Strategy::kOneForAll, 1);
  Up({S("a", kTrans), S("b")});
  EXPECT_EQ(Exited("b"), "<a");
  EXPECT_EQ(Stopped("a"), ">a");
  EXPECT_EQ(Started("a"), ">b");
  EXPECT_EQ(Exited("a", ExitReason::Normal()), "");
  EXPECT_EQ(Started("b"), "");
  EXPECT_EQ(State("a"), ChildState::kUndefined);
}

TEST_F(SlowPlanner, ACauseThatEndedAgainIsRetriedWhenAnotherMemberFails) {
  Make(Strategy::kRestForOne, 10, {.default_backoff = RestartBackoff{}});
  Up({S("a"), S("b"), S("c")});
  EXPECT_EQ(Exited("a"), "<c");
  EXPECT_EQ(Stopped("c"), "<b");
  EXPECT_EQ(Stopped("b"), ">a");
  EXPECT_EQ(Started("a"), ">b");
  Exited("a");
  EXPECT_THAT(Failed("b"), ::testing::HasSubstr(">b"));
  EXPECT_EQ(State("a"), ChildState::kRestarting);
  EXPECT_EQ(Show(planner_->OnRetry(Key("a"), now_)), "") << "b is being started";
  EXPECT_EQ(Started("b"), ">c");
  EXPECT_EQ(Started("c"), "<c");
  EXPECT_EQ(Stopped("c"), "<b");
  EXPECT_EQ(Stopped("b"), ">a");
}

TEST_F(SlowPlanner, UnexpectedOutcomesAreIgnored) {
  Make(Strategy::kOneForOne);
  Up({S("a")});
  EXPECT_EQ(Started("a"), "");
  EXPECT_EQ(Failed("a"), "");
  EXPECT_EQ(Stopped("a"), "");
  EXPECT_EQ(Show(planner_->OnRetry(Key("a"), now_)), "");
  for (ChildKey key : {ChildKey{0}, ChildKey{12345}, ~ChildKey{0}}) {
    EXPECT_EQ(Show(planner_->OnExited(key, Boom(), now_)), "");
    EXPECT_EQ(Show(planner_->OnStarted(key, Pid::Local(9, 9), {}, now_)), "");
  }
  EXPECT_EQ(State("a"), ChildState::kRunning);
}

// A group restart that waits for room serves as OTP's supervisor does between two attempts.
class WaitingGroup : public SlowPlanner {
 protected:
  // The restart of all of `strategy`'s a, b, c that was begun by `cause` waits for `member`.
  void WaitFor(Strategy strategy, const std::string& cause, const std::string& member) {
    Make(strategy);
    Up({S("a"), S("b"), S("c")});
    std::string next = Exited(cause);
    while (next.starts_with("<")) next = Stopped(next.substr(1));
    while (next != ">" + member) next = Started(next.substr(1));
    EXPECT_EQ(Waits(member), "");
  }
  std::string Waits(const std::string& id, bool waits = true) {
    return Show(planner_->OnStartWaits(Key(id), waits, now_));
  }
  std::string Start(OpId op, const char* id) { return Show(planner_->StartChild(op, S(id), now_)); }
  std::string Delete(OpId op, const char* id) { return Show(planner_->DeleteChild(op, id, now_)); }
  std::string Code(OpId op, OpResult::Code code) {
    return fmt::format("op{}:{}", op, static_cast<int>(code));
  }
};

using Code = OpResult::Code;

TEST_F(WaitingGroup, OperationsAreAnswered) {
  WaitFor(Strategy::kOneForAll, "b", "a");
  EXPECT_EQ(Start(1, "d"), ">d");
  EXPECT_EQ(Failed("d"), Code(1, Code::kStartFailed)) << "there is no room for it either";
  EXPECT_EQ(Start(2, "c"), Code(2, Code::kAlreadyPresent));
  EXPECT_EQ(Delete(3, "a"), Code(3, Code::kRunning)) << "as without a group";
  for (const char* id : {"b", "c"}) {
    EXPECT_EQ(Delete(3, id), Code(3, Code::kRestarting)) << id;
    EXPECT_EQ(Show(planner_->RestartChild(4, id, now_)), Code(4, Code::kRestarting)) << id;
  }
  EXPECT_EQ(Delete(5, "x"), Code(5, Code::kNotFound));
  EXPECT_EQ(Waits("a", false), "");
  EXPECT_EQ(Delete(6, "x"), "") << "its start is under way: one at a time";
  EXPECT_EQ(Started("a"), ">b");
  EXPECT_EQ(Started("b"), ">c");
  EXPECT_EQ(Started("c"), Code(6, Code::kNotFound));
  EXPECT_FALSE(planner_->busy());
}

TEST_F(WaitingGroup, WhatWasHeldBackIsAnsweredToo) {
  Make(Strategy::kOneForAll);
  Up({S("a"), S("b")});
  EXPECT_EQ(Exited("b"), "<a");
  EXPECT_EQ(Delete(1, "b"), "");
  EXPECT_EQ(Start(2, "d"), "");
  EXPECT_EQ(Stopped("a"), ">a");
  EXPECT_EQ(Waits("a"), Code(1, Code::kRestarting) + " >d");
  EXPECT_EQ(Failed("d"), Code(2, Code::kStartFailed));
}

TEST_F(WaitingGroup, AMemberThatIsTerminatedStaysDown) {
  WaitFor(Strategy::kOneForAll, "b", "a");
  EXPECT_EQ(Terminate(1, "c"), Code(1, Code::kOk));
  EXPECT_EQ(Terminate(2, "b"), Code(2, Code::kOk)) << "also the one that began it";
  EXPECT_EQ(Delete(3, "c"), Code(3, Code::kOk));
  EXPECT_EQ(Started("a"), "");
  EXPECT_FALSE(planner_->busy());
  EXPECT_EQ(State("b"), ChildState::kUndefined);
  EXPECT_EQ(Key("c"), kNoChild);
}

TEST_F(WaitingGroup, AMemberThatIsUpCanBeTerminated) {
  WaitFor(Strategy::kOneForAll, "a", "b");
  EXPECT_EQ(Terminate(1, "a"), "<a");
  EXPECT_EQ(Stopped("a"), Code(1, Code::kOk));
  EXPECT_EQ(Started("b"), ">c");
  EXPECT_EQ(Started("c"), "");
  EXPECT_EQ(State("a"), ChildState::kUndefined);
}

TEST_F(WaitingGroup, OnesBeforeItAreRestartedMeanwhile) {
  WaitFor(Strategy::kRestForOne, "b", "b");
  EXPECT_EQ(Exited("a"), "<b") << "it comes after a";
  EXPECT_EQ(Stopped("b"), ">a");
  EXPECT_EQ(Started("a"), ">b");
  EXPECT_EQ(Waits("b"), "");
  EXPECT_EQ(Started("b"), ">c");
  EXPECT_EQ(Started("c"), "");
}

TEST_F(WaitingGroup, OneThatWasAddedMeanwhileDoesNotCutItShort) {
  WaitFor(Strategy::kRestForOne, "b", "b");
  EXPECT_EQ(Start(1, "d"), ">d");
  EXPECT_EQ(Started("d"), Code(1, Code::kOk));
  EXPECT_EQ(Exited("d"), "<b");
  EXPECT_EQ(Stopped("b"), ">b");
  EXPECT_EQ(Started("b"), ">c");
  EXPECT_EQ(Started("c"), ">d");
  EXPECT_EQ(Started("d"), "");
  EXPECT_FALSE(planner_->busy());
}

}  // namespace
}  // namespace banyan
