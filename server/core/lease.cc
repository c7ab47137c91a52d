#include "server/core/lease.h"

#include <algorithm>
#include <cmath>

#include "fmt/format.h"

namespace banyan {
namespace {

// Heartbeats that one lease can outlast without an acknowledgement; older ones could renew nothing.
constexpr size_t kSentMax = 256;

std::string Format(absl::Duration d) { return fmt::format("{:g} s", absl::ToDoubleSeconds(d)); }

}  // namespace

LeaseTimes LeaseTimes::Single() {
  LeaseTimes t;
  t.failover_budget = absl::ZeroDuration();
  return t;
}

LeaseTimes LeaseTimes::Replicated() {
  LeaseTimes t;
  t.freeze = absl::Seconds(15);
  t.node = absl::Seconds(20);
  t.coordinator = absl::Seconds(25);
  t.failover_budget = absl::Seconds(12);
  return t;
}

LeaseTimes LeaseTimes::Scaled(double factor) const {
  LeaseTimes t = *this;
  for (absl::Duration* d : {&t.heartbeat, &t.suspect_after, &t.freeze, &t.node, &t.coordinator,
                            &t.leader_ttl, &t.leader_validity, &t.failover_budget, &t.max_handler,
                            &t.pause_allowance, &t.stall_limit}) {
    *d *= factor;
  }
  return t;
}

absl::Duration LeaseTimes::HeartbeatFor(uint64_t nodes) const {
  constexpr uint64_t kFullRateNodes = 2000;
  if (nodes <= kFullRateNodes) return heartbeat;
  return heartbeat * (static_cast<double>(nodes) / kFullRateNodes);
}

std::vector<LeaseProblem> CheckLeaseTimes(const LeaseTimes& t) {
  std::vector<LeaseProblem> problems;
  const auto require = [&](bool holds, const char* rule, const char* field, std::string text) {
    if (!holds) problems.push_back({rule, field, std::move(text)});
  };
  if (!(t.drift >= 0 && t.drift < 0.5)) {
    return {{"C1", "drift", "must be at least 0 and below 0.5"}};
  }
  if (t.heartbeat <= absl::ZeroDuration()) return {{"C4", "heartbeat", "must be positive"}};
  const absl::Duration least = (t.node * (1 + t.drift) + t.pause_allowance) / (1 - t.drift);
  require(t.coordinator * (1 - t.drift) >= t.node * (1 + t.drift) + t.pause_allowance, "C1",
          "coordinator",
          fmt::format("{} would replace a child while its node may still run it; needs at least {}",
                      Format(t.coordinator), Format(least)));
  const absl::Duration freeze = t.failover_budget + 2 * t.heartbeat;
  require(t.freeze >= freeze, "C2", "freeze",
          fmt::format("{} would freeze the nodes on every failover; needs at least {}",
                      Format(t.freeze), Format(freeze)));
  require(
      t.node - t.freeze >= t.max_handler, "C3", "node",
      fmt::format(
          "a handler of {} that began just before the freeze would be cut off; needs at least {}",
          Format(t.max_handler), Format(t.freeze + t.max_handler)));
  require(t.suspect_after >= 3 * t.heartbeat, "C4", "suspect_after",
          fmt::format("one late heartbeat would raise suspicion; needs at least {}",
                      Format(3 * t.heartbeat)));
  // One second at the usual six; scaled times scale it too.
  const absl::Duration margin = std::min(absl::Seconds(1), t.leader_ttl / 6);
  require(t.leader_validity <= t.leader_ttl - margin, "C5", "leader_validity",
          fmt::format("an old leader could act beside a new one; needs at most {}",
                      Format(t.leader_ttl - margin)));
  return problems;
}

uint64_t NodeLease::OnSend(Instant now) {
  sent_.push_back({next_seq_, now});
  if (sent_.size() > kSentMax) sent_.pop_front();
  return next_seq_++;
}

bool NodeLease::OnAck(uint64_t seq, uint32_t epoch) {
  if (!AcceptEpoch(epoch)) return false;
  const auto it =
      std::find_if(sent_.begin(), sent_.end(), [&](const Sent& s) { return s.seq == seq; });
  if (it == sent_.end()) return false;
  acked_seq_ = seq;
  acked_sent_at_ = it->at;
  sent_.erase(sent_.begin(), it + 1);
  return true;
}

bool NodeLease::AcceptEpoch(uint32_t epoch) {
  if (epoch < epoch_) return false;
  epoch_ = epoch;
  return true;
}

NodeLease::Phase NodeLease::PhaseAt(Instant now) const {
  if (acked_seq_ == 0) return Phase::kNone;
  if (now >= expires_at()) return Phase::kExpired;
  return now >= freeze_at() ? Phase::kFrozen : Phase::kRunning;
}

Instant NodeLease::freeze_at() const {
  return acked_seq_ == 0 ? Instant() : acked_sent_at_ + times_.freeze;
}
Instant NodeLease::expires_at() const {
  return acked_seq_ == 0 ? Instant() : acked_sent_at_ + times_.node;
}

absl::Duration NodeLease::Remaining(Instant now) const {
  if (acked_seq_ == 0) return absl::ZeroDuration();
  return std::max(absl::ZeroDuration(), expires_at() - now);
}

void NodeLease::Reset() {
  // Sequence numbers go on, so an acknowledgement of the earlier life is unknown to this one.
  sent_.clear();
  acked_seq_ = 0;
  acked_sent_at_ = Instant();
}

bool DeathClock::OnHeartbeat(Instant now) {
  if (decided_) return false;
  heard_ = std::max(heard_, now);
  return true;
}

bool DeathClock::Suspect(Instant now) const { return now >= suspect_at(); }
bool DeathClock::MayDie(Instant now) const { return now >= dead_at(); }

void DeathClock::Forgive(absl::Duration late) {
  if (late > absl::ZeroDuration()) heard_ = heard_ + late;
}

absl::Duration StallDetector::Tick(Instant now) {
  const absl::Duration late = (now - last_) - period_;
  last_ = now;
  return late > limit_ ? late : absl::ZeroDuration();
}

}  // namespace banyan
