#include "server/coordinator/start_pace.h"

#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "server/coordinator/start_queue.h"
#include "server/coordinator/token_bucket.h"

namespace banyan {
namespace {

using ::testing::ElementsAre;

Instant At(double seconds) { return Instant() + absl::Seconds(1000) + absl::Seconds(seconds); }

TEST(StartPaceTest, HalvesOnAFifthOfFailuresAndComesBackByATenthASecond) {
  struct Second {
    int starts, failures;
    double factor;  // after it
  };
  const std::vector<Second> seconds = {
      {100, 0, 1},    {100, 20, 1},                // a fifth is no trouble yet
      {100, 21, 0.5}, {100, 0, 0.6}, {0, 0, 0.7},  // also when nothing is started
      {9, 9, 0.8},                                 // too few to tell
      {10, 10, 0.4},  {10, 10, 0.2}, {10, 10, 0.1},
  };
  StartPace pace;
  EXPECT_EQ(pace.Factor(At(0)), 1);
  double t = 0;
  for (const Second& second : seconds) {
    for (int i = 0; i < second.starts; ++i) pace.Note(i < second.failures, At(t + 0.5));
    t += 1;
    EXPECT_NEAR(pace.Factor(At(t)), second.factor, 1e-9) << t;
  }
  EXPECT_NEAR(pace.Factor(At(t + 4)), 0.5, 1e-9);
  EXPECT_EQ(pace.Factor(At(t + 60)), 1);
}

TEST(StartPaceTest, ItNeverComesToAStop) {
  StartPace pace;
  for (int t = 0; t < 100; ++t) {
    for (int i = 0; i < 20; ++i) pace.Note(true, At(t));
  }
  EXPECT_GE(pace.Factor(At(100)), 0.01);
}

// In the order in which they are served, "s0" being the first child of s.
std::vector<std::string> Served(StartOrder* order,
                                const std::vector<std::pair<std::string, int32_t>>& enqueued) {
  std::map<StartOrder::Place, std::string> queue;
  std::map<std::string, int> counts;
  for (const auto& [supervisor, priority] : enqueued) {
    queue[order->Next(supervisor, priority)] = supervisor + std::to_string(counts[supervisor]++);
  }
  std::vector<std::string> out;
  for (const auto& [place, child] : queue) {
    order->Served(place);
    out.push_back(child);
  }
  return out;
}

TEST(StartOrderTest, SupervisorsTakeTurnsAndChildrenKeepTheirOrder) {
  StartOrder order;
  EXPECT_THAT(Served(&order, {{"a", 0}, {"a", 0}, {"a", 0}, {"b", 0}, {"b", 0}}),
              ElementsAre("a0", "b0", "a1", "b1", "a2"));
}

TEST(StartOrderTest, PriorityComesFirst) {
  StartOrder order;
  EXPECT_THAT(Served(&order, {{"a", 0}, {"b", 7}, {"b", 7}, {"c", -1}}),
              ElementsAre("b0", "b1", "a0", "c0"));
}

TEST(StartOrderTest, WhoComesLateNeitherPassesAllNorWaitsForAll) {
  StartOrder order;
  for (int i = 0; i < 3; ++i) order.Served(order.Next("a", 0));
  // a is in its third round.
  EXPECT_THAT(Served(&order, {{"a", 0}, {"a", 0}, {"b", 0}, {"b", 0}}),
              ElementsAre("b0", "a0", "b1", "a1"));
}

// One pass that starts what `may_start` says; `looked_at` counts what it looked at.
template <typename MayStart>
std::vector<std::string> Start(StartQueue<std::string>* queue, MayStart may_start,
                               size_t* looked_at) {
  std::vector<std::string> started;
  StartQueue<std::string>::Pass pass(queue);
  while (std::string* child = pass.child()) {
    ++*looked_at;
    pass.Take();
    if (may_start(*child)) {
      pass.Served();
      started.push_back(*child);
    } else {
      pass.PutBack();
    }
  }
  return started;
}

TEST(StartQueueTest, WhatWaitsIsNotLookedAt) {
  // 10,000 starts, 256 in flight at a time, as after the loss of a node.
  constexpr size_t kChildren = 10'000, kInFlight = 256;
  std::vector<std::string> children(kChildren);
  StartQueue<std::string> queue;
  for (size_t i = 0; i < kChildren; ++i) {
    children[i] = std::to_string(i);
    queue.Add(&children[i], "s", 0, "s");
  }
  size_t in_flight = 0, looked_at = 0;
  std::vector<std::string> started;
  const auto pass = [&] {
    const auto now =
        Start(&queue, [&](auto&) { return in_flight < kInFlight && ++in_flight > 0; }, &looked_at);
    started.insert(started.end(), now.begin(), now.end());
  };
  for (pass(); in_flight > 0; pass()) --in_flight;  // one is up: a turn of the coordinator
  ASSERT_EQ(started.size(), kChildren);
  for (size_t i = 0; i < kChildren; ++i) EXPECT_EQ(started[i], children[i]);
  EXPECT_LE(looked_at, 2 * kChildren + 1) << "each once, and the one that has to wait each time";
}

TEST(StartQueueTest, OneLaneDoesNotHoldUpAnother) {
  std::vector<std::string> a{"a0", "a1", "a2"}, b{"b0", "b1"};
  StartQueue<std::string> queue;
  for (std::string& child : a) queue.Add(&child, "a", 0, "a");
  for (std::string& child : b) queue.Add(&child, "b", 0, "b");
  size_t looked_at = 0;
  const auto only_b = [](const std::string& child) { return child[0] == 'b'; };
  EXPECT_THAT(Start(&queue, only_b, &looked_at), ElementsAre("b0", "b1"));
  EXPECT_EQ(looked_at, 3u);
  // What was put back keeps its place.
  EXPECT_THAT(Start(&queue, [](auto&) { return true; }, &looked_at), ElementsAre("a0", "a1", "a2"));
  EXPECT_TRUE(queue.empty());
}

TEST(StartQueueTest, LanesOfOneSupervisorKeepItsOrder) {
  std::vector<std::string> children{"c0", "d1", "c2", "d3"};
  StartQueue<std::string> queue;
  for (std::string& child : children) queue.Add(&child, "s", 0, child.substr(0, 1));
  queue.Remove(&children[1]);
  queue.Remove(&children[1]);
  size_t looked_at = 0;
  EXPECT_EQ(queue.size(), 3u);
  EXPECT_THAT(Start(&queue, [](auto&) { return true; }, &looked_at), ElementsAre("c0", "c2", "d3"));
}

TEST(TokenBucketTest, ASecondsWorthAtOnceThenAtTheRate) {
  TokenBucket bucket;
  int taken = 0;
  while (bucket.Take(50, At(0))) ++taken;
  EXPECT_EQ(taken, 50);
  EXPECT_FALSE(bucket.HasOne(50, At(0.01)));
  for (int i = 1; i <= 100; ++i) taken += bucket.Take(50, At(i * 0.02));
  EXPECT_NEAR(taken, 150, 1);
  // Below one a second it still lets one through in time.
  TokenBucket slow;
  EXPECT_TRUE(slow.Take(0.5, At(0)));
  EXPECT_FALSE(slow.Take(0.5, At(1)));
  EXPECT_TRUE(slow.Take(0.5, At(2.1)));
}

}  // namespace
}  // namespace banyan
