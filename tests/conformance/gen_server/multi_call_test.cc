// One request to many: GS-021, GS-023, GS-024, GS-129. spec/gen_server.md 9. Over nodes:
// tests/unit/server/cluster/remote_servers_test.cc.
#include "server/behaviours/multi_call.h"

#include "common/base/error.h"
#include "tests/conformance/gen_server/server.h"

namespace banyan {
namespace {

class GsMultiCall : public GenServerTest {
 protected:
  // "MS" is answered after so many milliseconds; "call_within" arms a timeout of a second, and
  // "next_call" says whether it is still to come; "die" does not answer.
  GsMultiCall() {
    script_.call = [](S& s, std::string word, CallFrom) -> Task<CallResult> {
      if (word == "die") co_return S::Stop(ExitReason::Error("died"));
      if (word == "call_within") {
        s.state = word;
        co_return S::Reply(Word("ok")).Timeout(absl::Seconds(1));
      }
      if (word == "next_call") co_return S::Reply(Word(s.state == "call_within" ? "ok" : "false"));
      co_await s.self().Sleep(absl::Milliseconds(std::stoi(word)));
      co_return S::Reply(Word("after " + word));
    };
    script_.info = [](S& s, Message m) -> Task<Step> {
      if (S::IsIdleTimeout(m)) s.state = "idle";
      return S::NoReply();
    };
  }
  static StartOptions Unlinked(std::string name = "") {
    StartOptions o = Linked(std::move(name));
    o.link = false;
    return o;
  }
  static std::vector<std::string> Said(const MultiCallResult& r) {
    std::vector<std::string> out;
    for (const auto& [server, reply] : r.replies) out.push_back(TextOf(reply));
    for (const auto& [server, why] : r.bad) out.push_back(ErrorReason(why));
    return out;
  }
};

TEST_F(GsMultiCall, GS021AbCast) {
  Run([&](Self& t) -> Task<void> {
    Pid a = co_await StartOk(t);
    co_await StartOk(t, Linked("b"));
    Pid dead = co_await StartOk(t);
    EXPECT_TRUE((co_await sys::Stop(t, dead)).ok());
    script_.trace.clear();
    AbCast(t, {a, "b", "nobody", dead}, Word("x"));
    co_await t.Sleep(absl::Milliseconds(1));
    EXPECT_THAT(script_.trace, testing::ElementsAre("cast x", "cast x"));
  });
}

TEST_F(GsMultiCall, GS023RepliesAndBadServers) {
  Run([&](Self& t) -> Task<void> {
    Pid a = co_await StartOk(t, Unlinked());
    Pid b = co_await StartOk(t, Unlinked("b"));
    Instant before = t.Now();
    MultiCallResult r = co_await MultiCall(t, {a, "nobody", "b"}, Word("50"));
    EXPECT_THAT(Said(r), testing::ElementsAre("after 50", "after 50", "NAME_NOT_REGISTERED"));
    EXPECT_EQ(std::get<Pid>(r.replies[0].first), a);
    EXPECT_EQ(std::get<std::string>(r.replies[1].first), "b");
    EXPECT_EQ(t.Now() - before, absl::Milliseconds(50)) << "all at once";
    for (int pause_ms : {500, 1500}) {
      EXPECT_THAT(Said(co_await MultiCall(t, {a, b}, Word("call_within"))),
                  testing::ElementsAre("ok", "ok"));
      co_await t.Sleep(absl::Milliseconds(pause_ms));
      const char* want = pause_ms < 1000 ? "ok" : "false";
      EXPECT_THAT(Said(co_await MultiCall(t, {a, b}, Word("next_call"))),
                  testing::ElementsAre(want, want));
    }
    EXPECT_THAT(Said(co_await MultiCall(t, {}, Word("1"))), testing::IsEmpty());
    EXPECT_THAT(Said(co_await MultiCall(t, {a, b}, Word("die"))),
                testing::ElementsAre("CALLEE_EXITED", "CALLEE_EXITED"));
    r = co_await MultiCall(t, {a}, Word("1"));
    EXPECT_THAT(Said(r), testing::ElementsAre("NOPROC"));
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

TEST_F(GsMultiCall, GS129ATimeoutKeepsWhatIsThere) {
  Run([&](Self& t) -> Task<void> {
    Pid slow = co_await StartOk(t, Unlinked());
    Instant before = t.Now();
    MultiCallResult r = co_await MultiCall(t, {slow}, Word("200"), absl::Milliseconds(50));
    EXPECT_THAT(Said(r), testing::ElementsAre("CALL_TIMEOUT"));
    EXPECT_EQ(t.Now() - before, absl::Milliseconds(50));
    // `slow` is still at the first request when the second comes.
    Pid quick = co_await StartOk(t, Unlinked());
    r = co_await MultiCall(t, {slow, quick}, Word("20"), absl::Milliseconds(100));
    EXPECT_THAT(Said(r), testing::ElementsAre("after 20", "CALL_TIMEOUT"));
    EXPECT_EQ(std::get<Pid>(r.bad[0].first), slow);
    co_await t.Sleep(absl::Seconds(1));
    EXPECT_FALSE(t.TakeIf([](const Message&) { return true; })) << "nothing late";
    EXPECT_TRUE(rt_->IsAlive(slow));
  });
}

}  // namespace
}  // namespace banyan
