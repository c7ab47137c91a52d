// What a node does not read in time stays at its peers, which hold their senders (cluster.md 3.6).
#include <algorithm>

#include "fmt/format.h"
#include <gmock/gmock.h>

#include "common/base/error.h"
#include "tests/unit/server/cluster/two_nodes.h"

namespace banyan::testing {
namespace {

constexpr size_t kMessage = 1000;

class FlowControl : public TwoNodes {
 protected:
  void SetUp() override {
    options.receive_window = 64 * 1024;
    options.inbound_bytes_max = 100 * 1000;
    options.message_bytes_soft = 200 * 1000;
    TwoNodes::SetUp();
    sleeper_ = *b->runtime.Spawn(
        [this](Self& self) -> Task<ExitReason> {
          while (!awake_) co_await self.Sleep(absl::Milliseconds(100));
          for (;;) {
            const Message m = *(co_await self.Receive());
            read_.push_back(m.is_exit() ? "exit" : m.payload().bytes().substr(0, 5));
          }
        },
        {.trap_exit = true});
  }
  // Sends `n` messages to `to`, as fast as it may.
  Pid Sender(Pid to, int n) {
    return *a->runtime.Spawn([this, to, n](Self& self) -> Task<ExitReason> {
      for (int i = 0; i < n; ++i) {
        std::string text = fmt::format("{:05}", i);
        text.resize(kMessage);
        self.Send(to, Text(std::move(text)));
        ++sent_;
        co_await self.Sleep(absl::Microseconds(10));
      }
      co_return ExitReason::Normal();
    });
  }
  PeerRouter::PeerState ToB() { return a->router->Peers().at(0); }
  // Until nothing moves: all credit is used up and the sender held.
  void Fill() { time.RunFor(absl::Seconds(3)); }
  void Wake() {
    awake_ = true;
    time.RunFor(absl::Seconds(3));
  }

  Pid sleeper_;
  bool awake_ = false;
  int sent_ = 0;
  std::vector<std::string> read_;
};

TEST_F(FlowControl, WhatIsReadIsGivenBack) {
  awake_ = true;
  Sender(b->Export(sleeper_), 2000);  // many windows
  time.RunFor(absl::Seconds(2));
  EXPECT_EQ(read_.size(), 2000u);
  EXPECT_EQ(b->runtime.inbound_bytes(), 0);
  EXPECT_EQ(ToB().message_bytes, 0u);
}

TEST_F(FlowControl, SendersToAFullNodeAreHeldAndGoOn) {
  Sender(b->Export(sleeper_), 1000);
  Fill();
  EXPECT_TRUE(ToB().busy);
  EXPECT_LT(sent_, 600);
  EXPECT_LT(ToB().message_bytes, options.message_bytes_soft + 10 * kMessage);
  EXPECT_LT(b->runtime.inbound_bytes(),
            static_cast<int64_t>(options.inbound_bytes_max + 2 * options.receive_window));
  Wake();
  EXPECT_EQ(sent_, 1000);
  ASSERT_EQ(read_.size(), 1000u);
  EXPECT_TRUE(std::is_sorted(read_.begin(), read_.end()));
  EXPECT_FALSE(ToB().busy);
}

TEST_F(FlowControl, OtherSignalsPass) {
  auto x = Spawn(*a);
  auto y = Spawn(*b, true);
  Run(*a, x, [pid = b->Export(y->pid)](Self& self) -> Task<void> {
    self.Link(pid);
    co_return;
  });
  Sender(b->Export(sleeper_), 1000);
  Fill();
  ASSERT_TRUE(ToB().busy);
  a->runtime.Exit(x->pid, ExitReason::Error("boom"));
  Settle();
  EXPECT_EQ(y->Count("EXIT error boom"), 1u);
}

TEST_F(FlowControl, AHeldProcessCanBeKilled) {
  const Pid sender = Sender(b->Export(sleeper_), 1000);
  Fill();
  ASSERT_TRUE(a->runtime.IsAlive(sender));
  a->runtime.Exit(sender, ExitReason::Kill());
  Settle();
  EXPECT_FALSE(a->runtime.IsAlive(sender));
  Wake();
  EXPECT_EQ(read_.size(), static_cast<size_t>(sent_)) << "what it had sent arrives";
}

TEST_F(FlowControl, ALostSessionLetsThemGoOn) {
  Sender(b->Export(sleeper_), 1000);
  Fill();
  ASSERT_LT(sent_, 1000);
  b.reset();  // nobody there: to nobody is to nobody
  time.RunFor(absl::Seconds(10));
  EXPECT_EQ(sent_, 1000);
}

TEST_F(FlowControl, TrySendSaysBusy) {
  Sender(b->Export(sleeper_), 1000);
  auto x = Spawn(*a);
  std::vector<bool> sent;
  const Script try_send = [&, to = b->Export(sleeper_)](Self& self) -> Task<void> {
    sent.push_back(self.TrySend(to, Text("x")));
    co_return;
  };
  Fill();
  Run(*a, x, try_send);
  Settle();
  Wake();
  Run(*a, x, try_send);
  Settle();
  EXPECT_THAT(sent, ::testing::ElementsAre(false, true));
}

TEST_F(FlowControl, TrySendSeesAFullMailbox) {
  auto x = Spawn(*a);
  const Pid small = *a->runtime.Spawn(
      [](Self& self) -> Task<ExitReason> {
        co_await self.Sleep(absl::InfiniteDuration());
        co_return ExitReason::Normal();
      },
      {.max_messages = 2});
  std::vector<bool> sent;
  Run(*a, x, [&, small](Self& self) -> Task<void> {
    for (int i = 0; i < 3; ++i) sent.push_back(self.TrySend(small, Text("x")));
    co_return;
  });
  Settle();
  EXPECT_THAT(sent, ::testing::ElementsAre(true, true, false));
}

TEST_F(FlowControl, CallsFromOutsideAreRefused) {
  Sender(b->Export(sleeper_), 1000);
  Fill();
  auto y = Spawn(*b);
  absl::Status refused;
  a->runtime.Call(b->Export(y->pid), Text("x"), time.Now() + absl::Seconds(1),
                  [&](absl::StatusOr<Payload> r, Pid) { refused = r.status(); });
  Settle();
  EXPECT_EQ(ErrorReason(refused), "NODE_OVERLOADED");
  EXPECT_EQ(GetErrorInfo(refused)->metadata["outcome"], kNotExecuted);
  EXPECT_EQ(y->lines.size(), 0u);
}

TEST_F(FlowControl, F26ASlowPeerIsGivenUp) {
  auto x = Spawn(*a, true);
  auto y = Spawn(*b, true);
  const Pid there = b->Export(y->pid);
  const Script link = [there](Self& self) -> Task<void> {
    self.Link(there);
    co_return;
  };
  Run(*a, x, link);
  Sender(b->Export(sleeper_), 1000);
  time.RunFor(absl::Seconds(14));
  EXPECT_EQ(x->Count("EXIT"), 0u);
  time.RunFor(absl::Seconds(4));
  EXPECT_EQ(x->Count("EXIT noconnection"), 1u);
  EXPECT_EQ(y->Count("EXIT noconnection"), 1u);
}

TEST_F(FlowControl, AfterASlowPeerDialsComeLaterAndLater) {
  std::vector<absl::Duration> pauses;
  auto x = Spawn(*a);
  for (int i = 0; i < 8; ++i) {
    Sender(b->Export(sleeper_), 400);
    const uint64_t closed = a->router->stats().sessions_closed;
    ASSERT_TRUE(time.RunUntil([&] { return a->router->stats().sessions_closed > closed; },
                              absl::Seconds(60)));
    const Instant began = time.Now();
    const uint64_t opened = a->router->stats().sessions_opened;
    while (a->router->stats().sessions_opened == opened) {
      a->runtime.Send(b->Export(x->pid), Text("x"));
      time.RunFor(absl::Milliseconds(50));
    }
    pauses.push_back(time.Now() - began);
  }
  for (size_t i = 0; i < pauses.size(); ++i) {
    const absl::Duration expected = std::min(absl::Seconds(30), absl::Seconds(1 << i));
    EXPECT_GE(pauses[i], expected) << i;
    EXPECT_LE(pauses[i], expected + absl::Milliseconds(200)) << i;
  }
}

TEST_F(FlowControl, TooManyWaitingSignalsCloseLoudly) {
  a.reset();
  options.control_entries_max = 100;
  a = MakeNode("a:1", {1, 1});
  Introduce();
  auto x = Spawn(*a, true);
  Run(*a, x, [pid = b->Export(sleeper_)](Self& self) -> Task<void> {
    self.Link(pid);
    co_return;
  });
  Settle();
  Sender(b->Export(sleeper_), 1000);
  Fill();
  ASSERT_EQ(x->Count("EXIT"), 0u);
  // Behind a message of the same pair, which has no credit.
  Run(*a, x, [pid = b->Export(sleeper_)](Self& self) -> Task<void> {
    self.Send(pid, Text("x"));
    for (int i = 0; i < 200; ++i) self.Exit(pid, ExitReason::Error("by hand"));
    co_return;
  });
  Settle();
  EXPECT_EQ(x->Count("EXIT noconnection"), 1u);
}

}  // namespace
}  // namespace banyan::testing
