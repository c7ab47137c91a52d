#include "server/node/event_ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/time/virtual_time.h"

namespace banyan {
namespace {

class EventRingTest : public ::testing::Test {
 protected:
  v1::SupervisorEvent Event(const std::string& name) {
    v1::SupervisorEvent e;
    e.add_path(name);
    return e;
  }
  VirtualTime time;
  std::shared_ptr<EventRing> ring = std::make_shared<EventRing>(3, &time, &time, &time);
};

TEST_F(EventRingTest, ReadsFromAPositionAndSaysWhatIsMissed) {
  for (char c = 'a'; c <= 'e'; ++c) ring->Publish(Event(std::string(1, c)));
  NodeEvents got;
  ring->Next(1, 100, Instant::Infinite(), [&](NodeEvents e) { got = std::move(e); });
  ASSERT_EQ(got.events.size(), 3u);
  EXPECT_EQ(got.events[0].path(0), "c");
  EXPECT_EQ(got.missed, 2u);
  EXPECT_EQ(got.next, ring->end());
}

TEST_F(EventRingTest, WaitsForTheNextOne) {
  int answers = 0;
  NodeEvents got;
  ring->Next(ring->end(), 100, Instant::Infinite(), [&](NodeEvents e) {
    ++answers;
    got = std::move(e);
  });
  time.RunUntilIdle();
  EXPECT_EQ(answers, 0);
  ring->Publish(Event("x"));
  ring->Publish(Event("y"));
  time.RunUntilIdle();
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(got.events.size(), 2u);
}

TEST_F(EventRingTest, IsEmptyAtTheDeadline) {
  bool answered = false;
  ring->Next(ring->end(), 100, time.Now() + absl::Seconds(1), [&](NodeEvents e) {
    answered = true;
    EXPECT_TRUE(e.events.empty());
  });
  time.RunFor(absl::Seconds(2));
  EXPECT_TRUE(answered);
}

TEST_F(EventRingTest, HearsLocalSupervisors) {
  ring->SetIdentity({7, 1}, "n");
  SupervisorEvent e;
  e.kind = SupervisorEvent::Kind::kChildExited;
  e.supervisor = Pid{0, 0, 5};
  e.path = {"0:0:4", "sup"};
  e.child_id = "x";
  e.spec = std::make_shared<const ChildSpec>();
  e.pid = Pid{0, 0, 6};
  e.reason = ExitReason::Error("boom");
  ring->OnEvent(e);
  NodeEvents got;
  ring->Next(1, 100, Instant::Infinite(), [&](NodeEvents events) { got = std::move(events); });
  ASSERT_EQ(got.events.size(), 1u);
  EXPECT_EQ(got.events[0].kind(), v1::SupervisorEvent::KIND_CHILD_EXITED);
  EXPECT_EQ(got.events[0].supervisor().node_id(), 7u);
  EXPECT_EQ(got.events[0].reason().type(), "boom");
  EXPECT_THAT(got.events[0].path(), ::testing::ElementsAre("n:1:4", "sup", "x"));
}

}  // namespace
}  // namespace banyan
