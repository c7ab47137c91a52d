// What a node remembers of the coordinator's store, so that one that went back in time is noticed.
#include <gmock/gmock.h>

#include "fake_coordinator.h"
#include "server/core/feature_level.h"
#include "server/node/watch_page_sink.h"

namespace banyan::testing {
namespace {

using ::testing::ElementsAre;

class StoreMemory : public NodeTest {
 protected:
  StoreMemory() {
    hooks.store_seen = [this](uint64_t revision, uint32_t epoch) {
      told.push_back(revision);
      EXPECT_EQ(epoch, c.epoch) << "a revision goes with the term that it is of";
    };
  }
  void Reconnect() {
    network.Break("n:1", "c:1", StreamKind::kControl);
    Settle(absl::Seconds(3));
  }
  std::vector<uint64_t> told;
};

TEST_F(StoreMemory, TheHelloSaysWhatWasSeen) {
  Join();
  EXPECT_EQ(c.hellos[0].store_revision(), 0u);
  EXPECT_EQ(c.hellos[0].node_id(), 0u);
  c.revision = 17;  // comes with acknowledgements
  Settle(absl::Seconds(3));
  c.revision = 5;  // it went back
  Settle(absl::Seconds(3));
  Reconnect();
  EXPECT_EQ(c.hellos[1].store_id(), "store");
  EXPECT_EQ(c.hellos[1].store_revision(), 17u);
  EXPECT_EQ(c.hellos[1].node_id(), 7u);
  EXPECT_EQ(c.hellos[1].incarnation(), 1u);
}

TEST_F(StoreMemory, ItIsToldNowAndThenToBeRemembered) {
  Join();
  for (int second = 0; second < 20; ++second) {
    ++c.revision;
    Settle(absl::Seconds(1));
  }
  EXPECT_GE(told.size(), 3u);
  EXPECT_LE(told.size(), 7u) << "not with every acknowledgement";
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_GE(told.back(), 10u);
}

TEST_F(StoreMemory, ALaterProcessKnowsIt) {
  change_options = [](NodeOptions* o) {
    o->store_id = "store";
    o->store_revision = 40;
  };
  TearDown();
  Boot();
  c.hellos.clear();
  Settle(absl::Seconds(3));
  ASSERT_FALSE(c.hellos.empty());
  EXPECT_EQ(c.hellos[0].store_revision(), 40u);
}

TEST_F(StoreMemory, AnotherStoreBeginsAnew) {
  c.revision = 17;
  Join();
  c.store_id = "restored";
  c.revision = 3;
  Reconnect();
  Reconnect();
  EXPECT_EQ(c.hellos.back().store_id(), "restored");
  EXPECT_EQ(c.hellos.back().store_revision(), 3u);
}

TEST_F(StoreMemory, ChildrenLiveOnUnderARestoredStoreAndTellTheirSpecs) {
  Join();
  internal::v1::Command start = StartCommand({"sup", "x"}, 100);
  start.mutable_start()->add_extra_args()->mutable_value()->set_value("more");
  c.SendCommand(start);
  Settle();
  const Pid pid{0, 0, c.reports.back().started().pid().id()};
  c.AckReports();
  Reconnect();
  ASSERT_EQ(c.chunks.size(), 1u);
  EXPECT_FALSE(c.chunks[0].children(0).has_spec()) << "only when it is asked for";
  c.store_id = "restored";
  c.epoch = 9;
  c.keep_all = true;
  Reconnect();
  ASSERT_EQ(c.chunks.size(), 1u);
  ASSERT_EQ(c.chunks[0].children_size(), 1);
  const internal::v1::ChildStatus& child = c.chunks[0].children(0);
  EXPECT_EQ(child.fence(), 100u);
  EXPECT_EQ(child.spec().start().module(), "counter");
  ASSERT_EQ(child.extra_args_size(), 1);
  EXPECT_EQ(child.extra_args(0).value().value(), "more");
  EXPECT_EQ(Call(pid), "1");
}

class Page : public WatchPageSink {
 public:
  void SetIdentity(wire::NodeIdentity) override {}
  void SetLease(Instant, Instant, Instant) override {}
  void SetHasExclusive(bool) override {}
  void SetFrozen(bool) override {}
  bool WatcherAlive() const override { return alive; }
  bool alive = true;
};

TEST_F(StoreMemory, F39HeartbeatsTellThatTheWatcherHasEnded) {
  Page watched;
  TearDown();
  page = &watched;
  change_options = [](NodeOptions* o) { o->has_watcher = true; };
  c.features = feature::kWatcherNews;
  Boot();
  Settle(absl::Seconds(3));
  EXPECT_FALSE(c.beats.back().no_watcher());
  watched.alive = false;
  Settle(absl::Seconds(3));
  EXPECT_TRUE(c.beats.back().no_watcher());
  // To a coordinator that does not know it, it is not told.
  c.features = 0;
  Reconnect();
  EXPECT_FALSE(c.beats.back().no_watcher());
  Crash();  // before its page
}

}  // namespace
}  // namespace banyan::testing
