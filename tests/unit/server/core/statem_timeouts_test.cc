#include "server/core/statem_timeouts.h"

#include <set>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace banyan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = TimeoutId::Kind;
using Op = TimeoutRequest::Op;

const TimeoutId kState{Kind::kState, ""};
const TimeoutId kEvent{Kind::kEvent, ""};
TimeoutId Named(std::string name) { return {Kind::kNamed, std::move(name)}; }

Payload Word(std::string text) { return Payload::Local(std::move(text)); }
std::string Text(const StatemTimeouts::Fired& f) {
  std::string id = f.id.kind == Kind::kState   ? "state"
                   : f.id.kind == Kind::kEvent ? "event"
                                               : f.id.name;
  const auto* content = f.content.As<std::string>();
  return content ? id + "=" + *content : id;
}

// Timers that only count.
class FakeTimers : public StatemTimerService {
 public:
  Ref Start(const TimeoutRequest& request) override {
    running.insert(++last);
    return last;
  }
  void Cancel(Ref timer) override { EXPECT_EQ(running.erase(timer), 1u); }
  std::set<Ref> running;
  Ref last = 0;
};

class StatemTimeoutsTest : public testing::Test {
 protected:
  void Start(TimeoutId id, absl::Duration d, std::string content = "") {
    timeouts_.Apply({std::move(id), Op::kStart, d, {}, Word(std::move(content))}, timers_);
  }
  void Apply(TimeoutId id, Op op, std::string content = "") {
    timeouts_.Apply({std::move(id), op, {}, {}, Word(std::move(content))}, timers_);
  }
  std::vector<std::string> List() const {
    std::vector<std::string> list;
    for (const auto& f : timeouts_.List()) list.push_back(Text(f));
    return list;
  }
  std::vector<std::string> Zeros() {
    std::vector<std::string> zeros;
    while (auto f = timeouts_.PopZero()) zeros.push_back(Text(*f));
    return zeros;
  }

  const absl::Duration later_ = absl::Seconds(1);
  FakeTimers timers_;
  StatemTimeouts timeouts_;
};

TEST_F(StatemTimeoutsTest, OneOfEachIdTheNewOneReplacesTheOld) {
  Start(kState, later_, "1");
  Start(kEvent, later_, "2");
  Start(Named("n"), later_, "3");
  Start(Named("m"), later_, "4");
  Start(Named("n"), later_, "5");
  EXPECT_THAT(List(), ElementsAre("state=1", "event=2", "m=4", "n=5"));
  EXPECT_THAT(timers_.running, ElementsAre(1, 2, 4, 5));
}

TEST_F(StatemTimeoutsTest, FiringIsOnceAndKnowsStrangers) {
  Start(Named("n"), later_, "1");
  EXPECT_EQ(timeouts_.Of(0), nullptr);
  EXPECT_EQ(timeouts_.Of(7), nullptr);
  ASSERT_NE(timeouts_.Of(1), nullptr);
  EXPECT_FALSE(timeouts_.Fire(7).has_value());
  EXPECT_EQ(Text(*timeouts_.Fire(1)), "n=1");
  EXPECT_FALSE(timeouts_.Fire(1).has_value());
  EXPECT_THAT(List(), IsEmpty());
}

TEST_F(StatemTimeoutsTest, AZeroTimeoutIsNotATimer) {
  Start(kState, absl::ZeroDuration());
  EXPECT_FALSE(timeouts_.Fire(0).has_value());
  EXPECT_THAT(timers_.running, IsEmpty());
  EXPECT_THAT(Zeros(), ElementsAre("state="));
}

TEST_F(StatemTimeoutsTest, ZeroTimeoutsComeInTheOrderSet) {
  Start(Named("x"), absl::ZeroDuration(), "1");
  Start(kState, later_);
  Start(kEvent, absl::ZeroDuration(), "2");
  Start(Named("x"), absl::ZeroDuration(), "3");
  EXPECT_THAT(Zeros(), ElementsAre("event=2", "x=3"));
  EXPECT_THAT(List(), ElementsAre("state="));
}

TEST_F(StatemTimeoutsTest, ZeroThenTimerThenZero) {
  Start(kState, absl::ZeroDuration());
  Start(kState, later_);
  EXPECT_THAT(Zeros(), IsEmpty());
  Start(kState, absl::ZeroDuration(), "z");
  EXPECT_THAT(timers_.running, IsEmpty());
  EXPECT_THAT(Zeros(), ElementsAre("state=z"));
}

TEST_F(StatemTimeoutsTest, CancelAndInfinity) {
  Start(kState, later_);
  Start(Named("n"), absl::ZeroDuration());
  Apply(kState, Op::kCancel);
  Start(Named("n"), absl::InfiniteDuration());
  timeouts_.Apply({Named("n"), Op::kStartAt, {}, Instant::Infinite(), {}}, timers_);
  Apply(Named("unknown"), Op::kCancel);
  EXPECT_THAT(List(), IsEmpty());
  EXPECT_THAT(timers_.running, IsEmpty());
}

TEST_F(StatemTimeoutsTest, UpdateKeepsTheTimer) {
  Start(kState, later_, "1");
  Start(Named("n"), absl::ZeroDuration(), "2");
  Start(Named("m"), absl::ZeroDuration(), "3");
  Apply(kState, Op::kUpdate, "4");
  Apply(Named("n"), Op::kUpdate, "5");
  Apply(Named("new"), Op::kUpdate, "6");
  EXPECT_THAT(timers_.running, ElementsAre(1));
  EXPECT_THAT(Zeros(), ElementsAre("n=5", "m=3", "new=6"));
  EXPECT_EQ(Text(*timeouts_.Fire(1)), "state=4");
}

TEST_F(StatemTimeoutsTest, AnAbsoluteTimeIsATimerEvenIfItIsPast) {
  timeouts_.Apply({kState, Op::kStartAt, {}, Instant::FromNanos(0), {}}, timers_);
  EXPECT_THAT(Zeros(), IsEmpty());
  EXPECT_THAT(timers_.running, ElementsAre(1));
}

TEST_F(StatemTimeoutsTest, WhatAnEventEnds) {
  struct {
    bool changed;
    std::vector<std::string> left;
  } cases[] = {{false, {"state=", "n="}}, {true, {"n="}}};
  for (const auto& c : cases) {
    timeouts_ = {};
    timers_.running.clear();
    Start(kState, later_);
    Start(kEvent, later_);
    Start(Named("n"), later_);
    timeouts_.EventDone(c.changed, timers_);
    EXPECT_EQ(List(), c.left);
    EXPECT_EQ(timers_.running.size(), c.left.size());
  }
}

TEST(StatemTimeoutRequests, TheLastOfEachIdIsKeptInItsPlace) {
  auto request = [](TimeoutId id, int seconds) {
    return TimeoutRequest{std::move(id), Op::kStart, absl::Seconds(seconds), {}, {}};
  };
  std::vector<TimeoutRequest> requests = {request(Named("n"), 1), request(kState, 2),
                                          request(Named("m"), 3), request(Named("n"), 4),
                                          request(kEvent, 5),     request(Named("n"), 6)};
  StatemTimeouts::KeepLast(&requests);
  std::vector<int64_t> kept;
  for (const TimeoutRequest& r : requests) kept.push_back(absl::ToInt64Seconds(r.after));
  EXPECT_THAT(kept, ElementsAre(2, 3, 5, 6));
}

}  // namespace
}  // namespace banyan
