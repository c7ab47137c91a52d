#include "server/node/routed_calls.h"

#include <deque>

#include <gmock/gmock.h>

#include "common/base/error.h"
#include "tests/unit/server/cluster/two_nodes.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Calls from node a to processes of node b, which `routes` leads to one after the other; the last
// one stays.
class RoutedCallsTest : public TwoNodes {
 protected:
  void SetUp() override {
    TwoNodes::SetUp();
    calls = std::make_unique<RoutedCalls>(RoutedCalls::Deps{&a->runtime, &time, &time, &a->random});
  }
  void TearDown() override {
    a->runtime.Shutdown();
    calls.reset();
    TwoNodes::TearDown();
  }
  std::weak_ptr<RoutedCalls::Call> Call(const std::string& what, bool idempotent = false,
                                        absl::Duration patience = absl::Seconds(5)) {
    RoutedCalls::Request request;
    request.payload = Text(what);
    request.deadline = time.Now() + patience;
    request.idempotent = idempotent;
    request.find = [this](RoutedCalls::Found found) {
      ++finds;
      found(RoutedCalls::Route{routes.front(), version});
      if (routes.size() > 1) routes.pop_front();
    };
    request.forget = [this] { ++forgotten; };
    request.done = [this](absl::StatusOr<Payload> r, Pid) {
      ++answers;
      status = r.status();
      answer = r.ok() ? r->bytes() : "";
    };
    return calls->Start(std::move(request), {});
  }
  Pid Dead() {
    auto process = Spawn(*b);
    b->runtime.Exit(process->pid, ExitReason::Kill());
    Settle();
    return b->Export(process->pid);
  }
  // Notes the callers of what it gets, and answers nobody.
  Pid Silent() {
    return b->Export(*b->runtime.Spawn([this](Self& self) -> Task<ExitReason> {
      for (;;) {
        Message m = *(co_await self.Receive());
        if (m.is_call()) got.push_back(m.call_from());
        if (const Script* script = m.payload().As<Script>()) co_await (*script)(self);
      }
    }));
  }
  std::string outcome() const {
    return GetErrorInfo(status).value_or(ErrorInfo()).metadata["outcome"];
  }

  std::unique_ptr<RoutedCalls> calls;
  std::deque<Pid> routes;
  uint64_t version = 0;
  int finds = 0, forgotten = 0, answers = 0;
  std::vector<CallFrom> got;
  absl::Status status = absl::UnknownError("none");
  std::string answer;
};

TEST_F(RoutedCallsTest, WhatDidNotRunGoesToTheNextHolder) {
  auto next = Spawn(*b);
  routes = {Dead(), Dead(), b->Export(next->pid)};
  Call("x");
  time.RunFor(absl::Seconds(1));
  EXPECT_EQ(answer, "re:x");
  EXPECT_EQ(finds, 3);
  EXPECT_EQ(forgotten, 2);
  EXPECT_THAT(next->lines, ElementsAre("call x"));
}

TEST_F(RoutedCallsTest, ThreeTimesAtMost) {
  routes = {Dead()};
  Call("x");
  time.RunFor(absl::Minutes(1));
  EXPECT_EQ(ErrorReason(status), "NOPROC");
  EXPECT_EQ(outcome(), kNotExecuted);
  EXPECT_EQ(finds, 1 + 3);
  EXPECT_EQ(answers, 1);
}

TEST_F(RoutedCallsTest, InTheTimeThatIsLeft) {
  routes = {Dead()};
  Call("x", false, absl::Milliseconds(60));
  time.RunFor(absl::Milliseconds(60));
  EXPECT_EQ(ErrorReason(status), "NOPROC");
  EXPECT_EQ(finds, 2);
}

TEST_F(RoutedCallsTest, WhatMayHaveRunIsNotSentAgain) {
  routes = {Silent()};
  Call("x");
  Settle();
  Cut();
  time.RunFor(absl::Minutes(1));
  EXPECT_EQ(ErrorReason(status), "NOCONNECTION");
  EXPECT_EQ(outcome(), kOutcomeUnknown);
  EXPECT_EQ(finds, 1);
  EXPECT_EQ(got.size(), 1u);
}

// It may have done its own work before.
TEST_F(RoutedCallsTest, WhatACalleeSaysOfACallOfItsOwnIsItsAnswer) {
  for (const char* reason : {"NOPROC", "NOCONNECTION"}) {
    int runs = 0;
    const Pid to = *b->runtime.Spawn([&runs, reason](Self& self) -> Task<ExitReason> {
      for (;;) {
        Message m = *(co_await self.Receive());
        ++runs;
        self.AnswerError(m.call_from(), MakeError(reason, "of somebody further on"));
      }
    });
    routes = {b->Export(to)};
    Call("x", /*idempotent=*/true);
    time.RunFor(absl::Minutes(1));
    EXPECT_EQ(ErrorReason(status), reason);
    EXPECT_EQ(runs, 1);
    b->runtime.Exit(to, ExitReason::Kill());
    Settle();
  }
}

TEST_F(RoutedCallsTest, WhoHasTheNameNoMoreIsPassedOver) {
  auto former = Spawn(*b), present = Spawn(*b);
  version = 7;
  b->held.insert({present->pid, 7});
  routes = {b->Export(former->pid), b->Export(present->pid)};
  Call("x");
  time.RunFor(absl::Seconds(1));
  EXPECT_EQ(answer, "re:x");
  EXPECT_THAT(former->lines, IsEmpty());
  EXPECT_THAT(present->lines, ElementsAre("call x"));
}

TEST_F(RoutedCallsTest, AnIdempotentOneIsSentAgainAsTheSameCall) {
  routes = {Silent()};
  Call("x", true);
  Settle();
  Cut();
  time.RunFor(absl::Seconds(1));
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].ref, got[1].ref);
  EXPECT_EQ(got[0].caller, got[1].caller);
  EXPECT_LT(got[1].deadline, time.Now() + absl::Seconds(4)) << "the time does not begin anew";
  // An answer to its first send is the answer.
  b->runtime.Send(Pid{0, 0, routes.front().id},
                  Payload::Local<Script>([from = got[0]](Self& self) -> Task<void> {
                    self.Answer(from, Text("first"));
                    self.Answer(from, Text("again"));
                    co_return;
                  }));
  Settle();
  EXPECT_EQ(answer, "first");
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(a->runtime.counters().late_replies.load(), 1u);
}

TEST_F(RoutedCallsTest, AnIdempotentOneByPidToo) {
  const Pid to = Silent();
  RoutedCalls::Request request;
  request.payload = Text("x");
  request.deadline = time.Now() + absl::Seconds(5);
  request.idempotent = true;
  request.done = [this](absl::StatusOr<Payload> r, Pid) { status = r.status(); };
  calls->Start(std::move(request), {to});
  Settle();
  Cut();
  time.RunFor(absl::Seconds(1));
  EXPECT_EQ(got.size(), 2u);
}

TEST_F(RoutedCallsTest, PausesGrowAndTheDeadlineEndsThem) {
  routes = {Silent()};
  Call("x", true, absl::Seconds(10));
  Settle();
  for (int i = 0; i < 1000 && answers == 0; ++i) {
    network.Break("a:1", "b:1");
    time.RunFor(absl::Milliseconds(20));
  }
  EXPECT_EQ(outcome(), kOutcomeUnknown);
  EXPECT_EQ(answers, 1);
  // 50, 100, .. 800, then 1000 ms each, or down to half of that.
  EXPECT_GE(finds, 10);
  EXPECT_LE(finds, 22);
}

TEST_F(RoutedCallsTest, ThatItDidNotRunTheLastTimeDoesNotMeanThatItNeverDid) {
  const Pid first = Silent();
  routes = {first, Dead()};
  Call("x", true);
  Settle();
  Cut();
  time.RunFor(absl::Minutes(1));
  EXPECT_EQ(ErrorReason(status), "NOPROC");
  EXPECT_EQ(outcome(), kOutcomeUnknown);
  EXPECT_EQ(got.size(), 1u);
}

TEST_F(RoutedCallsTest, ACrashIsNotRepeated) {
  for (bool crash : {true, false}) {
    int runs = 0;
    routes.clear();
    for (int i = 0; i < 2; ++i) {
      routes.push_back(b->Export(*b->runtime.Spawn([&runs, crash](Self& self) -> Task<ExitReason> {
        Message m = *(co_await self.Receive());
        ++runs;
        co_return crash ? ExitReason::Error("boom") : ExitReason::Shutdown();
      })));
    }
    Call("x", true);
    time.RunFor(absl::Seconds(1));
    EXPECT_EQ(ErrorReason(status), crash ? "CALLEE_EXITED" : "NOPROC");
    EXPECT_EQ(outcome(), kOutcomeUnknown);
    EXPECT_EQ(runs, crash ? 1 : 2);
    time.RunFor(absl::Minutes(1));
  }
}

TEST_F(RoutedCallsTest, OnlySoManyAreSentAgain) {
  routes = {Silent()};
  for (int i = 0; i < 40; ++i) Call("x", true);
  Settle();
  Cut();
  // With the first that was saved up: 10 + 40 / 10.
  time.RunFor(absl::Seconds(4));
  EXPECT_EQ(got.size(), 40u + 14u);
  EXPECT_EQ(answers, 40 - 14);
}

TEST_F(RoutedCallsTest, OneThatIsGivenUpIsNotTriedAgain) {
  routes = {Dead()};
  std::weak_ptr<RoutedCalls::Call> call = Call("x");
  time.RunFor(absl::Milliseconds(10));
  RoutedCalls::Cancel(call);
  time.RunFor(absl::Minutes(1));
  EXPECT_EQ(finds, 1);
  EXPECT_EQ(answers, 0);
  EXPECT_TRUE(call.expired());
  // On its way.
  routes = {Silent()};
  call = Call("x", true);
  Settle();
  RoutedCalls::Cancel(call);
  Cut();
  time.RunFor(absl::Minutes(1));
  EXPECT_EQ(got.size(), 1u);
  EXPECT_EQ(answers, 0);
  EXPECT_TRUE(call.expired());
}

}  // namespace
}  // namespace banyan::testing
