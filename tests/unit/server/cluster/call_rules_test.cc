// Calls between nodes: cluster.md 4.1 to 4.3, as far as sessions and callees keep them.
#include <gmock/gmock.h>

#include "common/base/error.h"
#include "server/behaviours/gen_server.h"
#include "server/behaviours/module.h"
#include "two_nodes.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Notes what it begins. "slow" takes 100 ms; "left" is answered with the time that is left, in ms;
// "nested" makes a call of its own within it, after 100 ms.
class Noting : public GenServer {
 public:
  struct Notes {
    std::vector<std::string> begun;
    Pid other;
    absl::Status nested;
  };
  explicit Noting(Notes* notes) : notes_(notes) {}
  Task<InitResult> Init(std::vector<Payload>) override { return Ok(); }
  Task<CallResult> HandleCall(Payload request, CallFrom from) override {
    notes_->begun.push_back(request.bytes());
    if (request.bytes() == "slow") return Slow();
    if (request.bytes() == "nested") return Nested(from);
    if (request.bytes() != "left") return Reply(Text("done"));
    if (from.deadline.infinite()) return Reply(Text("for ever"));
    return Reply(Text(std::to_string(absl::ToInt64Milliseconds(from.deadline - self().Now()))));
  }
  Task<Result> HandleCast(Payload) override { return NoReply(); }

 private:
  Task<CallResult> Slow() {
    co_await self().Sleep(absl::Milliseconds(100));
    co_return Reply(Text("done"));
  }
  Task<CallResult> Nested(CallFrom from) {
    co_await self().Sleep(absl::Milliseconds(100));
    absl::StatusOr<Payload> reply =
        co_await self().CallUntil(from.deadline, notes_->other, Text("mute"));
    notes_->nested = reply.status();
    co_return Reply(Text("done"));
  }
  Notes* notes_;
};

class CallRules : public TwoNodes {
 protected:
  void SetUp() override {
    TwoNodes::SetUp();
    server = StartServer(*b);
    caller = Spawn(*a);
  }
  Pid StartServer(TestNode& node) {
    Pid pid;
    StartFromOutside(
        node.runtime,
        [this](Self& self) {
          StartOptions o;
          o.link = false;
          return StartBehaviour(self, [this] { return std::make_unique<Noting>(&notes); }, {}, o);
        },
        [&pid](StartResult r) { pid = r.pid; });
    Settle();
    return pid;
  }
  Ref Call(const std::string& what, absl::Duration patience, bool note = false,
           uint64_t reg_version = 0) {
    return a->runtime.Call(b->Export(server), Text(what), time.Now() + patience,
                           [this, note](absl::StatusOr<Payload> r, Pid) {
                             if (note) got = r.status();
                           },
                           {.reg_version = reg_version});
  }
  static std::string OutcomeOf(const absl::Status& status) {
    return GetErrorInfo(status).value_or(ErrorInfo()).metadata["outcome"];
  }

  Noting::Notes notes;
  Pid server;
  std::shared_ptr<Log> caller;
  absl::Status got = absl::UnknownError("none");
  absl::Duration way;
};

// ------------------------------------------------------------------ 4.1

TEST_F(CallRules, AHolderThatHasTheNameNoMoreDoesNotRunIt) {
  b->held.insert({server, 7});
  Call("first", absl::Seconds(5), true, 7);
  Settle();
  EXPECT_TRUE(got.ok()) << got;
  b->held.clear();  // it lives on without
  got = absl::UnknownError("none");
  Call("second", absl::Seconds(5), true, 7);
  Settle();
  EXPECT_EQ(ErrorReason(got), "NOPROC");
  EXPECT_EQ(OutcomeOf(got), kNotExecuted);
  EXPECT_THAT(notes.begun, ElementsAre("first"));
  EXPECT_THAT(a->stale, ElementsAre(b->Export(server))) << "the route is dropped";
  // By pid it is who it is.
  got = absl::UnknownError("none");
  Call("third", absl::Seconds(5), true);
  Settle();
  EXPECT_TRUE(got.ok()) << got;
}

TEST_F(CallRules, ANameThatMovesWhileCallsWaitForASession) {
  b->held.insert({server, 7});
  network.set_latency(
      [](const std::string&, const std::string&) { return absl::Milliseconds(200); });
  Call("x", absl::Seconds(5), true, 7);
  Settle();
  b->held.clear();
  time.RunFor(absl::Seconds(3));
  EXPECT_EQ(ErrorReason(got), "NOPROC");
  EXPECT_THAT(notes.begun, IsEmpty());
}

// ------------------------------------------------------------------ 4.2

TEST_F(CallRules, WhoGaveUpBeforeItBeganIsNotServed) {
  Call("slow", absl::Seconds(5));
  Settle();
  notes.begun.clear();
  Call("slow", absl::Seconds(5));
  bool answered = false;
  const Ref second =
      a->runtime.Call(b->Export(server), Text("second"), time.Now() + absl::Seconds(5),
                      [&](absl::StatusOr<Payload>, Pid) { answered = true; });
  Call("third", absl::Seconds(5));
  time.RunFor(absl::Milliseconds(50));
  EXPECT_TRUE(a->runtime.CancelCall(second));
  EXPECT_FALSE(a->runtime.CancelCall(second)) << "once";
  time.RunFor(absl::Seconds(1));
  EXPECT_THAT(notes.begun, ElementsAre("slow", "third"));
  EXPECT_FALSE(answered);
}

TEST_F(CallRules, WhatHasBegunGoesOn) {
  const Ref slow = Call("slow", absl::Seconds(5));
  time.RunFor(absl::Milliseconds(50));
  ASSERT_TRUE(a->runtime.CancelCall(slow));
  Call("next", absl::Seconds(5));
  time.RunFor(absl::Seconds(1));
  EXPECT_THAT(notes.begun, ElementsAre("slow", "next"));
  EXPECT_EQ(a->runtime.counters().late_replies.load(), 1u);
}

TEST_F(CallRules, AProcessThatGaveUpIsNotServedEither) {
  Call("x", absl::Seconds(5));
  Settle();
  notes.begun.clear();
  way = absl::Milliseconds(30);
  network.set_latency([this](const std::string&, const std::string&) { return way; });
  Call("slow", absl::Seconds(5));
  Run(*a, caller, [to = b->Export(server)](Self& self) -> Task<void> {
    EXPECT_EQ(ErrorReason((co_await self.Call(to, Text("y"), absl::Milliseconds(110))).status()),
              "CALL_TIMEOUT");
  });
  // The callee's time counts from the arrival, and is not over yet when its turn comes.
  time.RunFor(absl::Milliseconds(50));
  way = absl::Milliseconds(1);
  time.RunFor(absl::Seconds(1));
  EXPECT_THAT(notes.begun, ElementsAre("slow"));
}

TEST_F(CallRules, TheHandlerSeesTheTimeThatIsLeft) {
  std::vector<std::string> left;
  const auto ask = [&](TestNode& node, Pid to) {
    auto who = Spawn(node);
    for (absl::Duration timeout : {absl::Seconds(3), absl::InfiniteDuration()}) {
      Run(node, who, [&left, to, timeout](Self& self) -> Task<void> {
        absl::StatusOr<Payload> r = co_await self.Call(to, Text("left"), timeout);
        left.push_back(r.ok() ? r->bytes() : r.status().ToString());
      });
      time.RunFor(absl::Seconds(5));
    }
  };
  ask(*b, server);
  EXPECT_THAT(left, ElementsAre("3000", "for ever"));
  left.clear();
  // Less a dial's time by now, of which the callee knows by the frame alone.
  ask(*a, b->Export(server));
  ASSERT_EQ(left.size(), 2u);
  EXPECT_LT(std::stoi(left[0]), 3000);
  EXPECT_GT(std::stoi(left[0]), 2900);
  EXPECT_EQ(left[1], "for ever");
}

TEST_F(CallRules, CallsWithinACallGetItsTime) {
  auto other = Spawn(*a);
  notes.other = a->Export(other->pid);
  Call("nested", absl::Milliseconds(150));
  time.RunFor(absl::Milliseconds(170));
  EXPECT_EQ(ErrorReason(notes.nested), "CALL_TIMEOUT");
  EXPECT_THAT(other->lines, ElementsAre("call mute"));
  // Nothing is sent when none is left.
  Call("nested", absl::Milliseconds(90));
  time.RunFor(absl::Seconds(1));
  EXPECT_EQ(ErrorReason(notes.nested), "CALL_EXPIRED");
  EXPECT_EQ(OutcomeOf(notes.nested), kNotExecuted);
  EXPECT_THAT(other->lines, ElementsAre("call mute"));
}

class CallsInParts : public CallRules {
 protected:
  void SetUp() override {
    options.receive_window = options.fragment_bytes;
    CallRules::SetUp();
  }
};

TEST_F(CallsInParts, TheTimeThatTheyTookIsTakenOff) {
  absl::Duration left;
  const Pid to = *b->runtime.Spawn([&left](Self& self) -> Task<ExitReason> {
    const Message m = *(co_await self.Receive());
    left = m.deadline() - self.Now();
    self.Answer(m.call_from(), Text("done"));
    co_return ExitReason::Normal();
  });
  Call("x", absl::Seconds(5));
  Settle();
  // Two parts a batch, and no credit for the next one before a second has passed.
  network.set_latency([](const std::string& from, const std::string&) {
    return from == "b:1" ? absl::Seconds(1) : absl::Milliseconds(1);
  });
  a->runtime.Call(b->Export(to), Text(std::string(5 * options.fragment_bytes, 'x')),
                  time.Now() + absl::Seconds(20), [](absl::StatusOr<Payload>, Pid) {});
  time.RunFor(absl::Seconds(10));
  EXPECT_GT(left, absl::Seconds(16));
  EXPECT_LE(left, absl::Seconds(18));
}

// ------------------------------------------------------------------ 4.3

TEST_F(CallRules, WhatWaitedForASessionThatNeverCameDidNotRun) {
  network.Block("a:1", "b:1");
  Call("x", absl::Minutes(1), true);
  time.RunFor(absl::Minutes(1));
  EXPECT_EQ(ErrorReason(got), "NOT_DELIVERED");
  EXPECT_EQ(OutcomeOf(got), kNotExecuted);
  network.Heal("a:1", "b:1");
  time.RunFor(absl::Minutes(1));
  EXPECT_THAT(notes.begun, IsEmpty());
}

TEST_F(CallRules, WhatWasHandedOverMayHaveRun) {
  Call("slow", absl::Minutes(1), true);
  time.RunFor(absl::Milliseconds(50));
  network.Break("a:1", "b:1");
  time.RunFor(absl::Milliseconds(10));
  EXPECT_EQ(ErrorReason(got), "NOCONNECTION");
  EXPECT_EQ(OutcomeOf(got), kOutcomeUnknown);
  EXPECT_EQ(GetErrorInfo(got)->retry_after_ms, 0);
  time.RunFor(absl::Seconds(1));
  EXPECT_EQ(a->runtime.counters().late_replies.load(), 1u) << "over the next session";
}

TEST_F(CallRules, ANodeThatStopsDoesNotAskForTriesOfWhatMayHaveRun) {
  Call("slow", absl::Minutes(1), true);
  time.RunFor(absl::Milliseconds(50));
  a->runtime.Shutdown();
  EXPECT_EQ(ErrorReason(got), "NODE_STOPPING");
  EXPECT_EQ(OutcomeOf(got), kOutcomeUnknown);
  EXPECT_EQ(GetErrorInfo(got)->retry_after_ms, 0);
}

}  // namespace
}  // namespace banyan::testing
