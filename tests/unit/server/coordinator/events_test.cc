#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

using ::testing::Contains;
using Events = ClusterTest;
using Kind = v1::SupervisorEvent;

class Reader {
 public:
  Reader(Coordinator* coordinator, VirtualTime* time) : coordinator_(coordinator), time_(time) {}
  absl::Status Open(WatchArgs args) {
    std::optional<absl::Status> status;
    coordinator_->WatchEvents(std::move(args), [&](absl::StatusOr<Coordinator::WatchId> id) {
      status = id.status();
      if (id.ok()) watch = *id;
    });
    time_->RunUntil([&] { return status.has_value(); }, absl::Seconds(1));
    return status.value();
  }
  // One message, or nothing within `limit`.
  bool Pull(absl::Duration limit = absl::Seconds(1)) {
    auto answer = std::make_shared<std::optional<absl::StatusOr<v1::WatchEventsResponse>>>();
    coordinator_->NextEvents(watch, [answer](auto r) { *answer = std::move(r); });
    if (!time_->RunUntil([&] { return answer->has_value(); }, limit)) return false;
    status = (**answer).status();
    if (!status.ok()) return false;
    last = *std::move(**answer);
    for (const auto& event : last.events()) kinds.push_back(event.kind());
    return true;
  }
  Coordinator::WatchId watch = 0;
  v1::WatchEventsResponse last;
  absl::Status status;
  std::vector<Kind::Kind> kinds;

 private:
  Coordinator* const coordinator_;
  VirtualTime* const time_;
};

TEST_F(Events, SnapshotThenNews) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a"), Worker("b")}).ok());
  Reader reader(coordinator_.get(), &time_);
  ASSERT_TRUE(reader.Open({.supervisor = Target::Named("s"), .send_snapshot = true}).ok());
  ASSERT_TRUE(reader.Pull());
  EXPECT_EQ(reader.last.events_size(), 2);
  EXPECT_TRUE(reader.last.events(0).has_time());
  EXPECT_TRUE(reader.last.snapshot_complete());
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  ASSERT_TRUE(reader.Pull());
  Settle();
  while (reader.Pull(absl::Milliseconds(100))) {
  }
  EXPECT_THAT(reader.kinds, Contains(Kind::KIND_CHILD_EXITED));
  EXPECT_THAT(reader.kinds, Contains(Kind::KIND_CHILD_RESTARTED));
}

TEST_F(Events, ResumeGivesEveryEventOnceAndAnotherLeaderRefusesTheToken) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  Reader reader(coordinator_.get(), &time_);
  ASSERT_TRUE(reader.Open({.send_snapshot = true}).ok());
  ASSERT_TRUE(reader.Pull());
  const std::string token = reader.last.resume_token();
  coordinator_->CloseWatch(reader.watch);
  node("n1").Exit("s/a", ExitReason::Error("boom"));
  Settle();
  Reader again(coordinator_.get(), &time_);
  ASSERT_TRUE(again.Open({.resume_token = token}).ok());
  ASSERT_TRUE(again.Pull());
  EXPECT_THAT(again.kinds,
              ::testing::ElementsAre(Kind::KIND_CHILD_EXITED, Kind::KIND_CHILD_RESTARTED));
  EXPECT_EQ(again.last.events().rbegin()->child().restarts(), 1u);
  EXPECT_EQ(ErrorReason(again.Open({.resume_token = "garbage"})), "RESUME_TOKEN_EXPIRED");
  RestartCoordinator();
  Reader late(coordinator_.get(), &time_);
  EXPECT_EQ(ErrorReason(late.Open({.resume_token = token})), "RESUME_TOKEN_EXPIRED");
}

TEST_F(Events, BookmarkWhenNothingHappens) {
  Reader reader(coordinator_.get(), &time_);
  ASSERT_TRUE(reader.Open({}).ok());
  ASSERT_TRUE(reader.Pull(absl::Seconds(31)));
  EXPECT_EQ(reader.last.events_size(), 0);
  EXPECT_FALSE(reader.last.resume_token().empty());
}

TEST_F(Events, SlowReaderIsCutAndGoesOnFromItsToken) {
  options_.watcher_lag_max = 5;
  RestartCoordinator();
  AddNode("n1");
  Reader reader(coordinator_.get(), &time_);
  ASSERT_TRUE(reader.Open({.send_snapshot = true}).ok());
  ASSERT_TRUE(reader.Pull());
  const std::string token = reader.last.resume_token();
  std::vector<ChildSpec> many;
  for (int i = 0; i < 10; ++i) many.push_back(Worker("c" + std::to_string(i)));
  ASSERT_TRUE(StartSupervisor("s", many).ok());
  EXPECT_FALSE(reader.Pull());
  EXPECT_EQ(ErrorReason(reader.status), "WATCHER_TOO_SLOW");
  // It is as far behind as before.
  Reader again(coordinator_.get(), &time_);
  ASSERT_TRUE(again.Open({.resume_token = token}).ok());
  ASSERT_TRUE(again.Pull());
  EXPECT_EQ(std::count(again.kinds.begin(), again.kinds.end(), Kind::KIND_CHILD_STARTED), 10);
}

TEST_F(Events, ClusterEventsTellJoinAndDeath) {
  std::optional<Coordinator::WatchId> watch;
  coordinator_->WatchCluster({}, [&](absl::StatusOr<Coordinator::WatchId> id) { watch = *id; });
  Settle();
  AddNode("n1");
  auto joined = Ask<v1::WatchClusterResponse>(
      [&](auto done) { coordinator_->NextClusterEvents(*watch, done); });
  ASSERT_TRUE(joined.ok());
  EXPECT_EQ(joined->events(0).kind(), v1::ClusterEvent::KIND_NODE_JOINED);
  EXPECT_EQ(joined->events(0).node().name(), "n1");
}

}  // namespace
}  // namespace banyan::testing
