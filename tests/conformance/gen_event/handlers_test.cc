// Handlers and their results: EV-001 to EV-015, EV-026, EV-027.
#include <stdexcept>

#include "server/runtime/process_exit.h"
#include "tests/conformance/gen_event/manager.h"

namespace banyan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class EvHandlers : public GenEventTest {
 protected:
  // {h,s}, supervised and the newest, does `what` at "go"; {h,good} is the older.
  Task<Pid> StartWith(Self& t, std::function<Task<Step>(H&)> what) {
    script_.event = [what](H& h, std::string event) -> Task<Step> {
      if (event == "go" && h.id().id == "s") return what(h);
      return H::Ok();
    };
    Pid m = co_await Start(t);
    co_await Add(t, m, "good");
    co_await AddSup(t, m, "s");
    TakeTrace();
    co_return m;
  }
};

TEST_F(EvHandlers, EV001NewHandlersGoFirstAndIdsMayRepeat) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    EXPECT_TRUE((co_await gen_event::AddHandler(t, m, "h")).ok());
    EXPECT_TRUE((co_await gen_event::AddHandler(t, m, {"h", "1"})).ok());
    EXPECT_TRUE((co_await gen_event::AddHandler(t, m, {"h", "1"})).ok());
    EXPECT_EQ(co_await Which(t, m), "{h,1} {h,1} h");
  });
}

TEST_F(EvHandlers, EV002DeleteTakesTheNewestOfAnId) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    EXPECT_TRUE((co_await gen_event::AddHandler(t, m, {"h", "1"}, Word("old"))).ok());
    EXPECT_TRUE((co_await gen_event::AddHandler(t, m, {"h", "1"}, Word("new"))).ok());
    TakeTrace();
    auto result = co_await gen_event::DeleteHandler(t, m, {"h", "1"}, Word("bye"));
    EXPECT_EQ(TextOf(*result), "left by new");
    EXPECT_THAT(TakeTrace(), ElementsAre("1 terminate args bye"));
    EXPECT_EQ(co_await Which(t, m), "{h,1}");
    result = co_await gen_event::DeleteHandler(t, m, {"h", "1"});
    EXPECT_EQ(TextOf(*result), "left by old");
  });
}

TEST_F(EvHandlers, EV003EventsGoFromTheNewestToTheOldest) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    co_await Add(t, m, "a");
    co_await Add(t, m, "b");
    TakeTrace();
    gen_event::Notify(t, m, Word("e"));
    EXPECT_THAT(TakeTrace(), IsEmpty()) << "asynchronous";
    co_await Which(t, m);
    EXPECT_THAT(TakeTrace(), ElementsAre("b event e", "a event e"));
  });
}

TEST_F(EvHandlers, EV004SyncNotifyWaitsForAllHandlers) {
  Run([&](Self& t) -> Task<void> {
    script_.event = [](H& h, std::string) -> Task<Step> {
      co_await h.self().Sleep(absl::Seconds(10));
      h.Note("done");
      co_return H::Ok();
    };
    Pid m = co_await Start(t);
    co_await Add(t, m, "a");
    co_await Add(t, m, "b");
    TakeTrace();
    const Instant before = t.Now();
    co_await Event(t, m, "e");
    EXPECT_THAT(TakeTrace(), ElementsAre("b event e", "b done", "a event e", "a done"));
    EXPECT_EQ(t.Now() - before, absl::Seconds(20)) << "one callback at a time";
  });
}

TEST_F(EvHandlers, EV005CallReachesOneHandler) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    co_await Add(t, m, "1");
    co_await Add(t, m, "2");
    TakeTrace();
    auto reply = co_await gen_event::Call(t, m, {"h", "1"}, Word("q"));
    EXPECT_EQ(TextOf(*reply), "q");
    EXPECT_THAT(TakeTrace(), ElementsAre("1 call q"));
    reply = co_await gen_event::Call(t, m, {"h", "3"}, Word("q"));
    EXPECT_EQ(ErrorReason(reply.status()), "HANDLER_NOT_FOUND");
    EXPECT_TRUE((co_await gen_event::AddHandler(t, m, "bare")).ok());
    reply = co_await gen_event::Call(t, m, "bare", Word("q"));
    EXPECT_EQ(ErrorReason(reply.status()), "CALL_NOT_HANDLED") << "the handler's own error";
    EXPECT_EQ(co_await Which(t, m), "bare {h,2} {h,1}");
  });
}

TEST_F(EvHandlers, EV006InitThatFailsInstallsNothing) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](H& h, HandlerArgs) -> Task<Init> {
      if (h.id().id == "no") return H::Fail(ExitReason::Error("no"));
      if (h.id().id == "bad") throw std::runtime_error("bad");
      return H::Ok();
    };
    Pid m = co_await Start(t);
    co_await Add(t, m, "good");
    TakeTrace();
    EXPECT_EQ(Failure(co_await gen_event::AddHandler(t, m, {"h", "no"})), "error no");
    EXPECT_EQ(Failure(co_await gen_event::AddHandler(t, m, {"h", "bad"})),
              "error std::runtime_error: bad");
    absl::Status missing = co_await gen_event::AddHandler(t, m, "nobody");
    EXPECT_EQ(GetErrorInfo(missing)->exit_reason->type(), kUndef);
    EXPECT_EQ(co_await Which(t, m), "{h,good}");
    EXPECT_THAT(TakeTrace(), ElementsAre("no init ", "bad init ")) << "and no terminate";
  });
}

TEST_F(EvHandlers, EV007DeleteOfAnUnknownHandler) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    auto unknown = co_await gen_event::DeleteHandler(t, m, {"h", "1"});
    EXPECT_EQ(ErrorReason(unknown.status()), "HANDLER_NOT_FOUND");
    co_await Add(t, m, "1");
    EXPECT_EQ(TextOf(*co_await gen_event::DeleteHandler(t, m, {"h", "1"})), "left by 1");
    script_.terminate = [](H&, HandlerEnd) -> Task<Payload> { throw std::runtime_error("tcrash"); };
    co_await Add(t, m, "2");
    auto failed = co_await gen_event::DeleteHandler(t, m, {"h", "2"});
    EXPECT_EQ(Failure(failed.status()), "error std::runtime_error: tcrash");
    EXPECT_EQ(co_await Which(t, m), "") << "gone all the same";
    EXPECT_TRUE((co_await gen_event::AddHandler(t, m, "bare")).ok());
    EXPECT_TRUE((co_await gen_event::DeleteHandler(t, m, "bare")).ok()) << "no terminate callback";
  });
}

TEST_F(EvHandlers, EV008AFailingHandlerIsRemovedAndTheOthersGoOn) {
  Run([&](Self& t) -> Task<void> {
    struct Case {
      std::function<Task<Step>(H&)> what;
      std::string reason;
    };
    const Case cases[] = {
        {[](H&) -> Task<Step> { throw std::runtime_error("boom"); },
         "error std::runtime_error: boom"},
        {[](H& h) -> Task<Step> {
           co_await h.self().Yield();
           throw 7;
         },
         "error int"},
        {[](H&) -> Task<Step> { throw ProcessExit(ExitReason::Error("ex")); }, "error ex"},
        {[](H&) -> Task<Step> { return H::Fail(ExitReason::Error("junk")); }, "error junk"},
    };
    for (const Case& c : cases) {
      Pid m = co_await StartWith(t, c.what);
      co_await Event(t, m, "go");
      EXPECT_THAT(TakeTrace(), ElementsAre("s event go", "s terminate {error," + c.reason + "}",
                                           "good event go"));
      EXPECT_EQ(co_await ExitWord(t), "{h,s} " + c.reason);
      EXPECT_EQ(co_await Which(t, m), "{h,good}");
      EXPECT_THAT(std::exchange(reports_, {}), ElementsAre("{h,s} " + c.reason));
    }
  });
}

TEST_F(EvHandlers, EV009AHandlerRemovesItself) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await StartWith(t, [](H&) -> Task<Step> { return H::RemoveHandler(); });
    co_await Event(t, m, "go");
    EXPECT_THAT(TakeTrace(),
                ElementsAre("s event go", "s terminate remove_handler", "good event go"));
    EXPECT_EQ(co_await ExitWord(t), "{h,s} normal");
    EXPECT_EQ(co_await Which(t, m), "{h,good}");
    EXPECT_THAT(reports_, IsEmpty());
  });
}

TEST_F(EvHandlers, EV010AHandlerSwapsItselfInPlace) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await StartWith(
        t, [](H&) -> Task<Step> { return H::SwapHandler(Word("a1"), {"h", "n"}, Word("a2")); });
    co_await Event(t, m, "go");
    EXPECT_THAT(TakeTrace(), ElementsAre("s event go", "s terminate args a1",
                                         "n init a2 after left by s", "good event go"));
    EXPECT_EQ(co_await ExitWord(t), "{h,s} swapped {h,n}");
    EXPECT_EQ(co_await Which(t, m), "{h,n} {h,good}");
    // The same in the middle, by the handler that is supervised still.
    co_await Add(t, m, "front");
    script_.event = [](H& h, std::string) -> Task<Step> {
      if (h.id().id != "n") return H::Ok();
      return H::SwapHandler({}, {"h", "n2"}, {});
    };
    co_await Event(t, m, "again");
    EXPECT_EQ(co_await ExitWord(t), "{h,n} swapped {h,n2}");
    EXPECT_EQ(co_await Which(t, m), "{h,front} {h,n2} {h,good}");
  });
}

TEST_F(EvHandlers, EV011ResultsOfCalls) {
  Run([&](Self& t) -> Task<void> {
    script_.call = [](H& h, std::string request) -> Task<CallResult> {
      if (request == "crash") throw std::runtime_error("boom");
      if (request == "fail") return H::Fail(ExitReason::Error("junk"));
      if (request == "remove") return H::Reply(Word("removed"), H::RemoveHandler());
      return H::Reply(Word("swapped"), H::SwapHandler(Word("a1"), {"h", "n"}, Word("a2")));
    };
    Pid m = co_await Start(t);
    for (const char* id : {"1", "2", "3", "4"}) co_await Add(t, m, id);
    TakeTrace();
    auto reply = co_await gen_event::Call(t, m, {"h", "1"}, Word("crash"));
    EXPECT_EQ(Failure(reply.status()), "error std::runtime_error: boom");
    reply = co_await gen_event::Call(t, m, {"h", "2"}, Word("fail"));
    EXPECT_EQ(Failure(reply.status()), "error junk");
    reply = co_await gen_event::Call(t, m, {"h", "3"}, Word("remove"));
    EXPECT_EQ(TextOf(*reply), "removed");
    reply = co_await gen_event::Call(t, m, {"h", "4"}, Word("swap"));
    EXPECT_EQ(TextOf(*reply), "swapped");
    EXPECT_THAT(TakeTrace(),
                ElementsAre("1 call crash", "1 terminate {error,error std::runtime_error: boom}",
                            "2 call fail", "2 terminate {error,error junk}", "3 call remove",
                            "3 terminate remove_handler", "4 call swap", "4 terminate args a1",
                            "n init a2 after left by 4"));
    EXPECT_EQ(co_await Which(t, m), "{h,n}");
  });
}

TEST_F(EvHandlers, EV012DeleteOfASupervisedHandlerLeavesTheLink) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    co_await AddSup(t, m, "s");
    EXPECT_EQ(TextOf(*co_await gen_event::DeleteHandler(t, m, {"h", "s"})), "left by s");
    EXPECT_EQ(co_await ExitWord(t), "{h,s} normal");
    t.Exit(m, ExitReason::Kill());
    EXPECT_EQ(co_await ExitOf(t, m), ExitReason::Killed()) << "over the link";
  });
}

TEST_F(EvHandlers, EV013SwapKeepsTheSupervisingProcess) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    co_await AddSup(t, m, "s");
    co_await Add(t, m, "front");
    TakeTrace();
    gen_event::Swap swap{{"h", "s"}, Word("a1"), {"h", "n"}, Word("a2")};
    EXPECT_TRUE((co_await gen_event::SwapHandler(t, m, swap)).ok());
    EXPECT_THAT(TakeTrace(), ElementsAre("s terminate args a1", "n init a2 after left by s"));
    EXPECT_EQ(co_await ExitWord(t), "{h,s} swapped {h,n}");
    EXPECT_EQ(co_await Which(t, m), "{h,n} {h,front}");
    (void)co_await gen_event::DeleteHandler(t, m, {"h", "n"});
    EXPECT_EQ(co_await ExitWord(t), "{h,n} normal") << "supervised by T still";
    // swap_sup_handler: T takes a handler over that nobody supervises.
    swap = {{"h", "front"}, {}, {"h", "mine"}, {}};
    EXPECT_TRUE((co_await gen_event::SwapSupHandler(t, m, swap)).ok());
    (void)co_await gen_event::DeleteHandler(t, m, {"h", "mine"});
    EXPECT_EQ(co_await ExitWord(t), "{h,mine} normal");
  });
}

TEST_F(EvHandlers, EV014SwapOfAnUnknownHandlerAddsTheNewOne) {
  Run([&](Self& t) -> Task<void> {
    Pid m = co_await Start(t);
    gen_event::Swap swap{{"h", "nobody"}, Word("a1"), {"h", "n"}, Word("a2")};
    EXPECT_TRUE((co_await gen_event::SwapHandler(t, m, swap)).ok());
    EXPECT_THAT(TakeTrace(), ElementsAre("n init a2 after HANDLER_NOT_FOUND"));
    EXPECT_EQ(co_await Which(t, m), "{h,n}");
  });
}

TEST_F(EvHandlers, EV015SwapToAHandlerWhoseInitFails) {
  Run([&](Self& t) -> Task<void> {
    script_.init = [](H& h, HandlerArgs) -> Task<Init> {
      if (h.id().id == "n") return H::Fail(ExitReason::Error("v"));
      return H::Ok();
    };
    Pid m = co_await Start(t);
    co_await AddSup(t, m, "s");
    gen_event::Swap swap{{"h", "s"}, {}, {"h", "n"}, {}};
    EXPECT_EQ(Failure(co_await gen_event::SwapHandler(t, m, swap)), "error v");
    EXPECT_EQ(co_await Which(t, m), "") << "the old one is gone";
    EXPECT_EQ(co_await ExitWord(t), "{h,s} swapped {h,n}");
    EXPECT_EQ(co_await ExitWord(t), "") << "the caller has been told";

    m = co_await StartWith(t, [](H&) -> Task<Step> { return H::SwapHandler({}, {"h", "n"}, {}); });
    co_await Event(t, m, "go");
    EXPECT_EQ(co_await ExitWord(t), "{h,s} swapped {h,n}");
    EXPECT_EQ(co_await ExitWord(t), "{h,n} error v");
    EXPECT_EQ(co_await Which(t, m), "{h,good}");
    EXPECT_EQ(script_.trace.back(), "good event go");
    EXPECT_THAT(reports_, ElementsAre("{h,n} error v"));
  });
}

TEST_F(EvHandlers, EV027OthersSeeAllEventsOfOneThatFails) {
  Run([&](Self& t) -> Task<void> {
    std::map<std::string, int> seen;
    script_.event = [&seen](H& h, std::string) -> Task<Step> {
      if (++seen[h.id().id] > 100 && h.id().id == "fails") throw std::runtime_error("full");
      return H::Ok();
    };
    Pid m = co_await Start(t);
    for (const char* id : {"old", "fails", "new"}) co_await Add(t, m, id);
    for (int i = 0; i < 102; ++i) gen_event::Notify(t, m, Word("e"));
    EXPECT_EQ(co_await Which(t, m), "{h,new} {h,old}");
    EXPECT_EQ(seen["old"], 102);
    EXPECT_EQ(seen["new"], 102);
    EXPECT_EQ(seen["fails"], 101);
  });
}

}  // namespace
}  // namespace banyan
