#include <gmock/gmock.h>

#include "common/base/error.h"
#include "two_nodes.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;

class RemoteMessages : public TwoNodes {};

TEST_F(RemoteMessages, MessagesAndCastsArrive) {
  auto to = Spawn(*b);
  a->runtime.Send(b->Export(to->pid), Text("1"));
  a->runtime.Cast(b->Export(to->pid), Text("2"));
  Settle();
  EXPECT_THAT(to->lines, ElementsAre("msg 1", "cast 2"));
}

TEST_F(RemoteMessages, CallFromOutsideIsAnswered) {
  auto to = Spawn(*b);
  absl::StatusOr<Payload> reply = absl::UnknownError("none");
  a->runtime.Call(b->Export(to->pid), Text("x"), time.Now() + absl::Seconds(5),
                  [&](absl::StatusOr<Payload> r, Pid) { reply = std::move(r); });
  Settle();
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->bytes(), "re:x");
}

TEST_F(RemoteMessages, CallBetweenProcessesIsAnswered) {
  auto to = Spawn(*b);
  auto from = Spawn(*a);
  std::string got;
  Run(*a, from, [&, pid = b->Export(to->pid)](Self& self) -> Task<void> {
    absl::StatusOr<Payload> r = co_await self.Call(pid, Text("x"));
    got = r.ok() ? r->bytes() : r.status().ToString();
  });
  Settle();
  EXPECT_EQ(got, "re:x");
}

TEST_F(RemoteMessages, AnActorsErrorComesAsItAnsweredIt) {
  auto to = Spawn(*b);
  absl::Status got;
  a->runtime.Call(b->Export(to->pid), Text("error"), time.Now() + absl::Seconds(5),
                  [&](absl::StatusOr<Payload> r, Pid) { got = r.status(); });
  Settle();
  EXPECT_EQ(got.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(got.message(), "mine");
  EXPECT_EQ(ErrorReason(got), "");
}

TEST_F(RemoteMessages, CallTimesOutAndTheLateReplyIsDropped) {
  auto to = Spawn(*b);
  auto from = Spawn(*a);
  absl::Status got;
  Run(*a, from, [&, pid = b->Export(to->pid)](Self& self) -> Task<void> {
    got = (co_await self.Call(pid, Text("mute"), absl::Milliseconds(50))).status();
  });
  Settle();
  EXPECT_EQ(ErrorReason(got), "CALL_TIMEOUT");
}

TEST_F(RemoteMessages, SIG114CallToADeadProcessIsNoproc) {
  auto to = Spawn(*b);
  b->runtime.Exit(to->pid, ExitReason::Kill());
  absl::Status got;
  Settle();
  a->runtime.Call(b->Export(to->pid), Text("x"), time.Now() + absl::Seconds(5),
                  [&](absl::StatusOr<Payload> r, Pid) { got = r.status(); });
  Settle();
  EXPECT_EQ(ErrorReason(got), "NOPROC");
}

TEST_F(RemoteMessages, SIG117LargeMessagesKeepTheOrder) {
  auto to = Spawn(*b, true);
  auto from = Spawn(*a);
  Run(*a, from, [pid = b->Export(to->pid)](Self& self) -> Task<void> {
    self.Link(pid);
    for (int i = 1; i <= 2000; ++i) self.Send(pid, Text(std::to_string(i)));
    self.Send(pid, Text(std::string(500'000, 'x')));
    self.Send(pid, Text("2001"));
    co_await self.ExitSelf(ExitReason::Error("fin"));
  });
  Settle();
  ASSERT_EQ(to->lines.size(), 2003u);
  for (int i = 1; i <= 2000; ++i)
    ASSERT_EQ(to->lines[static_cast<size_t>(i) - 1], "msg " + std::to_string(i));
  EXPECT_EQ(to->lines[2000].size(), 500'004u);
  EXPECT_EQ(to->lines[2001], "msg 2001");
  EXPECT_EQ(to->lines[2002], "EXIT error fin");
}

TEST_F(RemoteMessages, OtherPairsPassALargeMessage) {
  auto big = Spawn(*b);
  auto small = Spawn(*b);
  auto from = Spawn(*a);
  // One batch is in flight at a time only while the transport has not taken it; the outbox decides
  // what goes first.
  Run(*a, from,
      [big = b->Export(big->pid), small = b->Export(small->pid)](Self& self) -> Task<void> {
        self.Send(big, Text(std::string(8'000'000, 'x')));
        self.Send(small, Text("quick"));
        co_return;
      });
  Settle();
  EXPECT_EQ(big->lines.size(), 1u);
  EXPECT_EQ(small->lines.size(), 1u);
}

TEST_F(RemoteMessages, TooLargeIsRefusedAtTheSender) {
  auto to = Spawn(*b);
  absl::Status got;
  a->runtime.Call(b->Export(to->pid), Text(std::string(17 << 20, 'x')),
                  time.Now() + absl::Seconds(5),
                  [&](absl::StatusOr<Payload> r, Pid) { got = r.status(); });
  a->runtime.Send(b->Export(to->pid), Text("after"));
  Settle();
  EXPECT_EQ(ErrorReason(got), "PAYLOAD_TOO_LARGE");
  EXPECT_THAT(to->lines, ElementsAre("msg after"));
}

TEST_F(RemoteMessages, HeadersCountToo) {
  auto to = Spawn(*b);
  absl::Status got;
  std::map<std::string, std::string> headers{{"k", std::string(17 << 20, 'x')}};
  a->runtime.Call(b->Export(to->pid), Payload::Any("type.googleapis.com/test.Text", "x", headers),
                  time.Now() + absl::Seconds(5),
                  [&](absl::StatusOr<Payload> r, Pid) { got = r.status(); });
  a->runtime.Send(b->Export(to->pid), Text("after"));
  Settle();
  EXPECT_EQ(ErrorReason(got), "PAYLOAD_TOO_LARGE");
  EXPECT_THAT(to->lines, ElementsAre("msg after"));
  EXPECT_EQ(b->router->stats().protocol_errors, 0u);
}

// One process that does not read costs its node so much, and no more.
TEST_F(RemoteMessages, AMailboxHoldsSoManyBytesOfOtherNodes) {
  const Pid sleeper = *b->runtime.Spawn([](Self& self) -> Task<ExitReason> {
    co_await self.Sleep(absl::Minutes(1));
    while (co_await self.Receive(Instant())) continue;
    co_await self.Sleep(absl::Minutes(1));
    co_return ExitReason::Normal();
  });
  for (int i = 0; i < 5; ++i) {
    a->runtime.Send(b->Export(sleeper), Text(std::string(10 << 20, 'x')));
    time.RunFor(absl::Seconds(1));
  }
  EXPECT_LE(b->runtime.inbound_bytes(), 32 << 20);
  EXPECT_EQ(b->runtime.counters().mailbox_full.load(), 2u);
  absl::Status got;
  a->runtime.Call(b->Export(sleeper), Text(std::string(10 << 20, 'x')),
                  time.Now() + absl::Seconds(5),
                  [&](absl::StatusOr<Payload> r, Pid) { got = r.status(); });
  time.RunFor(absl::Seconds(1));
  EXPECT_EQ(ErrorReason(got), "MAILBOX_FULL");
  time.RunFor(absl::Minutes(1));
  EXPECT_EQ(b->runtime.inbound_bytes(), 0);
}

// INV-21: such a request has run.
TEST_F(RemoteMessages, AnAnswerThatCannotTravelIsAnErrorOfUnknownOutcome) {
  const std::vector<std::pair<Payload, std::string>> cases = {
      {Text(std::string(17 << 20, 'x')), "PAYLOAD_TOO_LARGE"},
      {Payload::Local(7), "PAYLOAD_INVALID"}};
  for (const auto& [answer, reason] : cases) {
    const Pid server = *b->runtime.Spawn([answer](Self& self) -> Task<ExitReason> {
      const Message m = *(co_await self.Receive());
      self.Answer(m.call_from(), answer);
      co_return ExitReason::Normal();
    });
    absl::Status got;
    a->runtime.Call(b->Export(server), Text("x"), time.Now() + absl::Seconds(5),
                    [&](absl::StatusOr<Payload> r, Pid) { got = r.status(); });
    Settle();
    EXPECT_EQ(ErrorReason(got), reason);
    ASSERT_TRUE(GetErrorInfo(got).has_value());
    EXPECT_EQ(GetErrorInfo(got)->metadata["outcome"], kOutcomeUnknown);
  }
}

TEST_F(RemoteMessages, LocalValuesCannotLeave) {
  auto to = Spawn(*b);
  absl::Status got;
  a->runtime.Call(b->Export(to->pid), Payload::Local(7), time.Now() + absl::Seconds(5),
                  [&](absl::StatusOr<Payload> r, Pid) { got = r.status(); });
  Settle();
  EXPECT_EQ(ErrorReason(got), "PAYLOAD_INVALID");
}

TEST_F(RemoteMessages, APidOfItsOwnComesHome) {
  auto to = Spawn(*a);
  a->runtime.Send(a->Export(to->pid), Text("x"));
  Settle();
  EXPECT_THAT(to->lines, ElementsAre("msg x"));
}

TEST_F(RemoteMessages, SIG116APidOfItsOwnFormerLifeIsNobody) {
  auto to = Spawn(*a);
  auto watcher = Spawn(*a);
  Pid stale = a->Export(to->pid);
  stale.incarnation = 0xFFFF;
  Run(*a, watcher, [stale](Self& self) -> Task<void> {
    self.Monitor(stale);
    self.Send(stale, Text("x"));
    co_return;
  });
  Settle();
  EXPECT_THAT(watcher->lines, ElementsAre("DOWN noproc"));
  EXPECT_TRUE(to->lines.empty());
}

TEST_F(RemoteMessages, UnknownNodeIsNotDelivered) {
  absl::Status got;
  a->runtime.Call(Pid{77, 1, 5}, Text("x"), time.Now() + absl::Seconds(60),
                  [&](absl::StatusOr<Payload> r, Pid) { got = r.status(); });
  time.RunFor(absl::Seconds(1));
  EXPECT_TRUE(got.ok());  // the view may be about to tell
  time.RunFor(absl::Seconds(2));
  EXPECT_EQ(ErrorReason(got), "NOT_DELIVERED");
}

TEST_F(RemoteMessages, ANodeThatTheViewTellsOfInTimeIsReached) {
  auto c = MakeNode("c:1", {3, 1});
  c->router->SetPeer(a->id, a->address);
  auto to = Spawn(*c);
  a->runtime.Send(c->Export(to->pid), Text("x"));
  time.RunFor(absl::Seconds(1));
  a->router->SetPeer(c->id, c->address);
  Settle();
  EXPECT_THAT(to->lines, ElementsAre("msg x"));
}

}  // namespace
}  // namespace banyan::testing
