// Names of other nodes, {Name, Node}: SIG-101, SIG-113, SIG-117, GS-006, GS-021, GS-028, GS-031,
// GS-130. spec/signals.md 5, 8; spec/gen_server.md 9.
#include <gmock/gmock.h>

#include "common/base/error.h"
#include "common/base/named_pid.h"
#include "server/behaviours/gen_server.h"
#include "server/behaviours/module.h"
#include "server/behaviours/multi_call.h"
#include "server/behaviours/sys.h"
#include "two_nodes.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RemoteNames : public TwoNodes {
 protected:
  void SetUp() override {
    TwoNodes::SetUp();
    a->node_names = {{"a", {}}, {"b", b->id}};
    from_ = Spawn(*a, true);
    to_ = Spawn(*b);
    ASSERT_TRUE(b->runtime.Register("n", to_->pid));
  }
  // Runs `script` in a process of node a.
  void InA(Script script) {
    Run(*a, from_, std::move(script));
    Settle();
  }
  // Monitors from a; what its DOWN says is in downs_.
  void Monitor(NameAt target) {
    InA([this, target](Self& self) -> Task<void> {
      ref_ = self.Monitor(target);
      co_return;
    });
  }
  std::string Call(NameAt to, absl::Duration timeout = absl::Seconds(5)) {
    auto caller = Spawn(*a);
    std::string said;
    Run(*a, caller, [&said, to, timeout](Self& self) -> Task<void> {
      const absl::StatusOr<Payload> r = co_await self.Call(to, Text("x"), timeout);
      said = r.ok() ? r->bytes() : ErrorReason(r.status());
    });
    time.RunFor(timeout + absl::Seconds(1));
    return said;
  }
  size_t WatchersOf(TestNode& node, Pid pid) {
    size_t n = 0;
    node.runtime.Inspect(pid,
                         [&](std::optional<ProcessSnapshot> s) { n = s ? s->monitored_by : 0; });
    time.RunUntilIdle();
    return n;
  }

  std::shared_ptr<Log> from_, to_;
  Ref ref_ = 0;
};

TEST_F(RemoteNames, MessagesCastsAndCallsReachWhoHasTheName) {
  InA([](Self& self) -> Task<void> {
    self.Send({"n", "b"}, Text("one"));
    self.Cast({"n", "b"}, Text("two"));
    co_return;
  });
  EXPECT_THAT(to_->lines, ElementsAre("msg one", "cast two"));
  EXPECT_EQ(Call({"n", "b"}), "re:x");
}

TEST_F(RemoteNames, TheNameIsLookedUpWhenTheSignalArrives) {
  auto next = Spawn(*b);
  ASSERT_TRUE(b->runtime.Unregister("n"));
  InA([](Self& self) -> Task<void> {
    self.Send({"n", "b"}, Text("nobody"));
    co_return;
  });
  ASSERT_TRUE(b->runtime.Register("n", next->pid));
  InA([](Self& self) -> Task<void> {
    self.Send({"n", "b"}, Text("next"));
    co_return;
  });
  EXPECT_THAT(to_->lines, IsEmpty());
  EXPECT_THAT(next->lines, ElementsAre("msg next"));
}

TEST_F(RemoteNames, AMonitorTellsOfTheNameAndStaysWithWhoHadIt) {
  Pid told;
  InA([&told](Self& self) -> Task<void> {
    const Ref ref = self.Monitor({"n", "b"});
    std::optional<Message> m =
        co_await self.ReceiveIf([ref](const Message& x) { return x.is_down() && x.ref() == ref; });
    told = m->from();
    self.Send(self.pid(), Text(m->reason().ToString()));
  });
  auto next = Spawn(*b);
  ASSERT_TRUE(b->runtime.Unregister("n"));
  ASSERT_TRUE(b->runtime.Register("n", next->pid));
  b->runtime.Send(next->pid, Text("exit other"));
  Settle();
  EXPECT_THAT(from_->lines, IsEmpty());
  b->runtime.Send(to_->pid, Text("exit own"));
  Settle();
  EXPECT_THAT(from_->lines, ElementsAre("msg error own"));
  ASSERT_NE(NameOf(told), nullptr);
  EXPECT_EQ(*NameOf(told), "n");
  EXPECT_EQ(told.node_id, b->id.node_id);
}

TEST_F(RemoteNames, AMonitorKeepsItsNameHoweverManyOthersAreUsed) {
  std::string told;
  InA([&told](Self& self) -> Task<void> {
    const Ref ref = self.Monitor({"n", "b"});
    std::optional<Message> m =
        co_await self.ReceiveIf([ref](const Message& x) { return x.is_down() && x.ref() == ref; });
    told = FormatPid(m->from());
  });
  for (size_t i = 0; i <= kNamedPidsIdleMax; ++i) NamedPid(2, 1, "other" + std::to_string(i));
  b->runtime.Send(to_->pid, Text("exit own"));
  Settle();
  EXPECT_EQ(told, "n@2:1");
}

TEST_F(RemoteNames, AMonitorThatIsTakenBackFiresNotAndIsForgotten) {
  Monitor({"n", "b"});
  EXPECT_EQ(WatchersOf(*b, to_->pid), 2u);  // the test's own too
  InA([this](Self& self) -> Task<void> {
    self.Demonitor(ref_);
    co_return;
  });
  EXPECT_EQ(WatchersOf(*b, to_->pid), 1u);
  b->runtime.Send(to_->pid, Text("exit own"));
  Settle();
  EXPECT_THAT(from_->lines, IsEmpty());
}

TEST_F(RemoteNames, WhoHadTheNameForgetsTheMonitorToo) {
  auto next = Spawn(*b);
  for (const bool call : {false, true}) {
    SCOPED_TRACE(call);
    auto caller = Spawn(*a);
    Run(*a, caller, [call](Self& self) -> Task<void> {
      if (call) {
        std::ignore = co_await self.Call({"n", "b"}, Text("mute"), absl::Seconds(1));
        co_return;
      }
      const Ref ref = self.Monitor({"n", "b"});
      co_await self.Sleep(absl::Seconds(1));
      self.Demonitor(ref);
    });
    Settle();
    EXPECT_EQ(WatchersOf(*b, to_->pid), 2u);
    ASSERT_TRUE(b->runtime.Unregister("n"));
    ASSERT_TRUE(b->runtime.Register("n", next->pid));
    time.RunFor(absl::Seconds(2));
    EXPECT_EQ(WatchersOf(*b, to_->pid), 1u);
    EXPECT_EQ(WatchersOf(*b, next->pid), 1u);
    ASSERT_TRUE(b->runtime.Unregister("n"));
    ASSERT_TRUE(b->runtime.Register("n", to_->pid));
  }
}

TEST_F(RemoteNames, ACallThatTimesOutIsForgotten) {
  auto caller = Spawn(*a);
  std::string said;
  Run(*a, caller, [&said](Self& self) -> Task<void> {
    said = ErrorReason((co_await self.Call({"n", "b"}, Text("mute"), absl::Seconds(1))).status());
  });
  Settle();
  EXPECT_EQ(WatchersOf(*b, to_->pid), 2u);
  time.RunFor(absl::Seconds(2));
  EXPECT_EQ(said, "CALL_TIMEOUT");
  EXPECT_EQ(WatchersOf(*b, to_->pid), 1u);
}

TEST_F(RemoteNames, SIG101NobodyHasTheName) {
  InA([](Self& self) -> Task<void> {
    self.Send({"nosuch", "b"}, Text("x"));
    co_return;
  });
  Monitor({"nosuch", "b"});
  EXPECT_FALSE(from_->ended);
  EXPECT_THAT(from_->lines, ElementsAre("DOWN noproc"));
}

TEST_F(RemoteNames, SIG113ThereIsNoSuchNodeOrItCannotBeReached) {
  InA([](Self& self) -> Task<void> {
    self.Send({"n", "nowhere"}, Text("x"));
    co_return;
  });
  Monitor({"n", "nowhere"});
  EXPECT_THAT(from_->lines, ElementsAre("DOWN noconnection"));
  EXPECT_EQ(Call({"n", "nowhere"}), "NOT_DELIVERED");
  network.Isolate("b:1");
  Monitor({"n", "b"});
  time.RunFor(absl::Seconds(6));
  EXPECT_THAT(from_->lines, ElementsAre("DOWN noconnection", "DOWN noconnection"));
}

TEST_F(RemoteNames, AConnectionThatBreaksFiresMonitorsAndEndsCalls) {
  Monitor({"n", "b"});
  auto caller = Spawn(*a);
  std::string said;
  Run(*a, caller, [&said](Self& self) -> Task<void> {
    said = ErrorReason((co_await self.Call({"n", "b"}, Text("mute"), absl::Minutes(1))).status());
  });
  Settle();
  Cut();
  EXPECT_THAT(from_->lines, ElementsAre("DOWN noconnection"));
  EXPECT_EQ(said, "NOCONNECTION");
  EXPECT_EQ(WatchersOf(*b, to_->pid), 1u);
}

TEST_F(RemoteNames, GS028CallsUntilItEnds) {
  EXPECT_EQ(Call({"n", "b"}), "re:x");
  b->runtime.Send(to_->pid, Text("exit boom"));
  Settle();
  EXPECT_EQ(Call({"n", "b"}), "NOPROC");
}

TEST_F(RemoteNames, GS031TheNodeHasStopped) {
  EXPECT_EQ(Call({"n", "b"}), "re:x");
  b.reset();
  Settle();
  EXPECT_EQ(Call({"n", "b"}, absl::Seconds(10)), "NOT_DELIVERED");
  b = MakeNode("b:1", {2, 2});  // for TearDown
}

class Idle : public GenServer {
  Task<InitResult> Init(std::vector<Payload>) override { return Ok(); }
  Task<CallResult> HandleCall(Payload, CallFrom) override { return NoReply(); }
  Task<Result> HandleCast(Payload) override { return NoReply(); }
};

TEST_F(RemoteNames, GS006StopByNameAndOwnNode) {
  StartResult started;
  StartFromOutside(
      a->runtime,
      [](Self& self) {
        return StartBehaviour(self, [] { return std::make_unique<Idle>(); }, {},
                              {.link = false, .name = "idle"});
      },
      [&started](StartResult r) { started = std::move(r); });
  Settle();
  ASSERT_TRUE(a->runtime.IsAlive(started.pid));
  std::vector<std::string> said;
  InA([&said](Self& self) -> Task<void> {
    for (int i = 0; i < 2; ++i) {
      const absl::Status s = co_await sys::Stop(self, self.AddressOf({"idle", "a"}));
      said.push_back(s.ok() ? "ok" : ErrorReason(s));
    }
  });
  EXPECT_THAT(said, ElementsAre("ok", "NOPROC"));
  EXPECT_FALSE(a->runtime.IsAlive(started.pid));
}

TEST_F(RemoteNames, ANameOfThisNodeIsNoDetour) {
  auto own = Spawn(*a);
  ASSERT_TRUE(a->runtime.Register("own", own->pid));
  EXPECT_EQ(Call({"own", "a"}), "re:x");
  EXPECT_EQ(Call({"own", ""}), "re:x");
  EXPECT_EQ(Call({"nosuch", "a"}), "NOPROC");
}

TEST_F(RemoteNames, GS021And023AndGS130ManyAtOnceAndNobody) {
  auto own = Spawn(*a);
  ASSERT_TRUE(a->runtime.Register("n", own->pid));
  auto caller = Spawn(*a);
  std::vector<std::string> replies, bad;
  Run(*a, caller, [&](Self& self) -> Task<void> {
    std::vector<ServerRef> servers = {NameAt("n", "a"), NameAt("n", "b"), NameAt("nosuch", "b"),
                                      NameAt("n", "nowhere")};
    AbCast(self, servers, Text("c"));
    MultiCallResult r = co_await MultiCall(self, servers, Text("x"));
    for (auto& [server, reply] : r.replies) replies.push_back(reply.bytes());
    for (auto& [server, why] : r.bad) bad.push_back(ErrorReason(why));
  });
  Settle();
  EXPECT_THAT(replies, ElementsAre("re:x", "re:x"));
  EXPECT_THAT(bad, ElementsAre("NOPROC", "NOT_DELIVERED"));
  EXPECT_THAT(own->lines, ElementsAre("cast c", "call x"));
  EXPECT_THAT(to_->lines, ElementsAre("cast c", "call x"));
}

// Whom the name means is known at the other side only: what one process sends stays in order there.
TEST_F(RemoteNames, SIG117NamesAndPidsKeepTheOrderOfTheirSender) {
  const Pid pid = b->Export(to_->pid);
  InA([pid](Self& self) -> Task<void> {
    self.Send(pid, Text(std::string(1'000'000, '1')));
    self.Send({"n", "b"}, Text("2"));
    self.Send({"n", "b"}, Text(std::string(1'000'000, '3')));
    self.Send(pid, Text("4"));
    self.Send({"n", "b"}, Text("exit 5"));
    co_return;
  });
  time.RunFor(absl::Seconds(1));
  std::string order;
  for (const std::string& line : to_->lines) order += line.substr(4, 1);
  EXPECT_EQ(order, "1234");
  EXPECT_TRUE(to_->ended);
}

TEST_F(RemoteNames, NamesArePrintedAsSuch) {
  EXPECT_EQ(FormatPid(NamedPid(2, 1, "db")), "db@2:1");
  EXPECT_EQ(FormatPid(NamedPid(0, 0, "db")), "db");
  EXPECT_EQ(NameOf(Pid{2, 1, 77}), nullptr);
  EXPECT_EQ(NamedPid(2, 1, "db"), NamedPid(2, 1, "db"));
}

}  // namespace
}  // namespace banyan::testing
