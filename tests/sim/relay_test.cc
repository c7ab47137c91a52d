// Nodes that cannot reach each other, and can reach the coordinator: what they say to each other
// goes through it, and keeps all the promises of a session.
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "banyan/internal/v1/membership.pb.h"
#include "tests/sim/sim_cluster.h"

namespace banyan::sim {
namespace {

using ::testing::ElementsAre;

Payload Text(std::string s) { return Payload::Any("type.googleapis.com/test.Text", std::move(s)); }

using Script = std::function<Task<void>(Self&)>;

// Answers calls with what was asked, ends when it is told why, logs all else.
struct Actor {
  Pid pid;
  std::vector<std::string> log;
};

Task<ExitReason> Body(Self& self, std::shared_ptr<Actor> actor) {
  for (;;) {
    Message m = *(co_await self.Receive());
    if (m.is_exit()) {
      actor->log.push_back("EXIT " + m.reason().ToString());
    } else if (m.is_down()) {
      actor->log.push_back("DOWN " + m.reason().ToString());
    } else if (m.is_call()) {
      self.Answer(m.call_from(), m.payload());
    } else if (const Script* script = m.payload().As<Script>()) {
      co_await (*script)(self);
    } else if (m.payload().bytes().starts_with("end ")) {
      co_return ExitReason::Error(m.payload().bytes().substr(4));
    } else {
      actor->log.push_back(m.payload().bytes().substr(0, 8));
    }
  }
}

class Relay : public ::testing::Test {
 protected:
  void Begin(int nodes = 2, CoordinatorOptions options = {}) {
    cluster = std::make_unique<SimCluster>(
        SimCluster::Options{.seed = 7, .nodes = nodes, .coordinator = std::move(options)});
    cluster->StartCoordinator();
    for (int i = 0; i < nodes; ++i) cluster->StartNode(i);
    ASSERT_TRUE(cluster->WaitForNodes(nodes, absl::Seconds(30)));
  }
  void CutPeers() { cluster->network().Block("n1", "n2"); }
  std::shared_ptr<Actor> Spawn(int node) {
    auto actor = std::make_shared<Actor>();
    SpawnOptions options;
    options.trap_exit = true;
    actor->pid =
        *cluster->runtime(node).Spawn([actor](Self& self) { return Body(self, actor); }, options);
    return actor;
  }
  Pid Exported(int node, const std::shared_ptr<Actor>& actor) {
    return wire::Export(actor->pid, cluster->node(node).identity());
  }
  void Run(int node, const std::shared_ptr<Actor>& actor, Script script) {
    cluster->runtime(node).Send(actor->pid, Payload::Local<Script>(std::move(script)));
  }
  void Link(int node, const std::shared_ptr<Actor>& from, Pid to) {
    Run(node, from, [to](Self& self) -> Task<void> {
      self.Link(to);
      co_return;
    });
  }
  void Monitor(int node, const std::shared_ptr<Actor>& from, Pid to) {
    Run(node, from, [to](Self& self) -> Task<void> {
      self.Monitor(to);
      co_return;
    });
  }
  // What a call of `to` by `from` ended with: what was asked, or the reason.
  std::string Call(int node, const std::shared_ptr<Actor>& from, Pid to) {
    auto answer = std::make_shared<std::string>();
    Run(node, from, [to, answer](Self& self) -> Task<void> {
      const absl::StatusOr<Payload> r = co_await self.Call(to, Text("hello"), absl::Seconds(20));
      *answer = r.ok() ? r->bytes() : std::string(r.status().message());
    });
    cluster->time().RunUntil([&] { return !answer->empty(); }, absl::Seconds(30));
    return *answer;
  }
  // Both nodes have a session with each other: "relayed", "direct", or "none".
  std::string Session() {
    std::string state[2] = {"none", "none"};
    for (int i : {0, 1}) {
      for (const PeerRouter::PeerState& peer : cluster->node(i).peers().Peers()) {
        if (peer.up) state[i] = peer.relayed ? "relayed" : "direct";
      }
    }
    return state[0] == state[1] ? state[0] : state[0] + " and " + state[1];
  }
  bool Eventually(absl::Duration limit, const std::function<bool()>& what) {
    return cluster->time().RunUntil(what, limit);
  }

  std::unique_ptr<SimCluster> cluster;
};

TEST_F(Relay, CarriesCallsLinksMonitorsAndMessagesInOrder) {
  Begin();
  CutPeers();
  auto a = Spawn(0), b = Spawn(1);
  const Pid to_a = Exported(0, a), to_b = Exported(1, b);
  EXPECT_EQ(Call(0, a, to_b), "hello");
  EXPECT_EQ(Session(), "relayed");
  EXPECT_EQ(Call(1, b, to_a), "hello");
  // Small ones and ones in parts.
  Run(0, a, [to_b](Self& self) -> Task<void> {
    self.Link(to_b);
    self.Monitor(to_b);
    for (int i = 0; i < 50; ++i) {
      std::string text = fmt::format("{:08}", i);
      text.resize(i % 7 == 0 ? 300'000 : 100);
      self.Send(to_b, Text(std::move(text)));
    }
    self.Send(to_b, Text("end boom"));
    co_return;
  });
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] { return a->log.size() == 2; }));
  std::sort(a->log.begin(), a->log.end());
  EXPECT_THAT(a->log[0], ::testing::HasSubstr("DOWN"));
  EXPECT_THAT(a->log[0], ::testing::HasSubstr("boom"));
  EXPECT_THAT(a->log[1], ::testing::HasSubstr("EXIT"));
  EXPECT_THAT(a->log[1], ::testing::HasSubstr("boom"));
  ASSERT_EQ(b->log.size(), 50u);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(b->log[i], fmt::format("{:08}", i));
  EXPECT_EQ(Session(), "relayed");
}

TEST_F(Relay, BothMayWantItAtOnce) {
  for (int delay = 0; delay < 12; ++delay) {
    Begin();
    CutPeers();
    auto a = Spawn(0), b = Spawn(1);
    const Pid to_a = Exported(0, a), to_b = Exported(1, b);
    std::string answers[2];
    auto call = [](Pid to, std::string* answer) {
      return [to, answer](Self& self) -> Task<void> {
        const absl::StatusOr<Payload> r = co_await self.Call(to, Text("hello"), absl::Seconds(20));
        *answer = r.ok() ? r->bytes() : std::string(r.status().message());
      };
    };
    Run(0, a, call(to_b, &answers[0]));
    cluster->time().RunFor(absl::Milliseconds(delay * delay * delay));
    // Whoever is asked while it waits for an answer itself answers when it has it.
    auto c = Spawn(1);
    Run(1, c, call(to_a, &answers[1]));
    EXPECT_TRUE(
        Eventually(absl::Seconds(30), [&] { return !answers[0].empty() && !answers[1].empty(); }));
    EXPECT_THAT(answers, ElementsAre("hello", "hello")) << delay;
    EXPECT_EQ(Session(), "relayed");
  }
}

TEST_F(Relay, EndsWithTheCoordinatorAndBeginsAnewWithTheNext) {
  Begin();
  CutPeers();
  auto a = Spawn(0), b = Spawn(1);
  const Pid to_b = Exported(1, b);
  Link(0, a, to_b);
  ASSERT_EQ(Call(0, a, to_b), "hello");
  cluster->CrashCoordinator();
  ASSERT_TRUE(Eventually(absl::Seconds(9), [&] { return !a->log.empty() && !b->log.empty(); }));
  EXPECT_THAT(a->log, ElementsAre("EXIT noconnection"));
  EXPECT_THAT(b->log, ElementsAre("EXIT noconnection"));
  EXPECT_NE(Call(0, a, to_b), "hello");
  cluster->StartCoordinator();
  cluster->time().RunFor(absl::Seconds(10));
  EXPECT_EQ(Call(0, a, to_b), "hello");
  EXPECT_EQ(Session(), "relayed");
}

TEST_F(Relay, ANetworkThatIsCutUnderASessionCostsThatSessionOnly) {
  Begin();
  auto a = Spawn(0), b = Spawn(1);
  const Pid to_b = Exported(1, b);
  Monitor(0, a, to_b);
  ASSERT_EQ(Call(0, a, to_b), "hello");
  ASSERT_EQ(Session(), "direct");
  CutPeers();
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] { return !a->log.empty(); }));
  EXPECT_THAT(a->log, ElementsAre("DOWN noconnection"));
  EXPECT_EQ(Call(0, a, to_b), "hello");
  EXPECT_EQ(Session(), "relayed");
}

TEST_F(Relay, IsLeftWhenNothingHangsOnItAndTheNetworkIsHealed) {
  Begin();
  CutPeers();
  auto a = Spawn(0), b = Spawn(1);
  const Pid to_b = Exported(1, b);
  Link(0, a, to_b);
  ASSERT_EQ(Call(0, a, to_b), "hello");
  cluster->network().Heal("n1", "n2");
  // A link is not broken for the sake of a better way.
  cluster->time().RunFor(absl::Minutes(3));
  EXPECT_EQ(Session(), "relayed");
  EXPECT_THAT(a->log, ElementsAre());
  cluster->runtime(0).Send(a->pid, Text("end done"));
  ASSERT_TRUE(Eventually(absl::Seconds(1), [&] { return !b->log.empty(); }));
  cluster->runtime(1).Send(b->pid, Text("end done"));
  ASSERT_TRUE(Eventually(absl::Minutes(2), [&] { return Session() == "none"; }));
  auto c = Spawn(0), d = Spawn(1);
  EXPECT_EQ(Call(0, c, Exported(1, d)), "hello");
  EXPECT_EQ(Session(), "direct");
}

TEST_F(Relay, DoesNotHideThatANodeHasDied) {
  Begin();
  CutPeers();
  auto a = Spawn(0), b = Spawn(1);
  const Pid to_b = Exported(1, b);
  Monitor(0, a, to_b);
  ASSERT_EQ(Call(0, a, to_b), "hello");
  cluster->CrashNode(1, /*watcher=*/true);
  ASSERT_TRUE(Eventually(absl::Seconds(2), [&] { return !a->log.empty(); }));
  EXPECT_THAT(a->log, ElementsAre("DOWN noconnection"));
}

// The coordinator must keep what the other node does not take: so there is little of it.
TEST_F(Relay, ANodeThatReadsNothingDoesNotFillTheCoordinator) {
  Begin();
  CutPeers();
  auto a = Spawn(0), b = Spawn(1);
  const Pid to_b = Exported(1, b);
  ASSERT_EQ(Call(0, a, to_b), "hello");
  size_t relayed = 0;
  cluster->network().set_delivery_tap([&](uint64_t, const std::string&, const std::string& to,
                                          StreamKind kind, const std::string& bytes) {
    if (kind == StreamKind::kRelay && to == "coord") relayed += bytes.size();
  });
  cluster->PauseNode(1);
  // Messages that would be held for want of credit, and signals that are not.
  Run(0, a, [to_b](Self& self) -> Task<void> {
    self.Link(to_b);
    for (int i = 0; i < 400; ++i) self.Send(to_b, Text(std::string(20'000, 'x')));
    for (int i = 0; i < 40; ++i) self.Exit(to_b, ExitReason::Error(std::string(30'000, 'y')));
    co_return;
  });
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return !a->log.empty(); }));
  EXPECT_GT(relayed, 250'000u);
  EXPECT_LT(relayed, 600'000u);
  EXPECT_THAT(a->log, ElementsAre("EXIT noconnection"));
}

TEST_F(Relay, ACoordinatorThatRelaysNothingSaysSo) {
  CoordinatorOptions options;
  options.relays_max = 0;
  Begin(2, options);
  CutPeers();
  auto a = Spawn(0), b = Spawn(1);
  EXPECT_THAT(Call(0, a, Exported(1, b)), ::testing::HasSubstr("no connection"));
}

TEST_F(Relay, NoMoreThanTheCoordinatorTakes) {
  CoordinatorOptions options;
  options.relays_max = 1;
  Begin(3, options);
  CutPeers();
  cluster->network().Block("n1", "n3");
  auto a = Spawn(0), b = Spawn(1), c = Spawn(2);
  EXPECT_EQ(Call(0, a, Exported(1, b)), "hello");
  EXPECT_THAT(Call(0, a, Exported(2, c)), ::testing::HasSubstr("no connection"));
  // The first is as it was.
  EXPECT_EQ(Call(0, a, Exported(1, b)), "hello");
}

}  // namespace
}  // namespace banyan::sim
