// The manager's life, its supervising processes, sys: EV-016 to EV-025, EV-028.
#include "tests/conformance/gen_event/manager.h"

#include <stdexcept>

namespace banyan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class EvManager : public GenEventTest {
 protected:
  // Another process: adds {h,`id`} supervised, says so to T, ends with what T sends it.
  static Pid SpawnOwner(Self& t, Pid m, std::string id) {
    ProcessMain main = [m, id, boss = t.pid()](Self& self) -> Task<ExitReason> {
      self.SetTrapExit(true);
      co_await AddSup(self, m, id);
      self.Send(boss, Word("added"));
      std::optional<Message> last = co_await self.ReceiveIf(
          [boss](const Message& m) { return m.is_info() && m.from() == boss; });
      const std::string word = TextOf(last->payload());
      co_return word == "normal" ? ExitReason::Normal() : ExitReason::Error(word);
    };
    return t.Spawn(std::move(main), {})->pid;
  }
};

TEST_F(EvManager, EV016TheEndOfASupervisingProcessEndsItsHandlers) {
  Run([&](Self& t) -> Task<void> {
    for (const std::string how : {"r", "normal"}) {
      const std::string reason = how == "normal" ? "normal" : "error r";
      Pid m = co_await Start(t);
      co_await Add(t, m, "good");
      Pid owner = SpawnOwner(t, m, "s");
      EXPECT_EQ(TextOf((co_await Next(t))->payload()), "added");
      TakeTrace();
      Ref gone = t.Monitor(owner);
      t.Send(owner, Word(how));
      co_await t.ReceiveIf([gone](const Message& m) { return m.is_down() && m.ref() == gone; });
      EXPECT_EQ(co_await Which(t, m), "{h,good}");
      EXPECT_THAT(TakeTrace(),
                  ElementsAre("s terminate {stop," + reason + "}", "good EXIT " + reason));
    }
  });
}

TEST_F(EvManager, AnExitSignalOfASupervisingProcessCountsAsItsEnd) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    co_await Add(t, m, "good");
    co_await AddSup(t, m, "s");
    TakeTrace();
    t.Exit(m, ExitReason::Error("zoo"));
    EXPECT_EQ(co_await ExitWord(t), "{h,s} shutdown");
    EXPECT_EQ(co_await Which(t, m), "{h,good}");
    EXPECT_THAT(TakeTrace(), ElementsAre("s terminate {stop,error zoo}", "good EXIT error zoo"));
  });
}

TEST_F(EvManager, EV017HandlersWithoutHandleInfoStay) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    EXPECT_TRUE((co_await gen_event::AddHandler(t, m, "bare")).ok());
    co_await Add(t, m, "1");
    TakeTrace();
    t.Send(m, Word("hello"));
    EXPECT_EQ(co_await Which(t, m), "{h,1} bare");
    EXPECT_THAT(TakeTrace(), ElementsAre("1 info hello"));
    EXPECT_THAT(reports_, ElementsAre(HasSubstr("warning bare: unexpected message")));
  });
}

TEST_F(EvManager, EV018StopEndsAllHandlers) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    co_await Add(t, m, "g");
    co_await AddSup(t, m, "s");
    TakeTrace();
    EXPECT_TRUE((co_await sys::Stop(t, m)).ok());
    EXPECT_THAT(TakeTrace(), ElementsAre("s terminate stop", "g terminate stop"));
    EXPECT_EQ(co_await ExitWord(t), "{h,s} shutdown");
    EXPECT_EQ(co_await ExitOf(t, m, absl::Seconds(1)), std::nullopt);
  });
}

TEST_F(EvManager, EV019TheParentsExitEndsTheManager) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t, Linked());
    co_await Add(t, m, "g");
    co_await AddSup(t, m, "s");
    TakeTrace();
    t.Exit(m, ExitReason::Error("foo"));
    EXPECT_EQ(co_await ExitOf(t, m), ExitReason::Error("foo")) << "the parent keeps its link";
    EXPECT_THAT(TakeTrace(), ElementsAre("s terminate stop", "g terminate stop"));
    EXPECT_EQ(co_await ExitWord(t), "{h,s} shutdown");
  });
}

TEST_F(EvManager, EV020ExitsOfStrangersAreMessages) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    co_await Add(t, m, "a");
    co_await Add(t, m, "b");
    TakeTrace();
    t.Exit(m, ExitReason::Error("zoo"));
    t.runtime().Exit(m, ExitReason::Error("outside"));
    EXPECT_EQ(co_await Which(t, m), "{h,b} {h,a}");
    EXPECT_THAT(TakeTrace(), ElementsAre("b EXIT error zoo", "a EXIT error zoo",
                                         "b EXIT error outside", "a EXIT error outside"));
  });
}

TEST_F(EvManager, EV021AKilledManagerLeavesOnlyTheLinkSignal) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    co_await AddSup(t, m, "s");
    TakeTrace();
    t.Exit(m, ExitReason::Kill());
    EXPECT_EQ(co_await ExitOf(t, m), ExitReason::Killed());
    EXPECT_EQ(co_await ExitWord(t), "");
    EXPECT_THAT(TakeTrace(), IsEmpty());
  });
}

TEST_F(EvManager, EV022RequestsToNobody) {
  Run([&](Self& t) -> Task<void> {
    StartOptions named = Unlinked();
    named.name = "alarms";
    Pid m = co_await Start(t, named);
    EXPECT_TRUE(gen_event::Notify(t, "alarms", Word("e")));
    EXPECT_FALSE(gen_event::Notify(t, "nobody", Word("e")));
    EXPECT_TRUE((co_await sys::Stop(t, m)).ok());
    gen_event::Notify(t, m, Word("e"));
    EXPECT_EQ(ErrorReason(co_await gen_event::SyncNotify(t, m, Word("e"))), "NOPROC");
    EXPECT_EQ(ErrorReason((co_await gen_event::Call(t, m, "h", Word("q"))).status()), "NOPROC");
    EXPECT_EQ(ErrorReason(co_await gen_event::AddHandler(t, m, "h")), "NOPROC");
    EXPECT_EQ(ErrorReason((co_await gen_event::WhichHandlers(t, m)).status()), "NOPROC");
  });
}

TEST_F(EvManager, EV023CallsTimeOutAndTheManagerLives) {
  Run([&](Self& t) -> Task<void> {
    script_.call = [](H& h, std::string request) -> Task<CallResult> {
      co_await h.self().Sleep(absl::Milliseconds(100));
      co_return H::Reply(Word(request));
    };
    Pid m = co_await Start(t);
    co_await Add(t, m, "1");
    auto late = co_await gen_event::Call(t, m, {"h", "1"}, Word("q"), absl::Milliseconds(20));
    EXPECT_EQ(ErrorReason(late.status()), "CALL_TIMEOUT");
    EXPECT_EQ(co_await Next(t, absl::Seconds(1)), std::nullopt) << "the late reply is dropped";
    auto reply = co_await gen_event::Call(t, m, {"h", "1"}, Word("q"));
    EXPECT_EQ(TextOf(*reply), "q");
  });
}

std::string Show(const Payload& state) {
  std::string text;
  for (const HandlerState& s : *state.As<std::vector<HandlerState>>())
    text += (text.empty() ? "" : " ") + FormatHandlerId(s.id) + "=" + TextOf(s.state);
  return text;
}

TEST_F(EvManager, EV024StateIsThatOfEachHandler) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    EXPECT_TRUE((co_await gen_event::AddHandler(t, m, "bare")).ok());
    for (const char* id : {"1", "2", "3", "4"}) co_await Add(t, m, id);
    EXPECT_EQ(Show(*co_await sys::GetState(t, m)), "{h,4}=4 {h,3}=3 {h,2}=2 {h,1}=1 bare=");
    auto replace = [](HandlerState s) -> absl::StatusOr<HandlerState> {
      if (s.id.id == "1") throw std::runtime_error("no");
      if (s.id.id == "2") return absl::InternalError("no");
      if (s.id.id == "3") s.id.id = "other";
      s.state = Word("new");
      return s;
    };
    absl::Status replaced = co_await gen_event::ReplaceStates(t, m, replace);
    EXPECT_TRUE(replaced.ok()) << replaced;
    EXPECT_EQ(Show(*co_await sys::GetState(t, m)), "{h,4}=new {h,3}=3 {h,2}=2 {h,1}=1 bare=");
    absl::StatusOr<SysStatus> status = co_await sys::GetStatus(t, m);
    EXPECT_EQ(Show(status->state), "{h,4}=new {h,3}=3 {h,2}=2 {h,1}=1 bare=");
    auto junk = [](const Payload&) -> absl::StatusOr<Payload> { return Word("junk"); };
    EXPECT_EQ(ErrorReason((co_await sys::ReplaceState(t, m, junk)).status()), "STATE_INVALID");
  });
}

TEST_F(EvManager, EV025CodeChangesOfAModuleAreAllOrNone) {
  Run([&](Self& t) -> Task<void> {
    script_.code_change = [](H& h, std::string old, std::string extra) {
      if (extra == "bad" && old.starts_with("1")) return absl::InternalError("no");
      if (extra == "worse" && old.starts_with("1")) throw std::runtime_error("boom");
      h.state = old + extra;
      return absl::OkStatus();
    };
    Pid m = co_await Start(t);
    co_await Add(t, m, "1");
    EXPECT_TRUE((co_await gen_event::AddHandler(t, m, "bare")).ok());
    co_await Add(t, m, "2");
    CodeChange change;
    change.extra = Payload::Local(HandlerCodeChange{"h", Word("!")});
    EXPECT_EQ(ErrorReason(co_await sys::ChangeCode(t, m, change)), "NOT_SUSPENDED");
    EXPECT_TRUE((co_await sys::Suspend(t, m)).ok());
    EXPECT_TRUE((co_await sys::ChangeCode(t, m, change)).ok());
    EXPECT_EQ(Show(*co_await sys::GetState(t, m)), "{h,2}=2! bare= {h,1}=1!");
    for (const char* how : {"bad", "worse"}) {
      change.extra = Payload::Local(HandlerCodeChange{"h", Word(how)});
      EXPECT_FALSE((co_await sys::ChangeCode(t, m, change)).ok()) << how;
      EXPECT_EQ(Show(*co_await sys::GetState(t, m)), "{h,2}=2! bare= {h,1}=1!") << how;
    }
    change.extra = Word("junk");
    EXPECT_EQ(ErrorReason(co_await sys::ChangeCode(t, m, change)), "CODE_CHANGE_FAILED");
    EXPECT_TRUE((co_await sys::Resume(t, m)).ok());
    TakeTrace();
    co_await Event(t, m, "e");
    EXPECT_THAT(TakeTrace(), ElementsAre("2 event e", "1 event e"));
  });
}

TEST_F(EvManager, EV028EventsWaitWhileSuspended) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    co_await Add(t, m, "a");
    EXPECT_TRUE((co_await sys::Suspend(t, m)).ok());
    TakeTrace();
    for (const char* e : {"1", "2", "3"}) gen_event::Notify(t, m, Word(e));
    co_await t.Sleep(absl::Seconds(1));
    EXPECT_THAT(TakeTrace(), IsEmpty());
    EXPECT_TRUE((co_await sys::Resume(t, m)).ok());
    co_await Which(t, m);
    EXPECT_THAT(TakeTrace(), ElementsAre("a event 1", "a event 2", "a event 3"));
  });
}

TEST_F(EvManager, TheLinkOfASupervisingProcessComesEvenIfInitFails) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](H&, HandlerArgs) -> Task<Init> { return H::Fail(ExitReason::Error("no")); };
    Pid m = co_await Start(t);
    EXPECT_EQ(Failure(co_await gen_event::AddSupHandler(t, m, {"h", "s"})), "error no");
    EXPECT_TRUE((co_await sys::Stop(t, m, ExitReason::Error("why"))).ok());
    EXPECT_EQ(co_await ExitOf(t, m), ExitReason::Error("why"));
  });
}

TEST_F(EvManager, CallsFromOutsideAreEvents) {
  Pid m;
  Run([&](Self& t) -> Task<void> {
    m = co_await Start(t);
    co_await Add(t, m, "a");
    TakeTrace();
  });
  absl::StatusOr<Payload> answer = absl::UnknownError("none");
  rt_->Call(m, Payload::Any("type.googleapis.com/x.Y", "bytes"), Instant::Infinite(),
            [&](absl::StatusOr<Payload> a, Pid) { answer = std::move(a); });
  time_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(answer.ok() && answer->empty());
  EXPECT_THAT(TakeTrace(), ElementsAre("a event "));
}

}  // namespace
}  // namespace banyan
