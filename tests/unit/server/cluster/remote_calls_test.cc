// SIG-150 to SIG-161: what OTP's erpc promises, shown with calls to processes of another node.
#include <stdexcept>
#include <tuple>

#include <gmock/gmock.h>

#include "common/base/error.h"
#include "server/behaviours/multi_call.h"
#include "server/behaviours/requests.h"
#include "two_nodes.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RemoteCalls : public TwoNodes {
 protected:
  void SetUp() override {
    TwoNodes::SetUp();
    caller_ = Spawn(*a);
  }
  // A process of `b` that handles one call with `handle`.
  std::shared_ptr<Log> Server(std::function<Task<void>(Self&, CallFrom)> handle) {
    auto server = Spawn(*b);
    Run(*b, server, [handle = std::move(handle)](Self& self) -> Task<void> {
      auto m = co_await self.ReceiveIf([](const Message& x) { return x.is_call(); });
      co_await handle(self, m->call_from());
    });
    return server;
  }
  // One that answers after 100 ms and counts that it did.
  std::shared_ptr<Log> SlowServer() {
    return Server([this](Self& self, CallFrom from) -> Task<void> {
      co_await self.Sleep(absl::Milliseconds(100));
      ++completed_;
      self.Answer(from, Text("slow"));
    });
  }
  absl::StatusOr<Payload> Call(const std::shared_ptr<Log>& server,
                               absl::Duration timeout = absl::InfiniteDuration()) {
    absl::StatusOr<Payload> reply = absl::UnknownError("no answer");
    Run(*a, caller_, [&, timeout, pid = b->Export(server->pid)](Self& self) -> Task<void> {
      reply = co_await self.Call(pid, Text("?"), timeout);
    });
    time.RunFor(absl::Seconds(1));
    return reply;
  }
  static ExitReason ExitOf(const absl::Status& status) {
    auto info = GetErrorInfo(status);
    return info && info->exit_reason ? *info->exit_reason : ExitReason();
  }

  std::shared_ptr<Log> caller_;
  int completed_ = 0;
};

TEST_F(RemoteCalls, SIG150TheSixOutcomesStayDistinct) {
  auto reply = Call(Server([](Self& self, CallFrom from) -> Task<void> {
    self.Answer(from, Text("42"));
    co_return;
  }));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->bytes(), "42");

  absl::Status error = Call(Server([](Self& self, CallFrom from) -> Task<void> {
                         self.AnswerError(from, absl::NotFoundError("t"));
                         co_return;
                       })).status();
  EXPECT_EQ(error.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(error.message(), "t");
  EXPECT_NE(ErrorReason(error), "CALLEE_EXITED");

  absl::Status crash = Call(Server([](Self&, CallFrom) -> Task<void> {
                         throw std::out_of_range("boom");
                         co_return;
                       })).status();
  EXPECT_EQ(ErrorReason(crash), "CALLEE_EXITED");
  EXPECT_EQ(ExitOf(crash).type(), "std::out_of_range");

  for (const ExitReason& own :
       {ExitReason::Error("x"), ExitReason::Kill(), ExitReason::Shutdown(), ExitReason::Normal()}) {
    absl::Status exit = Call(Server([own](Self& self, CallFrom) -> Task<void> {
                          co_await self.ExitSelf(ExitReason(own));
                        })).status();
    EXPECT_EQ(ErrorReason(exit), "CALLEE_EXITED");
    EXPECT_EQ(ExitOf(exit), own);
  }
  // By a signal, its own too.
  for (const ExitReason& sent : {ExitReason::Kill(), ExitReason::Error("foo")}) {
    absl::Status signal = Call(Server([sent](Self& self, CallFrom) -> Task<void> {
                            self.Exit(self.pid(), ExitReason(sent));
                            co_await self.Sleep(absl::Seconds(1));
                          })).status();
    EXPECT_EQ(ErrorReason(signal), "CALLEE_EXITED");
    EXPECT_EQ(ExitOf(signal), sent == ExitReason::Kill() ? ExitReason::Killed() : sent);
  }
}

TEST_F(RemoteCalls, ACallThatItNeverLookedAtHasNotRun) {
  auto server = Server([](Self& self, CallFrom) -> Task<void> {
    co_await self.Sleep(absl::Milliseconds(100));
    co_await self.ExitSelf(ExitReason::Shutdown());
  });
  std::vector<std::string> outcomes;
  for (const auto& caller : {caller_, Spawn(*a)}) {
    Run(*a, caller, [&, pid = b->Export(server->pid)](Self& self) -> Task<void> {
      auto reply = co_await self.Call(pid, Text("?"), absl::InfiniteDuration());
      EXPECT_EQ(ErrorReason(reply.status()), "CALLEE_EXITED");
      EXPECT_EQ(ExitOf(reply.status()), ExitReason::Shutdown());
      outcomes.push_back(GetErrorInfo(reply.status())->metadata["outcome"]);
    });
  }
  time.RunFor(absl::Seconds(1));
  // The first one was being handled. Whoever asks for a name may ask its next holder for the other.
  EXPECT_THAT(outcomes, ::testing::UnorderedElementsAre(kOutcomeUnknown, kNotExecuted));
}

TEST_F(RemoteCalls, WhatAServerPassesOnIsItsAnswer) {
  auto gone = Spawn(*b);
  b->runtime.Send(gone->pid, Text("return"));
  Settle();
  const absl::Status passed =
      Call(Server([pid = gone->pid](Self& self, CallFrom from) -> Task<void> {
        self.AnswerError(from, (co_await self.Call(pid, {})).status());
      })).status();
  EXPECT_EQ(ErrorReason(passed), "NOPROC");
  EXPECT_TRUE(IsAnswered(passed));
  EXPECT_FALSE(GetErrorInfo(passed)->metadata.contains("outcome")) << "it ran";

  const absl::Status refused = Call(Server([](Self& self, CallFrom from) -> Task<void> {
                                 self.Refuse(from, MakeError("MAILBOX_FULL", "x"));
                                 co_return;
                               })).status();
  EXPECT_FALSE(IsAnswered(refused));
  EXPECT_EQ(GetErrorInfo(refused)->metadata["outcome"], kNotExecuted);
  EXPECT_FALSE(IsAnswered(Call(gone).status()));
}

TEST_F(RemoteCalls, SIG151NobodyIsThere) {
  auto server = Spawn(*b);
  b->runtime.Send(server->pid, Text("return"));
  Settle();
  EXPECT_EQ(ErrorReason(Call(server).status()), "NOPROC");
}

TEST_F(RemoteCalls, SIG152ALateResultIsNotSeen) {
  absl::Status status = Call(SlowServer(), absl::Milliseconds(20)).status();
  EXPECT_EQ(ErrorReason(status), "CALL_TIMEOUT");
  EXPECT_EQ(completed_, 1) << "the request runs on";
  EXPECT_THAT(caller_->lines, IsEmpty());
  EXPECT_EQ(a->runtime.counters().late_replies.load(), 1u);
}

TEST_F(RemoteCalls, SIG153TimeoutsOfZeroAndLess) {
  for (absl::Duration timeout : {absl::ZeroDuration(), absl::Milliseconds(-1)}) {
    EXPECT_EQ(ErrorReason(Call(SlowServer(), timeout).status()), "CALL_TIMEOUT");
  }
  EXPECT_EQ(completed_, 2) << "the request was sent all the same";
  EXPECT_THAT(caller_->lines, IsEmpty());
}

TEST_F(RemoteCalls, SIG154OneUnreachableNodeOfMany) {
  auto here = Spawn(*a), there = Spawn(*b);
  const Pid x{77, 1, 5}, remote = b->Export(there->pid), local = here->pid;
  MultiCallResult result;
  Run(*a, caller_, [&](Self& self) -> Task<void> {
    result = co_await MultiCall(self, {remote, x, local, remote}, Text("n"), absl::Seconds(30));
  });
  time.RunFor(absl::Minutes(1));
  std::vector<Pid> replied;
  for (const auto& [who, reply] : result.replies) {
    replied.push_back(std::get<Pid>(who));
    EXPECT_EQ(reply.bytes(), "re:n");
  }
  EXPECT_THAT(replied, ElementsAre(remote, local, remote));
  ASSERT_EQ(result.bad.size(), 1u);
  EXPECT_EQ(std::get<Pid>(result.bad[0].first), x);
  EXPECT_EQ(ErrorReason(result.bad[0].second), "NOT_DELIVERED");
}

TEST_F(RemoteCalls, SIG155OneFailsOrIsLateAndTheOthersAreKept) {
  auto here = Spawn(*a);
  for (bool late : {false, true}) {
    auto there = late ? SlowServer() : Server([](Self& self, CallFrom from) -> Task<void> {
      self.AnswerError(from, absl::NotFoundError("t"));
      co_return;
    });
    MultiCallResult result;
    Run(*a, caller_, [&](Self& self) -> Task<void> {
      result = co_await MultiCall(self, {b->Export(there->pid), here->pid}, Text("n"),
                                  absl::Milliseconds(50));
    });
    time.RunFor(absl::Seconds(1));
    ASSERT_EQ(result.replies.size(), 1u);
    EXPECT_EQ(std::get<Pid>(result.replies[0].first), here->pid);
    ASSERT_EQ(result.bad.size(), 1u);
    EXPECT_EQ(result.bad[0].second.code(),
              late ? absl::StatusCode::kDeadlineExceeded : absl::StatusCode::kNotFound);
  }
  EXPECT_THAT(caller_->lines, IsEmpty());
}

TEST_F(RemoteCalls, SIG158CastsAreSilent) {
  auto there = Spawn(*b);
  Run(*a, caller_, [pid = b->Export(there->pid)](Self& self) -> Task<void> {
    self.Cast(pid, Text("c"));
    self.Cast(Pid{77, 1, 5}, Text("c"));
    co_return;
  });
  time.RunFor(absl::Minutes(1));
  EXPECT_THAT(there->lines, ElementsAre("cast c"));
  EXPECT_FALSE(caller_->ended);
  EXPECT_THAT(caller_->lines, IsEmpty());
}

TEST_F(RemoteCalls, SIG159TheCallersDeathDoesNotStopTheRequest) {
  auto server = SlowServer();
  Run(*a, caller_, [pid = b->Export(server->pid)](Self& self) -> Task<void> {
    std::ignore = co_await self.Call(pid, Text("?"), absl::InfiniteDuration());
  });
  time.RunFor(absl::Milliseconds(50));
  a->runtime.Exit(caller_->pid, ExitReason::Kill());
  time.RunFor(absl::Seconds(1));
  EXPECT_TRUE(caller_->ended);
  EXPECT_EQ(completed_, 1);
  EXPECT_FALSE(server->ended);
}

TEST_F(RemoteCalls, SIG160ALostConnectionDoesNotStopTheRequest) {
  auto server = SlowServer();
  absl::Status status;
  Run(*a, caller_, [&, pid = b->Export(server->pid)](Self& self) -> Task<void> {
    status = (co_await self.Call(pid, Text("?"), absl::InfiniteDuration())).status();
  });
  time.RunFor(absl::Milliseconds(50));
  network.Break("a:1", "b:1");
  time.RunFor(absl::Milliseconds(10));
  EXPECT_EQ(ErrorReason(status), "NOCONNECTION");
  EXPECT_EQ(completed_, 0);
  time.RunFor(absl::Seconds(1));
  EXPECT_EQ(completed_, 1);
  EXPECT_THAT(caller_->lines, IsEmpty());
}

TEST_F(RemoteCalls, SIG161WaitingAgainForARequest) {
  auto server = SlowServer();
  bool early = true;
  std::string got;
  Run(*a, caller_, [&, pid = b->Export(server->pid)](Self& self) -> Task<void> {
    RequestId id = SendRequest(self, pid, Text("?"));
    early = (co_await WaitResponse(self, id, self.Now() + absl::Milliseconds(10))).has_value();
    auto response = co_await WaitResponse(self, id, self.Now() + absl::Milliseconds(500));
    got = response && response->ok() ? (*response)->bytes() : "none";
  });
  time.RunFor(absl::Seconds(2));
  EXPECT_FALSE(early);
  EXPECT_EQ(got, "slow");
}

}  // namespace
}  // namespace banyan::testing
