#include "server/coordinator/lease_keeper.h"

#include <algorithm>
#include <vector>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/coordinator/core.h"

namespace banyan {
namespace {

constexpr absl::Duration kMassWindow = absl::Seconds(30);
constexpr absl::Duration kMassHold = absl::Minutes(5);
constexpr absl::Duration kFlapWindow = absl::Minutes(10);
constexpr size_t kFlapsMax = 3;

absl::Duration TickPeriod(const CoordinatorOptions& options) { return options.heartbeat / 4; }

}  // namespace

LeaseKeeper::LeaseKeeper(Coordinator::Core* core)
    : core_(core),
      stall_(TickPeriod(core->options), core->options.stall_limit, core->deps.clock->Now()) {}

void LeaseKeeper::Start() {
  stall_ = StallDetector(TickPeriod(core_->options), core_->options.stall_limit, core_->now());
  core_->After(TickPeriod(core_->options), [this] { Tick(); });
}

void LeaseKeeper::OnHeartbeat(LeaseSession* session, const internal::v1::LeaseRequest& beat) {
  if (!core_->started) return;
  Member* member = core_->members.FindById(beat.node_id());
  if (member == nullptr || member->gone() || member->incarnation() != beat.incarnation()) {
    return session->Close(WithErrorInfo(absl::AbortedError("this life of the node is not a member"),
                                        {.reason = "DEAD"}));
  }
  const Instant now = core_->now();
  if (member->lease != session) {
    LeaseSession* old = member->lease;
    member->lease = session;
    session->member = member;
    member->acked_seq = beat.acked_seq();
    member->last_sent_ack = 0;
    member->acked_moved = now;
    if (old != nullptr) {
      old->member = nullptr;
      old->Close(absl::AbortedError("another lease stream of this node took over"));
    }
  }
  member->load = beat.load();
  member->last_seen = core_->wall();
  if (member->frozen != beat.frozen()) {
    member->frozen = beat.frozen();
    core_->membership.Changed(member);
  }
  const bool one_way = OneWay(member, beat, now);
  member->last_beat = now;
  if (one_way) {
    member->acks_held = true;
    if (!member->suspect) Suspect(member);
    // Both streams go: what the node opens anew shows whether it hears us again.
    if (member->control != nullptr)
      member->control->Close(absl::UnavailableError("no ack arrives"));
    return session->Close(absl::UnavailableError("no ack arrives"));
  }
  if (member->acks_held) return;
  // A store that fails makes no leader: deaths could not be recorded either, so acks go on (F-14).
  if (!member->clock.OnHeartbeat(now)) return;
  member->last_sent_ack = beat.seq();
  session->Ack(beat.seq());
  if (member->suspect) {
    ++member->beats_in_row;
    MaybeTrust(member);
  }
}

// Acks go out, the node does not get them.
bool LeaseKeeper::OneWay(Member* member, const internal::v1::LeaseRequest& beat, Instant now) {
  const bool pause = now - member->last_beat > core_->options.suspect_after;
  if (beat.acked_seq() > member->acked_seq || member->last_sent_ack <= beat.acked_seq() || pause) {
    member->acked_seq = beat.acked_seq();
    member->acked_moved = now;
    return false;
  }
  return now - member->acked_moved > core_->options.one_way_limit;
}

void LeaseKeeper::OnLeaseLost(Member* member) {
  if (core_->started && !member->gone() && !member->suspect) Suspect(member);
}

void LeaseKeeper::OnResynced(Member* member) {
  member->acks_held = false;
  member->acked_moved = core_->now();
  MaybeTrust(member);
}

void LeaseKeeper::MaybeTrust(Member* member) {
  if (!member->suspect || member->gone() || member->lease == nullptr) return;
  if (member->beats_in_row < member->beats_wanted || !member->resynced) return;
  member->suspect = false;
  member->beats_wanted = 3;
  core_->membership.Changed(member);
  core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_RECOVERED, member->name());
  core_->reconciler.OnViewChanged();
}

void LeaseKeeper::Suspect(Member* member) {
  const Instant now = core_->now();
  member->suspect = true;
  member->suspect_since = now;
  member->beats_in_row = 0;
  auto& episodes = member->suspect_episodes;
  std::erase_if(episodes, [&](Instant at) { return now - at > kFlapWindow; });
  episodes.push_back(now);
  if (episodes.size() > kFlapsMax) {
    const absl::Duration pause = absl::Seconds(30) * (1 << std::min(member->quarantines++, 5u));
    member->quarantined_until = now + std::min(pause, absl::Minutes(15));
    core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_QUARANTINE, member->name());
  }
  core_->membership.Changed(member);
  core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_SUSPECT, member->name());
  core_->reconciler.OnSuspect(member);
}

void LeaseKeeper::Tick() {
  const Instant now = core_->now();
  const absl::Duration late = stall_.Tick(now);
  if (late > absl::ZeroDuration()) {
    for (const auto& [name, member] : core_->members.all()) {
      member->clock.Forgive(late);
      member->acked_moved = member->acked_moved + late;
    }
  }
  core_->After(TickPeriod(core_->options), [this] { Tick(); });
  // What has arrived meanwhile is read before anybody is judged (L4).
  core_->Post([this] {
    const Instant judged = core_->now();
    std::vector<Member*> members;
    for (const auto& [name, member] : core_->members.all()) members.push_back(member.get());
    for (Member* member : members) Check(member, judged);
  });
}

void LeaseKeeper::Check(Member* member, Instant now) {
  if (member->gone()) return;
  const bool unmanaged =
      member->control == nullptr && now - member->control_lost > core_->options.unmanageable_after;
  if (!member->suspect && (member->clock.Suspect(now) || unmanaged)) Suspect(member);
  if (!member->clock.MayDie(now)) return;
  if (MassLoss(now)) return;
  member->clock.DecideDeath();  // L7
  core_->membership.Die(member, "lease");
}

// Most of the cluster lost at once is more likely the coordinator's own network: holding is safe.
bool LeaseKeeper::MassLoss(Instant now) {
  size_t lost = 0, all = 0;
  for (const auto& [name, member] : core_->members.all()) {
    if (member->gone()) continue;
    ++all;
    if (member->suspect) ++lost;
  }
  // The window compares when they were lost, so that one after another is no mass loss.
  size_t recent = 0;
  for (const auto& [name, member] : core_->members.all()) {
    if (member->gone() || !member->suspect) continue;
    size_t near = 0;
    for (const auto& [other, m] : core_->members.all()) {
      if (!m->gone() && m->suspect && m->suspect_since >= member->suspect_since &&
          m->suspect_since - member->suspect_since <= kMassWindow) {
        ++near;
      }
    }
    recent = std::max(recent, near);
  }
  const bool mass = lost >= 3 && recent >= 3 && recent * 2 > all;
  if (!mass) {
    deaths_held_ = false;
    held_until_ = Instant();
    return false;
  }
  if (held_until_ == Instant()) {
    held_until_ = now + kMassHold;
    core_->cluster_events.AddAlarm(
        fmt::format("{} of {} nodes are missing at once: deaths by lease are held", lost, all));
  }
  deaths_held_ = now < held_until_;
  return deaths_held_;
}

}  // namespace banyan
