// Asynchronous requests: GS-014 to GS-017, GS-128. spec/gen_server.md 10.
#include "server/behaviours/requests.h"

#include "common/base/error.h"
#include "tests/conformance/gen_server/server.h"

namespace banyan {
namespace {

using Ids = RequestIds<std::string>;
using Kind = Ids::Result::Kind;

class GsRequests : public GenServerTest {
 protected:
  // Servers that answer "MS" after so many milliseconds, and stop for "shutdown" and "boom".
  GsRequests() {
    script_.call = [](S& s, std::string word, CallFrom) -> Task<CallResult> {
      if (word == "shutdown") co_return S::Stop(ExitReason::Shutdown());
      if (word == "boom") throw std::runtime_error("boom");
      if (word == "refused") co_return S::ReplyError(absl::NotFoundError("mine"));
      co_await s.self().Sleep(absl::Milliseconds(std::stoi(word)));
      co_return S::Reply(Word("after " + word));
    };
  }
  static StartOptions Unlinked(std::string name = "") {
    StartOptions o = Linked(std::move(name));
    o.link = false;
    return o;
  }
  static Instant In(Self& t, int ms) { return t.Now() + absl::Milliseconds(ms); }
  static std::string Said(const std::optional<Response>& r) {
    if (!r) return "timeout";
    if (r->ok()) return TextOf(**r);
    const std::string reason = ErrorReason(r->status());
    return reason.empty() ? std::string(r->status().message()) : reason;
  }
  // "label: what it said (size)", or the kind of no response.
  static std::string Said(const Ids::Result& r, const Ids& ids) {
    switch (r.kind) {
      case Kind::kResponse:
        return r.label + ": " + Said(r.response) + " (" + std::to_string(ids.size()) + ")";
      case Kind::kTimeout:
        return "timeout";
      case Kind::kNoReply:
        return "no_reply";
      case Kind::kNoRequest:
        return "no_request";
    }
    return "";
  }
  static std::vector<std::string> Labels(const Ids& ids) {
    std::vector<std::string> out;
    for (const auto& [id, label] : ids.List()) out.push_back(label);
    return out;
  }

  // Three requests with these delays to three servers, sent in every way there is.
  Task<Ids> SendThree(Self& t, std::string first, std::string second, std::string third) {
    Ids ids;
    EXPECT_EQ(ids.size(), 0u);
    Pid p1 = co_await StartOk(t, Unlinked());
    EXPECT_TRUE(ids.Add(SendRequest(t, p1, Word(first)), "req1"));
    EXPECT_EQ(ids.size(), 1u);
    co_await StartOk(t, Unlinked("second"));
    ids.Send(t, "second", Word(second), "req2");
    EXPECT_EQ(ids.size(), 2u);
    Pid p3 = co_await StartOk(t, Unlinked());
    RequestId id3 = ids.Send(t, p3, Word(third), "req3");
    EXPECT_EQ(ids.size(), 3u);
    EXPECT_FALSE(ids.Add(id3, "again")) << "badarg";
    EXPECT_THAT(Labels(ids), testing::ElementsAre("req1", "req2", "req3"));
    co_return ids;
  }
};

TEST_F(GsRequests, GS014OneRequest) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t, Unlinked("server"));
    RequestId by_name = SendRequest(t, "server", Word("1"));
    RequestId by_pid = SendRequest(t, p, Word("2"));
    // Two in flight, collected in the other order.
    EXPECT_EQ(Said(co_await ReceiveResponse(t, by_pid)), "after 2");
    EXPECT_EQ(Said(co_await ReceiveResponse(t, by_name)), "after 1");
    // Among other messages.
    RequestId id = SendRequest(t, p, Word("1"));
    RequestId other = SendRequest(t, p, Word("1"));
    t.Send(t.pid(), Word("unrelated"));
    std::optional<Message> m = co_await Next(t);
    EXPECT_FALSE(CheckResponse(*m, id)) << "no_reply";
    m = co_await Next(t);
    EXPECT_FALSE(CheckResponse(*m, other));
    EXPECT_EQ(Said(CheckResponse(*m, id)), "after 1");
    EXPECT_EQ(Said(co_await ReceiveResponse(t, other)), "after 1");
    // Waited for again.
    id = SendRequest(t, p, Word("100"));
    EXPECT_EQ(Said(co_await WaitResponse(t, id, t.Now())), "timeout");
    EXPECT_EQ(Said(co_await WaitResponse(t, id, In(t, 10))), "timeout");
    EXPECT_EQ(Said(co_await WaitResponse(t, id)), "after 100");
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

TEST_F(GsRequests, GS014FailuresAreResponses) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t, Unlinked("server"));
    EXPECT_EQ(Said(co_await ReceiveResponse(t, SendRequest(t, p, Word("refused")))), "mine");
    std::optional<Response> r = co_await ReceiveResponse(t, SendRequest(t, p, Word("boom")));
    EXPECT_EQ(Said(r), "CALLEE_EXITED");
    EXPECT_EQ(*GetErrorInfo(r->status())->exit_reason,
              ExitReason::Error("std::runtime_error", "boom"));
    EXPECT_EQ(Said(co_await ReceiveResponse(t, SendRequest(t, p, Word("1")))), "NOPROC");
    EXPECT_EQ(Said(co_await ReceiveResponse(t, SendRequest(t, "server", Word("1")))),
              "NAME_NOT_REGISTERED");
    EXPECT_EQ(t.mailbox_length(), 0u);
  });
}

TEST_F(GsRequests, GS128ATimeoutOfReceiveAbandonsTheRequest) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t, Unlinked());
    RequestId id = SendRequest(t, p, Word("100"));
    EXPECT_EQ(Said(co_await ReceiveResponse(t, id, In(t, 10))), "timeout");
    EXPECT_EQ(Said(co_await ReceiveResponse(t, id, In(t, 1000))), "timeout");
    // One that is in the mailbox already goes too.
    id = SendRequest(t, p, Word("1"));
    co_await t.Sleep(absl::Seconds(1));
    AbandonRequest(t, id);
    EXPECT_EQ(Said(co_await WaitResponse(t, id, In(t, 1000))), "timeout");
    EXPECT_FALSE(t.TakeIf([](const Message&) { return true; })) << "nothing is left behind";
  });
}

TEST_F(GsRequests, GS015ReceiveFromACollection) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t, Unlinked());
    RequestId outside = SendRequest(t, p, Word("300"));
    Ids ids = co_await SendThree(t, "400", "1", "200");
    EXPECT_EQ(Said(co_await ids.Receive(t), ids), "req2: after 1 (2)");
    EXPECT_EQ(Said(co_await ids.Receive(t), ids), "req3: after 200 (1)");
    EXPECT_EQ(Said(co_await ids.Receive(t), ids), "req1: after 400 (0)");
    EXPECT_EQ(Said(co_await ids.Receive(t), ids), "no_request");
    EXPECT_EQ(Said(co_await ReceiveResponse(t, outside)), "after 300");
  });
}

TEST_F(GsRequests, GS015ATimeoutAbandonsTheCollection) {
  Run([&](Self& t) -> Task<void> {
    Ids ids = co_await SendThree(t, "1000", "1", "500");
    const Instant deadline = In(t, 100);
    EXPECT_EQ(Said(co_await ids.Receive(t, deadline), ids), "req2: after 1 (2)");
    EXPECT_EQ(Said(co_await ids.Receive(t, deadline), ids), "timeout");
    EXPECT_EQ(t.Now(), deadline);
    EXPECT_THAT(Labels(ids), testing::ElementsAre("req1", "req3"));
    EXPECT_EQ(Said(co_await ids.Receive(t, In(t, 2000)), ids), "timeout");
    EXPECT_FALSE(t.TakeIf([](const Message&) { return true; })) << "nothing is left behind";
  });
}

TEST_F(GsRequests, GS015ErrorsAndRequestsThatStay) {
  Run([&](Self& t) -> Task<void> {
    Ids ids = co_await SendThree(t, "200", "shutdown", "100");
    Ids::Result r = co_await ids.Receive(t, Instant::Infinite(), false);
    EXPECT_EQ(Said(r, ids), "req2: CALLEE_EXITED (3)") << "not deleted";
    EXPECT_EQ(*GetErrorInfo(r.response.status())->exit_reason, ExitReason::Shutdown());
    EXPECT_EQ(Said(co_await ids.Receive(t, Instant::Infinite(), false), ids), "req3: after 100 (3)")
        << "answered ones are passed over";
    EXPECT_EQ(Said(co_await ids.Receive(t, Instant::Infinite(), false), ids),
              "req1: after 200 (3)");
    EXPECT_EQ(Said(co_await ids.Receive(t, In(t, 1000), false), ids), "timeout")
        << "no_request is never reached";
  });
}

TEST_F(GsRequests, GS016WaitForACollection) {
  Run([&](Self& t) -> Task<void> {
    Ids ids = co_await SendThree(t, "1000", "1", "500");
    const Instant deadline = In(t, 100);
    EXPECT_EQ(Said(co_await ids.Wait(t, deadline), ids), "req2: after 1 (2)");
    EXPECT_EQ(Said(co_await ids.Wait(t, deadline), ids), "timeout");
    EXPECT_EQ(Said(co_await ids.Wait(t, deadline), ids), "timeout") << "a past deadline: a look";
    EXPECT_EQ(Said(co_await ids.Wait(t), ids), "req3: after 500 (1)") << "not abandoned";
    EXPECT_EQ(Said(co_await ids.Wait(t), ids), "req1: after 1000 (0)");
    EXPECT_EQ(Said(co_await ids.Wait(t), ids), "no_request");
  });
}

TEST_F(GsRequests, GS017CheckMessagesForACollection) {
  Run([&](Self& t) -> Task<void> {
    Pid p = co_await StartOk(t, Unlinked());
    RequestId outside = SendRequest(t, p, Word("300"));
    Ids ids = co_await SendThree(t, "400", "1", "200");
    t.Send(t.pid(), Word("unrelated"));
    for (const char* want : {"no_reply", "req2: after 1 (2)", "req3: after 200 (1)"}) {
      std::optional<Message> m = co_await Next(t);
      EXPECT_EQ(Said(ids.Check(*m), ids), want);
    }
    std::optional<Message> m = co_await Next(t);
    EXPECT_EQ(Said(ids.Check(*m), ids), "no_reply") << "the outside request's";
    EXPECT_EQ(Said(CheckResponse(*m, outside)), "after 300");
    std::optional<Message> last = co_await Next(t);
    EXPECT_EQ(Said(ids.Check(*last, false), ids), "req1: after 400 (1)");
    EXPECT_EQ(Said(ids.Check(*last), ids), "req1: after 400 (0)");
    EXPECT_EQ(Said(ids.Check(*last), ids), "no_request");
  });
}

// What they are for: a server that has requests of its own under way and serves others meanwhile.
TEST_F(GsRequests, AServerFindsResponsesAmongItsMessages) {
  Run([&](Self& t) -> Task<void> {
    Pid backend = co_await StartOk(t, Unlinked());
    S::Script front;
    RequestIds<CallFrom> waiting;
    front.call = [&](S& s, std::string word, CallFrom from) -> Task<CallResult> {
      if (word == "ping") return S::Reply(Word("pong"));
      waiting.Send(s.self(), backend, Word(word), from);
      return S::NoReply();
    };
    front.info = [&](S& s, Message m) -> Task<Step> {
      auto r = waiting.Check(m);
      if (r.kind == RequestIds<CallFrom>::Result::Kind::kResponse)
        s.self().Answer(r.label, *r.response);
      return S::NoReply();
    };
    StartResult p =
        co_await StartBehaviour(t, [&] { return std::make_unique<S>(&front); }, {}, Unlinked());
    Ref slow = t.SendRequest(p.pid, Word("100"));
    absl::StatusOr<Payload> pong = co_await t.Call(p.pid, Word("ping"), absl::Milliseconds(1));
    EXPECT_EQ(TextOf(*pong), "pong");
    CallReply reply = co_await t.AwaitReply(slow, In(t, 1000));
    EXPECT_EQ(TextOf(reply.payload), "after 100");
    EXPECT_TRUE((co_await sys::Stop(t, p.pid)).ok());
  });
}

}  // namespace
}  // namespace banyan
