#include <deque>

#include "gmock/gmock.h"

#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// An executor and timers that can be stopped, as SIGSTOP stops a process: what is due waits.
class Pausable : public Timers, public Executor {
 public:
  explicit Pausable(VirtualTime* time) : time_(time) {}
  Id ScheduleAt(Instant at, std::function<void()> fn) override {
    return time_->ScheduleAt(at, [this, fn = std::move(fn)] { Run(fn); });
  }
  bool Cancel(Id id) override { return time_->Cancel(id); }
  void Post(std::function<void()> fn) override {
    time_->Post([this, fn = std::move(fn)] { Run(fn); });
  }
  void Pause() { paused_ = true; }
  void Resume() {
    paused_ = false;
    for (auto& fn : std::exchange(held_, {})) time_->Post(std::move(fn));
  }

 private:
  void Run(const std::function<void()>& fn) { paused_ ? held_.push_back(fn) : fn(); }
  VirtualTime* const time_;
  bool paused_ = false;
  std::deque<std::function<void()>> held_;
};

class LeaseKeeping : public ClusterTest {
 protected:
  bool AllActive(int nodes) {
    for (int i = 1; i <= nodes; ++i) {
      if (NodeInfo("n" + std::to_string(i)).state() != v1::NODE_STATE_ACTIVE) return false;
    }
    return true;
  }
  // The coordinator, anew.
  void RunOn(Pausable* process) {
    CrashCoordinator();
    timers_ = process;
    executor_ = process;
    StartCoordinator();
  }
  // n1, that was mute.
  void ComesBackInItsLife() {
    node("n1").Unmute();
    network_.Break("n1-p1", "coord");
    node("n1").Connect();
    time_.RunFor(absl::Seconds(6));
    EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_ACTIVE);
    EXPECT_EQ(NodeInfo("n1").incarnation(), 1u);
  }
  // `count` children that only `node` may have.
  static std::vector<ChildSpec> Many(int count) {
    std::vector<ChildSpec> children;
    for (int i = 0; i < count; ++i) children.push_back(Worker("c" + std::to_string(i)));
    return children;
  }
};

TEST_F(LeaseKeeping, L4AStalledCoordinatorForgivesTheTimeThatItStoodStill) {
  Pausable process(&time_);
  RunOn(&process);
  AddNode("n1");
  time_.RunFor(absl::Seconds(5));
  // Heartbeats of that time are lost, not only late.
  process.Pause();
  node("n1").Mute();
  time_.RunFor(absl::Seconds(70));
  process.Resume();
  time_.RunFor(absl::Seconds(5));
  EXPECT_NE(NodeInfo("n1").state(), v1::NODE_STATE_DEAD);
  ComesBackInItsLife();
  CrashCoordinator();  // before what it runs on
}

// Heard before the stall is noticed, with a heartbeat that had waited for its end.
TEST_F(LeaseKeeping, L4WhoIsHeardAfterAStallHasNoMoreTimeThanOthers) {
  Pausable process(&time_);
  RunOn(&process);
  time_.RunFor(absl::Milliseconds(100));  // heartbeats come between two looks
  AddNode("n1");
  time_.RunFor(absl::Seconds(5));
  const uint64_t beats = node("n1").beats();
  ASSERT_TRUE(time_.RunUntil([&] { return node("n1").beats() > beats; }, absl::Seconds(2)));
  process.Pause();
  time_.RunFor(absl::Seconds(40));
  process.Resume();
  Settle();
  KillNode("n1");
  time_.RunFor(absl::Seconds(59));
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_SUSPECT);
  time_.RunFor(absl::Seconds(2));
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_DEAD);
  CrashCoordinator();  // before what it runs on
}

// Nobody is heard before the term is in the store, so that time is no silence.
TEST_F(LeaseKeeping, L3ATermBeginsWhenTheStoreHasIt) {
  AddNode("n1");
  node("n1").Mute();
  CrashCoordinator();
  before_commit = [](const Txn&) { return MakeError("STORE_FULL", "the disk is full"); };
  LaunchCoordinator();
  time_.RunFor(absl::Seconds(70));
  EXPECT_EQ(ready_, std::nullopt);
  before_commit = nullptr;
  time_.RunFor(absl::Seconds(5));
  EXPECT_EQ(ready_, absl::OkStatus());
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_SUSPECT);
  ComesBackInItsLife();
}

// The decision counts, not its record: an acknowledgement after it would let the child run on.
TEST_F(LeaseKeeping, L7NothingIsAcknowledgedBetweenTheDecisionAndItsRecord) {
  AddNode("n1");
  time_.RunFor(absl::Seconds(5));
  node("n1").Mute();
  bool fails = true;
  before_commit = [&](const Txn& txn) {
    for (const KeyValue& put : txn.puts) {
      if (fails && put.key == "node/n1") return absl::ResourceExhaustedError("full");
    }
    return absl::OkStatus();
  };
  time_.RunFor(absl::Seconds(62));
  const uint64_t acked = node("n1").acked();
  node("n1").Unmute();
  time_.RunFor(absl::Seconds(10));
  EXPECT_EQ(node("n1").acked(), acked);
  EXPECT_FALSE(node("n1").told_dead()) << "of a death that is not recorded";
  // Nor when it asks.
  node("n1").Connect();
  time_.RunFor(absl::Seconds(10));
  EXPECT_FALSE(node("n1").told_dead()) << "of a death that is not recorded";
  fails = false;
  time_.RunFor(absl::Seconds(10));
  node("n1").Connect();
  time_.RunFor(absl::Seconds(5));
  EXPECT_TRUE(node("n1").told_dead());
  EXPECT_EQ(node("n1").incarnation(), 2u);
}

TEST_F(LeaseKeeping, L6AFastClockIsToldAndKeepsExclusiveChildrenAway) {
  AddNode("n1").clock_rate = 1.01;
  time_.RunFor(absl::Minutes(9));
  EXPECT_NEAR(NodeInfo("n1").clock_drift(), 0.01, 1e-4);
  EXPECT_THAT(Alarms(), Contains(HasSubstr("\"n1\" runs +1.00 %")));
  EXPECT_EQ(ErrorReason(StartSupervisor("s", {Worker("a")}).status()), "NO_NODE_FITS");
  ChildSpec available = Worker("a");
  available.exclusivity = Exclusivity::kAvailable;
  EXPECT_TRUE(StartSupervisor("t", {available}).ok());
}

TEST_F(LeaseKeeping, L6ASmallerDriftIsOnlyToldAndNoneIsNot) {
  AddNode("n1").clock_rate = 1 - 0.0022;
  AddNode("n2");
  time_.RunFor(absl::Minutes(9));
  EXPECT_THAT(Alarms(), ElementsAre(HasSubstr("\"n1\" runs -0.22 %")));
  EXPECT_NEAR(NodeInfo("n2").clock_drift(), 0, 1e-6);
  EXPECT_TRUE(StartSupervisor("s", {WorkerOn("a", "n1")}).ok());
}

TEST_F(LeaseKeeping, F31DeathsAreHeldWhenMostNodesAreSilent) {
  for (int i = 1; i <= 4; ++i) AddNode("n" + std::to_string(i));
  ASSERT_TRUE(StartSupervisor("s", Many(8)).ok());
  TakeTrace();
  for (int i = 1; i <= 3; ++i) node("n" + std::to_string(i)).Mute();
  time_.RunFor(absl::Minutes(5));
  EXPECT_TRUE(Cluster().deaths_held());
  EXPECT_THAT(Alarms(), Contains(HasSubstr("deaths by lease are held")));
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(NodeInfo("n" + std::to_string(i)).state(), v1::NODE_STATE_SUSPECT);
    node("n" + std::to_string(i)).Unmute();
  }
  time_.RunFor(absl::Seconds(10));
  EXPECT_TRUE(AllActive(4));
  EXPECT_FALSE(Cluster().deaths_held());
  EXPECT_THAT(TakeTrace(), IsEmpty());
}

TEST_F(LeaseKeeping, HeldDeathsComeAfterTheHoldOrAtTheOperatorsWord) {
  for (int i = 1; i <= 4; ++i) AddNode("n" + std::to_string(i));
  for (int i = 1; i <= 3; ++i) node("n" + std::to_string(i)).Mute();
  time_.RunFor(absl::Minutes(2));
  auto word = Ask<v1::NodeInfo>(
      [&](auto done) { coordinator_->ConfirmDead({"n1", "burnt", ""}, 1, false, done); });
  ASSERT_TRUE(word.ok());
  EXPECT_EQ(word->state(), v1::NODE_STATE_DEAD);
  // Two of three are no mass any more.
  time_.RunFor(absl::Seconds(1));
  EXPECT_EQ(NodeInfo("n2").state(), v1::NODE_STATE_DEAD);
}

TEST_F(LeaseKeeping, ReplacementsAreBrakedWhenManyNodesAreLost) {
  for (int i = 1; i <= 6; ++i) AddNode("n" + std::to_string(i));
  ASSERT_TRUE(StartSupervisor("s", Many(120)).ok());
  for (int i = 1; i <= 3; ++i) node("n" + std::to_string(i)).Mute();
  ASSERT_TRUE(time_.RunUntil([&] { return NodeInfo("n3").state() == v1::NODE_STATE_DEAD; },
                             absl::Minutes(2)));
  EXPECT_THAT(Alarms(), Contains(HasSubstr("braked to 10 a second")));
  TakeTrace();
  time_.RunFor(absl::Seconds(2));
  const size_t soon = TakeTrace().size();
  EXPECT_GE(soon, 15u);
  EXPECT_LE(soon, 30u);
  // What is asked for is not held up by them.
  EXPECT_TRUE(StartSupervisor("t", Many(50)).ok());
  time_.RunFor(absl::Seconds(5));
  EXPECT_EQ(node("n4").size() + node("n5").size() + node("n6").size(), 170u);
}

TEST_F(LeaseKeeping, OneLossIsNotBraked) {
  for (int i = 1; i <= 3; ++i) AddNode("n" + std::to_string(i));
  ASSERT_TRUE(StartSupervisor("s", Many(90)).ok());
  KillNode("n1");
  time_.RunFor(absl::Seconds(63));
  EXPECT_EQ(node("n2").size() + node("n3").size(), 90u);
}

TEST_F(LeaseKeeping, WithoutItsControlStreamANodeIsSuspectAndNotDead) {
  AddNode("n1");
  node("n1").no_control = true;
  network_.Break("n1-p1", "coord", StreamKind::kControl);
  time_.RunFor(absl::Seconds(9));
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_ACTIVE);
  EXPECT_EQ(ErrorReason(StartSupervisor("s", {Worker("a")}).status()), "NO_NODE_FITS");
  time_.RunFor(absl::Seconds(3));
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_SUSPECT);
  time_.RunFor(absl::Minutes(5));
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_SUSPECT);
}

TEST_F(LeaseKeeping, F39ALostWatcherIsToldAndTheNodeGoesOn) {
  auto& node = nodes_["n1"];
  node = std::make_unique<FakeNode>(&network_, &time_, "n1", trace_);
  node->has_watcher = true;
  node->Connect();
  Settle();
  EXPECT_TRUE(NodeInfo("n1").has_watcher());
  node->watcher_ended = true;
  time_.RunFor(absl::Seconds(2));
  EXPECT_FALSE(NodeInfo("n1").has_watcher());
  EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_ACTIVE);
}

TEST_F(LeaseKeeping, AFlappingNodeIsQuarantinedForAWhile) {
  AddNode("n1");
  AddNode("n2");
  ASSERT_TRUE(StartSupervisor("s", {WorkerOn("a", "n1")}).ok());
  time_.RunFor(absl::Seconds(2));
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(NodeInfo("n1").quarantined()) << i;
    network_.Break("n1-p1", "coord", StreamKind::kLease);
    time_.RunFor(absl::Seconds(6));
  }
  EXPECT_TRUE(NodeInfo("n1").quarantined());
  EXPECT_TRUE(node("n1").Has("s/a")) << "it keeps what runs";
  EXPECT_EQ(ErrorReason(StartSupervisor("t", {WorkerOn("a", "n1")}).status()), "NO_NODE_FITS");
  time_.RunFor(absl::Seconds(30));
  EXPECT_FALSE(NodeInfo("n1").quarantined());
  EXPECT_TRUE(StartSupervisor("t", {WorkerOn("a", "n1")}).ok());
}

TEST_F(LeaseKeeping, TwoDeathsQuarantineTheNextLife) {
  AddNode("n1");
  AddNode("n2");
  for (int life = 2; life <= 3; ++life) {
    KillNode("n1");
    auto& next = nodes_["n1"];
    next = std::make_unique<FakeNode>(
        &network_, &time_, "n1", trace_,
        FakeNode::Identity{.process_id = "p" + std::to_string(life), .machine_id = "machine-n1"});
    next->Connect();
    time_.RunFor(absl::Seconds(5));
    EXPECT_EQ(NodeInfo("n1").state(), v1::NODE_STATE_ACTIVE);
    EXPECT_EQ(NodeInfo("n1").quarantined(), life == 3) << life;
  }
}

TEST_F(LeaseKeeping, TheLastNodeThatTakesChildrenIsNotQuarantined) {
  AddNode("n1");
  time_.RunFor(absl::Seconds(2));
  for (int i = 0; i < 6; ++i) {
    network_.Break("n1-p1", "coord", StreamKind::kLease);
    time_.RunFor(absl::Seconds(6));
  }
  EXPECT_FALSE(NodeInfo("n1").quarantined());
}

TEST(CoordinatorOptions, EachBrokenRuleNamesItsOption) {
  struct Case {
    const char* want;
    absl::Duration heartbeat = absl::Seconds(1), suspect = absl::Seconds(4),
                   freeze = absl::Seconds(40), node = absl::Seconds(50),
                   coordinator = absl::Seconds(60);
  };
  for (const Case& c : {
           Case{.want = ""},
           Case{.want = "lease-coordinator: 52 s", .coordinator = absl::Seconds(52)},  // C1
           Case{.want = "lease-freeze: 1 s", .freeze = absl::Seconds(1)},              // C2
           Case{.want = "lease-node: a handler", .freeze = absl::Seconds(46)},         // C3
           Case{.want = "suspect-after: one late", .suspect = absl::Seconds(2)},       // C4
           Case{.want = "heartbeat: must be positive", .heartbeat = absl::ZeroDuration()},
       }) {
    CoordinatorOptions options;
    options.heartbeat = c.heartbeat;
    options.suspect_after = c.suspect;
    options.lease_freeze = c.freeze;
    options.lease_node = c.node;
    options.lease_coordinator = c.coordinator;
    const std::string problem = options.Validate();
    EXPECT_EQ(problem.empty(), std::string(c.want).empty()) << problem;
    EXPECT_THAT(problem, HasSubstr(c.want));
  }
}

}  // namespace
}  // namespace banyan::testing
