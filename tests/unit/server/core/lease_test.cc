#include "server/core/lease.h"

#include <gtest/gtest.h>

#include "at.h"

namespace banyan {
namespace {

TEST(LeaseTimes, DefaultsAreSoundAndStaySoWhenScaled) {
  for (const LeaseTimes& t :
       {LeaseTimes(), LeaseTimes::Single(), LeaseTimes::Replicated(),
        LeaseTimes::Single().Scaled(0.2), LeaseTimes::Replicated().Scaled(0.1)}) {
    const auto problems = CheckLeaseTimes(t);
    EXPECT_TRUE(problems.empty()) << problems[0].rule << ": " << problems[0].description;
  }
  EXPECT_EQ(LeaseTimes::Single().freeze, absl::Seconds(40));
  EXPECT_EQ(LeaseTimes::Single().node, absl::Seconds(50));
  EXPECT_EQ(LeaseTimes::Single().coordinator, absl::Seconds(60));
}

TEST(LeaseTimes, EachRuleIsChecked) {
  const auto first_rule = [](auto change) {
    LeaseTimes t = LeaseTimes::Replicated();
    change(&t);
    const auto problems = CheckLeaseTimes(t);
    return problems.empty() ? std::string() : problems[0].rule;
  };
  EXPECT_EQ(first_rule([](LeaseTimes* t) { t->coordinator = absl::Seconds(22); }), "C1");
  EXPECT_EQ(first_rule([](LeaseTimes* t) { t->freeze = absl::Seconds(13); }), "C2");
  EXPECT_EQ(first_rule([](LeaseTimes* t) { t->freeze = absl::Seconds(16); }), "C3");
  EXPECT_EQ(first_rule([](LeaseTimes* t) { t->suspect_after = absl::Seconds(2); }), "C4");
  EXPECT_EQ(first_rule([](LeaseTimes* t) { t->leader_validity = absl::Seconds(6); }), "C5");
  EXPECT_EQ(first_rule([](LeaseTimes* t) { t->drift = 1; }), "C1");
}

TEST(LeaseTimes, HeartbeatsStretchInLargeClusters) {
  EXPECT_EQ(LeaseTimes().HeartbeatFor(3), absl::Seconds(1));
  EXPECT_EQ(LeaseTimes().HeartbeatFor(2000), absl::Seconds(1));
  EXPECT_EQ(LeaseTimes().HeartbeatFor(4000), absl::Seconds(2));
}

TEST(NodeLease, RunsFromTheSendTimeOfWhatWasAcknowledged) {
  NodeLease lease(LeaseTimes::Replicated());
  EXPECT_EQ(lease.PhaseAt(At(1)), NodeLease::Phase::kNone);
  const uint64_t first = lease.OnSend(At(100));
  const uint64_t second = lease.OnSend(At(101));
  EXPECT_TRUE(lease.OnAck(first, 1));
  EXPECT_EQ(lease.expires_at(), At(120));
  EXPECT_EQ(lease.PhaseAt(At(114.9)), NodeLease::Phase::kRunning);
  EXPECT_EQ(lease.PhaseAt(At(115)), NodeLease::Phase::kFrozen);
  EXPECT_EQ(lease.PhaseAt(At(120)), NodeLease::Phase::kExpired);
  EXPECT_EQ(lease.Remaining(At(119)), absl::Seconds(1));
  EXPECT_EQ(lease.Remaining(At(130)), absl::ZeroDuration());
  EXPECT_TRUE(lease.OnAck(second, 1));
  EXPECT_EQ(lease.expires_at(), At(121));
  EXPECT_FALSE(lease.OnAck(first, 1)) << "an old acknowledgement shortens nothing";
  EXPECT_FALSE(lease.OnAck(99, 1));
  EXPECT_EQ(lease.expires_at(), At(121));
}

TEST(NodeLease, RefusesLowerEpochs) {
  NodeLease lease(LeaseTimes::Replicated());
  EXPECT_TRUE(lease.OnAck(lease.OnSend(At(100)), 5));
  EXPECT_FALSE(lease.OnAck(lease.OnSend(At(110)), 4));
  EXPECT_EQ(lease.expires_at(), At(120));
  EXPECT_TRUE(lease.AcceptEpoch(6));
  EXPECT_FALSE(lease.OnAck(lease.OnSend(At(111)), 5));
  lease.Reset();
  EXPECT_EQ(lease.PhaseAt(At(111)), NodeLease::Phase::kNone);
  EXPECT_EQ(lease.epoch(), 6u);
}

TEST(NodeLease, ForgetsVeryOldHeartbeats) {
  NodeLease lease(LeaseTimes::Replicated());
  const uint64_t first = lease.OnSend(At(1));
  for (int i = 0; i < 1000; ++i) lease.OnSend(At(2 + i));
  EXPECT_FALSE(lease.OnAck(first, 1));
}

TEST(DeathClock, SilenceMakesSuspectThenDead) {
  DeathClock clock(LeaseTimes::Replicated(), At(100));
  EXPECT_FALSE(clock.Suspect(At(103.9)));
  EXPECT_TRUE(clock.Suspect(At(104)));
  EXPECT_FALSE(clock.MayDie(At(124.9)));
  EXPECT_TRUE(clock.MayDie(At(125)));
  EXPECT_TRUE(clock.OnHeartbeat(At(124)));
  EXPECT_FALSE(clock.MayDie(At(148.9)));
  EXPECT_FALSE(clock.Suspect(At(127)));
}

TEST(DeathClock, AcknowledgesNothingOnceDeathIsDecided) {
  DeathClock clock(LeaseTimes::Replicated(), At(100));
  clock.DecideDeath();
  EXPECT_FALSE(clock.OnHeartbeat(At(126)));
  EXPECT_EQ(clock.heard(), At(100));
}

TEST(DeathClock, AStallOfTheCoordinatorIsForgiven) {
  const LeaseTimes times = LeaseTimes::Replicated();
  DeathClock clock(times, At(100));
  StallDetector stall(absl::Milliseconds(100), times.stall_limit, At(100));
  EXPECT_EQ(stall.Tick(At(100.1)), absl::ZeroDuration());
  EXPECT_EQ(stall.Tick(At(101)), absl::ZeroDuration()) << "late, but within the limit";
  const absl::Duration late = stall.Tick(At(131.1));
  EXPECT_EQ(late, absl::Seconds(30));
  clock.Forgive(late);
  EXPECT_FALSE(clock.MayDie(At(131.1)));
  EXPECT_TRUE(clock.MayDie(At(155)));
}

}  // namespace
}  // namespace banyan
