// spec/signals.md 12 and 17: groups of several nodes. A is node 0, B node 1, C node 2.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/base/error.h"
#include "server/behaviours/pg.h"
#include "tests/sim/sim_cluster.h"

namespace banyan::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

constexpr int kA = 0, kB = 1, kC = 2;

class PgNodes : public ::testing::Test {
 protected:
  using Lines = std::shared_ptr<std::vector<std::string>>;

  PgNodes() : cluster_({.seed = 7, .nodes = 3, .coordinator = {}}) {}
  void Start(int nodes) {
    cluster_.StartCoordinator();
    for (int i = 0; i < nodes; ++i) cluster_.StartNode(i);
    ASSERT_TRUE(cluster_.WaitForNodes(nodes, absl::Seconds(30)));
    Settle();
  }
  // More than any message takes.
  void Settle() { cluster_.time().RunFor(absl::Seconds(1)); }

  // Runs `script` in a process of the node, to its end.
  void Do(int node, std::function<Task<void>(Self&)> script) {
    auto done = std::make_shared<bool>(false);
    ProcessMain main = [script = std::move(script), done](Self& self) -> Task<ExitReason> {
      co_await script(self);
      *done = true;
      co_return ExitReason::Normal();
    };
    ASSERT_TRUE(cluster_.runtime(node).Spawn(std::move(main)).ok());
    ASSERT_TRUE(cluster_.time().RunUntil([&] { return *done; }, absl::Seconds(10)));
  }
  Pid Member(int node) {
    ProcessMain main = [](Self& self) -> Task<ExitReason> {
      co_await self.Receive();
      co_return ExitReason::Normal();
    };
    return *cluster_.runtime(node).Spawn(std::move(main));
  }
  void Join(int node, const std::string& group, std::vector<Pid> pids) {
    Do(node, [=](Self& self) -> Task<void> {
      absl::Status joined = co_await pg::Join(self, pg::kDefaultScope, group, pids);
      EXPECT_TRUE(joined.ok()) << joined;
    });
  }
  void Leave(int node, const std::string& group, std::vector<Pid> pids) {
    Do(node, [=](Self& self) -> Task<void> {
      (void)co_await pg::Leave(self, pg::kDefaultScope, group, pids);
    });
  }
  // What a process of the node is told from now on: "join g PID PID".
  Lines Watch(int node) {
    auto lines = std::make_shared<std::vector<std::string>>();
    auto ready = std::make_shared<bool>(false);
    ProcessMain main = [lines, ready](Self& self) -> Task<ExitReason> {
      EXPECT_TRUE((co_await pg::MonitorScope(self, pg::kDefaultScope)).ok());
      *ready = true;
      for (;;) {
        std::optional<Message> m = co_await self.Receive();
        const auto* notice = m->payload().As<GroupNotice>();
        if (notice == nullptr) continue;
        const GroupChange& c = notice->change;
        std::string line = c.kind == GroupChange::Kind::kJoin ? "join " : "leave ";
        line += c.group;
        for (const Pid& pid : c.pids) line += " " + FormatPid(pid);
        lines->push_back(line);
      }
    };
    EXPECT_TRUE(cluster_.runtime(node).Spawn(std::move(main)).ok());
    EXPECT_TRUE(cluster_.time().RunUntil([&] { return *ready; }, absl::Seconds(10)));
    return lines;
  }
  // As any node but its own sees it.
  Pid Seen(int node, Pid pid) { return wire::Export(pid, cluster_.node(node).identity()); }
  std::string Text(int node, Pid pid) { return FormatPid(Seen(node, pid)); }
  std::vector<Pid> Members(int node, const std::string& group, bool local = false) {
    std::vector<Pid> members;
    Do(node, [&](Self& self) -> Task<void> {
      members = local ? pg::GetLocalMembers(self, pg::kDefaultScope, group)
                      : pg::GetMembers(self, pg::kDefaultScope, group);
      co_return;
    });
    return members;
  }
  // All members, in the form that all nodes share, sorted.
  std::vector<Pid> Everywhere(int node, const std::string& group) {
    std::vector<Pid> pids = Members(node, group);
    for (Pid& pid : pids) pid = Seen(node, pid);
    std::sort(pids.begin(), pids.end());
    return pids;
  }
  static std::string Address(int node) { return SimCluster::NodeName(node); }
  void Isolate(int node) {
    cluster_.network().Block(Address(node), "coord");
    for (int i = 0; i < cluster_.size(); ++i) {
      if (i != node) cluster_.network().Block(Address(node), Address(i));
    }
  }
  void Heal(int node) {
    cluster_.network().Heal(Address(node), "coord");
    for (int i = 0; i < cluster_.size(); ++i) {
      if (i != node) cluster_.network().Heal(Address(node), Address(i));
    }
  }

  SimCluster cluster_;
};

TEST_F(PgNodes, PG015AProcessOfAnotherNodeJoins) {
  Start(2);
  Lines m = Watch(kA);
  Pid p = Member(kB);
  Join(kB, "g", {p, p});
  Settle();
  EXPECT_THAT(*m, ElementsAre("join g " + Text(kB, p) + " " + Text(kB, p)));
  EXPECT_THAT(Members(kA, "g"), ElementsAre(Seen(kB, p), Seen(kB, p)));
  EXPECT_THAT(Members(kA, "g", true), IsEmpty());
  EXPECT_THAT(Members(kB, "g", true), ElementsAre(p, p));
}

TEST_F(PgNodes, PG016AMemberOfAnotherNodeEnds) {
  Start(2);
  Pid p = Member(kB);
  Join(kB, "g", {p});
  Settle();
  Lines m = Watch(kA);
  cluster_.runtime(kB).Send(p, {});
  Settle();
  EXPECT_THAT(*m, ElementsAre("leave g " + Text(kB, p)));
  EXPECT_THAT(Members(kA, "g"), IsEmpty());
}

TEST_F(PgNodes, PG017And018ANodeIsCutOffTillItsLifeIsOver) {
  Start(2);
  Pid a = Member(kA), b = Member(kB);
  Join(kA, "g", {a});
  Join(kB, "g", {b});
  Settle();
  Lines m = Watch(kA);
  const std::string before = Text(kB, b);
  Isolate(kB);
  cluster_.time().RunFor(absl::Minutes(1));
  EXPECT_THAT(*m, ElementsAre("leave g " + before));
  EXPECT_THAT(Members(kA, "g"), ElementsAre(a));
  EXPECT_THAT(Members(kB, "g", true), ElementsAre(b));
  m->clear();
  Lines mb = Watch(kB);
  Heal(kB);
  cluster_.time().RunFor(absl::Minutes(1));
  EXPECT_NE(Text(kB, b), before) << "a new life";
  EXPECT_THAT(*m, ElementsAre("join g " + Text(kB, b)));
  EXPECT_THAT(Everywhere(kA, "g"), UnorderedElementsAre(Seen(kA, a), Seen(kB, b)));
  EXPECT_EQ(Everywhere(kB, "g"), Everywhere(kA, "g"));
  EXPECT_THAT(*mb, ElementsAre("leave g " + Text(kA, a), "join g " + Text(kA, a)));
}

TEST_F(PgNodes, PG019TheScopeOfAnotherNodeIsKilled) {
  Start(2);
  Pid a = Member(kA), b = Member(kB);
  Join(kA, "g", {a});
  Join(kB, "g", {b});
  Join(kB, "h", {b});
  Settle();
  Lines m = Watch(kA);
  Pid scope = *cluster_.runtime(kB).Whereis(pg::kDefaultScope);
  cluster_.runtime(kB).Exit(scope, ExitReason::Kill());
  Settle();
  EXPECT_NE(cluster_.runtime(kB).Whereis(pg::kDefaultScope), scope);
  EXPECT_THAT(*m, UnorderedElementsAre("leave g " + Text(kB, b), "leave h " + Text(kB, b)));
  EXPECT_THAT(Members(kB, "g", true), IsEmpty());
  EXPECT_THAT(Members(kB, "g"), ElementsAre(Seen(kA, a)));
  Join(kB, "g", {b});
  Settle();
  EXPECT_THAT(Everywhere(kA, "g"), UnorderedElementsAre(Seen(kA, a), Seen(kB, b)));
}

TEST_F(PgNodes, PG020ANodeCrashes) {
  Start(3);
  Pid c = Member(kC), b = Member(kB);
  Join(kC, "g", {c, c});
  Join(kB, "g", {b});
  Settle();
  Lines m = Watch(kA);
  const std::string was = Text(kC, c);
  cluster_.CrashNode(kC, /*watcher=*/true);
  cluster_.time().RunFor(absl::Seconds(5));
  EXPECT_THAT(*m, ElementsAre("leave g " + was + " " + was));
  EXPECT_THAT(Members(kA, "g"), ElementsAre(Seen(kB, b)));
  EXPECT_EQ(Everywhere(kA, "g"), Everywhere(kB, "g"));
}

TEST_F(PgNodes, PG021NodesThatDoNotSeeEachOther) {
  Start(3);
  cluster_.network().Block(Address(kA), Address(kB));
  Pid b = Member(kB), c = Member(kC);
  Join(kB, "g", {b});
  Join(kC, "g", {c});
  Settle();
  EXPECT_THAT(Everywhere(kC, "g"), UnorderedElementsAre(Seen(kB, b), Seen(kC, c)));
  EXPECT_EQ(Everywhere(kA, "g"), Everywhere(kC, "g")) << "the coordinator tells";
}

TEST_F(PgNodes, ANodeThatComesLaterLearnsWhoIsThere) {
  Start(2);
  Pid b = Member(kB);
  Join(kB, "g", {b});
  cluster_.StartNode(kC);
  ASSERT_TRUE(cluster_.WaitForNodes(3, absl::Seconds(30)));
  Settle();
  EXPECT_THAT(Members(kC, "g"), ElementsAre(Seen(kB, b)));
}

TEST_F(PgNodes, ANewCoordinatorLearnsTheGroupsAndNobodyIsToldOfIt) {
  Start(3);
  Pid a = Member(kA), b = Member(kB);
  Join(kA, "g", {a, a});
  Join(kB, "g", {b});
  Join(kB, "gone", {b});
  Settle();
  Lines m = Watch(kC);
  cluster_.CrashCoordinator();
  // What changes meanwhile comes out when there is one again, as a difference.
  Leave(kB, "gone", {b});
  Join(kB, "g", {b});
  cluster_.time().RunFor(absl::Seconds(2));
  EXPECT_THAT(*m, IsEmpty());
  cluster_.StartCoordinator();
  ASSERT_TRUE(cluster_.WaitForNodes(3, absl::Seconds(30)));
  cluster_.time().RunFor(absl::Seconds(10));
  EXPECT_THAT(*m, UnorderedElementsAre("leave gone " + Text(kB, b), "join g " + Text(kB, b)));
  for (int i : {kA, kB, kC}) {
    EXPECT_THAT(Everywhere(i, "g"),
                UnorderedElementsAre(Seen(kA, a), Seen(kA, a), Seen(kB, b), Seen(kB, b)));
  }
}

TEST_F(PgNodes, PG025AllAgreeWhenItIsQuiet) {
  Start(3);
  std::vector<std::vector<Pid>> pids(3);
  for (int i : {kA, kB, kC}) {
    for (int n = 0; n < 4; ++n) pids[i].push_back(Member(i));
  }
  Random& random = cluster_.random();
  for (int step = 0; step < 300; ++step) {
    const int node = static_cast<int>(random.Below(3));
    std::vector<Pid> some;
    for (uint64_t n = 1 + random.Below(3); n > 0; --n) {
      some.push_back(pids[node][random.Below(pids[node].size())]);
    }
    const std::string group = fmt::format("g{}", random.Below(4));
    if (random.Below(5) < 3) {
      Join(node, group, some);
    } else {
      Leave(node, group, some);
    }
    if (step % 60 == 59) {
      Pid& dies = pids[node][random.Below(pids[node].size())];
      cluster_.runtime(node).Send(dies, {});
      dies = Member(node);
    }
  }
  Settle();
  size_t members = 0;
  for (int g = 0; g < 4; ++g) {
    const std::string group = fmt::format("g{}", g);
    const std::vector<Pid> at_a = Everywhere(kA, group);
    members += at_a.size();
    EXPECT_EQ(Everywhere(kB, group), at_a);
    EXPECT_EQ(Everywhere(kC, group), at_a);
  }
  EXPECT_GT(members, 20u);
}

TEST_F(PgNodes, AGroupIsATarget) {
  Start(2);
  Pid a = Member(kA), b = Member(kB);
  Join(kB, "g", {b});
  Settle();
  auto resolve = [&](int node, Target::Group target) {
    auto found = std::make_shared<std::optional<absl::StatusOr<Resolved>>>();
    cluster_.node(node).ResolveTarget(Target{std::move(target)}, Instant::Infinite(),
                                      [found](absl::StatusOr<Resolved> r) { *found = r; });
    EXPECT_TRUE(cluster_.time().RunUntil([&] { return found->has_value(); }, absl::Seconds(1)));
    return **found;
  };
  using Selection = Target::Group::Selection;
  absl::StatusOr<Resolved> from_a = resolve(kA, {.group = "g"});
  ASSERT_TRUE(from_a.ok()) << from_a.status();
  EXPECT_EQ(from_a->pid, Seen(kB, b));
  EXPECT_EQ(from_a->address, Address(kB));
  EXPECT_EQ(resolve(kB, {.group = "g"})->pid, b);
  EXPECT_EQ(ErrorReason(resolve(kA, {.group = "nobody"}).status()), "GROUP_EMPTY");
  Join(kA, "g", {a});
  Settle();
  EXPECT_EQ(resolve(kA, {.group = "g"})->pid, a) << "the nearest";
  for (int key = 0; key < 20; ++key) {
    const Target::Group target{
        .group = "g", .selection = Selection::kHash, .hash_key = std::to_string(key)};
    EXPECT_EQ(Seen(kA, resolve(kA, target)->pid), Seen(kB, resolve(kB, target)->pid))
        << "all nodes agree";
  }
}

}  // namespace
}  // namespace banyan::sim
