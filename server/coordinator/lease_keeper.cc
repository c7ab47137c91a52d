#include "server/coordinator/lease_keeper.h"

#include <algorithm>
#include <cmath>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/base/mutant.h"
#include "server/coordinator/core.h"

namespace banyan {
namespace {

absl::Duration TickPeriod(const CoordinatorOptions& options) { return options.heartbeat / 4; }

MassLossGuard::Limits MassLimits(const CoordinatorOptions& options) {
  MassLossGuard::Limits limits;
  limits.window = options.mass_loss_window;
  limits.hold = options.mass_loss_hold;
  return limits;
}

}  // namespace

LeaseKeeper::LeaseKeeper(Coordinator::Core* core)
    : core_(core),
      stall_(TickPeriod(core->options), core->options.stall_limit, core->deps.clock->Now()),
      mass_loss_(MassLimits(core->options)) {}

void LeaseKeeper::Start() {
  // L3. The transaction that begins the term may have been under way for long, and whoever called
  // meanwhile was not heard.
  const Instant heard = core_->term_start -
                        (Mutant("no-term-grace") ? core_->times.coordinator : absl::ZeroDuration());
  for (const auto& [name, member] : core_->members.all()) {
    member->clock = DeathClock(core_->times, heard);
    member->control_lost = core_->term_start;
    member->suspect_since = core_->term_start;
  }
  stall_ = StallDetector(TickPeriod(core_->options), core_->options.stall_limit, core_->now());
  core_->After(TickPeriod(core_->options), [this] { Tick(); });
}

void LeaseKeeper::OnHeartbeat(LeaseSession* session, const internal::v1::LeaseRequest& beat) {
  if (!core_->started) return;
  Member* member = core_->members.FindById(beat.node_id());
  if (Mutant("ack-after-death") && member && member->incarnation() == beat.incarnation() &&
      member->gone())
    return session->Ack(beat.seq());
  if (member == nullptr || member->gone() || member->incarnation() != beat.incarnation()) {
    // Not before the death is durable; and while SAFE mode begins, the control stream decides.
    if (core_->safe_mode.on()) return session->Close(absl::UnavailableError("say hello first"));
    return session->CloseWhenStored(
        WithErrorInfo(absl::AbortedError("this life of the node is over"), {.reason = "DEAD"}));
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
  CheckClock(member, beat, now);
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

// What the node's own clock and its watcher are like.
void LeaseKeeper::CheckClock(Member* member, const internal::v1::LeaseRequest& beat, Instant now) {
  if (member->has_watcher && beat.no_watcher()) {
    member->has_watcher = false;
    core_->membership.Changed(member);
    core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_UPDATED, member->name());
    core_->cluster_events.AddAlarm(
        fmt::format("the watcher of node \"{}\" has ended: if the node crashes, that is known by "
                    "its lease only",
                    member->name()));
  }
  member->drift.OnHeartbeat(beat.sent_ns(), now);
  if (!member->drift.drift()) return;
  const double drift = std::abs(*member->drift.drift());
  const bool alarm = drift > core_->options.drift_alarm;
  const bool exclusive_ok = drift <= core_->options.clock_drift / 2;
  if (alarm != std::exchange(member->drift_alarm, alarm)) {
    core_->cluster_events.AddAlarm(fmt::format("the clock of node \"{}\" {}: it runs {:+.2f} %",
                                               member->name(), alarm ? "drifts" : "is right again",
                                               *member->drift.drift() * 100));
  }
  if (exclusive_ok != std::exchange(member->exclusive_ok, exclusive_ok)) {
    core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_UPDATED, member->name());
    core_->reconciler.OnViewChanged();
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
  mass_loss_.OnTrusted(member->node_id());
  core_->membership.Changed(member);
  core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_RECOVERED, member->name());
  core_->reconciler.OnViewChanged();
}

void LeaseKeeper::Suspect(Member* member) {
  const Instant now = core_->now();
  member->suspect = true;
  member->suspect_since = now;
  member->beats_in_row = 0;
  if (Mutant("release-on-suspect"))
    core_->names.OnNodeGone(member->node_id(), member->incarnation());
  const bool braked = mass_loss_.braked();
  mass_loss_.OnSuspect(member->node_id(), core_->members.live(), now);
  if (!braked && mass_loss_.braked()) {
    core_->cluster_events.AddAlarm(
        fmt::format("many nodes are missing at once: replacements are braked to {:g} a second",
                    core_->options.braked_starts_per_second));
  }
  if (member->flaps.OnSuspect(now)) Quarantine(member);
  core_->membership.Changed(member);
  core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_SUSPECT, member->name());
  core_->reconciler.OnSuspect(member);
}

void LeaseKeeper::OnDeath(Member* member) {
  if (member->flaps.OnDeath(core_->now())) Quarantine(member);
}

// It keeps what runs and gets nothing for a while; the next life of the node inherits that. The
// last node that takes children is left alone.
void LeaseKeeper::Quarantine(Member* member) {
  const Instant now = core_->now();
  size_t quarantined = 0, others = 0;
  for (const auto& [name, other] : core_->members.all()) {
    if (other.get() == member || other->gone()) continue;
    ++others;
    if (now < other->quarantined_until) ++quarantined;
  }
  if (others <= quarantined) return;
  if (now >= member->quarantined_until &&
      !quarantines_.Take(core_->members.all().size(), quarantined, now))
    return;
  const CoordinatorOptions& options = core_->options;
  const absl::Duration pause =
      member->flaps.NextPause(options.quarantine_first, options.quarantine_max);
  member->quarantined_until = now + pause;
  core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_QUARANTINE, member->name());
  core_->After(pause, [this, name = member->name()] {
    Member* m = core_->members.Find(name);
    if (m == nullptr || core_->now() < m->quarantined_until) return;
    core_->cluster_events.Add(v1::ClusterEvent::KIND_NODE_QUARANTINE, name);
    core_->reconciler.OnViewChanged();
  });
}

absl::Duration LeaseKeeper::heartbeat() const {
  return core_->times.HeartbeatFor(core_->members.live());
}

void LeaseKeeper::Tick() {
  const Instant now = core_->now();
  const absl::Duration late = stall_.Tick(now);
  if (Mutant("no-stall-rule")) {
    for (const auto& [name, member] : core_->members.all())
      Check(member.get(), 3 * heartbeat(), now);
  }
  if (late > absl::ZeroDuration()) {
    for (const auto& [name, member] : core_->members.all()) {
      // Whoever has been heard since then owes no more than the time since.
      member->clock.Forgive(std::min(late, now - member->clock.heard()));
      member->acked_moved = std::min(member->acked_moved + late, now);
    }
  }
  core_->After(TickPeriod(core_->options), [this] { Tick(); });
  // What has arrived meanwhile is read before anybody is judged (L4).
  core_->Post([this] {
    const Instant judged = core_->now();
    CheckMassLoss(judged);
    std::vector<Member*> members;
    for (const auto& [name, member] : core_->members.all()) members.push_back(member.get());
    const absl::Duration silence = 3 * heartbeat();
    for (Member* member : members) Check(member, silence, judged);
  });
}

void LeaseKeeper::Check(Member* member, absl::Duration silence, Instant now) {
  if (member->gone()) return;
  const bool unmanaged =
      member->control == nullptr && now - member->control_lost > core_->options.unmanageable_after;
  // In a very large cluster heartbeats are further apart.
  const bool silent = now >= std::max(member->clock.suspect_at(), member->clock.heard() + silence);
  if (!member->suspect && (silent || unmanaged)) Suspect(member);
  if (member->record.state() == v1::NODE_STATE_JOINING && member->control != nullptr &&
      now - member->joined_at > core_->options.join_timeout) {
    member->joined_at = now;
    member->control->Close(absl::UnavailableError("the resync did not come in time"));
  }
  const bool early = Mutant("dead-before-lease-end") &&
                     now - member->clock.heard() > core_->options.lease_freeze / 2;
  if (!member->clock.MayDie(now) && !early) return;
  if (mass_loss_.Hold(now)) return;
  member->clock.DecideDeath();  // L7
  core_->membership.Die(member, "lease");
}

// Most of the cluster lost at once is more likely the coordinator's own network: holding is safe.
void LeaseKeeper::CheckMassLoss(Instant now) {
  std::vector<MassLossGuard::Suspect> suspects;
  for (const auto& [name, member] : core_->members.all()) {
    if (!member->gone() && member->suspect)
      suspects.push_back({member->node_id(), member->suspect_since});
  }
  const bool held = mass_loss_.held();
  mass_loss_.Update(suspects, core_->members.live(), now);
  if (held == mass_loss_.held()) return;
  core_->cluster_events.AddAlarm(
      held ? "deaths by lease are no longer held"
           : fmt::format("{} of {} nodes are missing at once: deaths by lease are held",
                         suspects.size(), core_->members.live()));
}

std::vector<std::string> LeaseKeeper::Alarms() const {
  std::vector<std::string> alarms;
  if (deaths_held()) {
    alarms.push_back(
        "more than half of the nodes are missing at once: deaths by lease are held; if they are "
        "really gone: `banyan node confirm-dead`");
  }
  if (braked()) {
    alarms.push_back(
        fmt::format("many nodes were lost at once: replacements are braked to {:g} a "
                    "second",
                    core_->options.braked_starts_per_second));
  }
  for (const auto& [name, member] : core_->members.all()) {
    if (member->gone() || !member->drift_alarm) continue;
    alarms.push_back(
        fmt::format("the clock of node \"{}\" runs {:+.2f} % against the "
                    "coordinator's{}",
                    name, *member->drift.drift() * 100,
                    member->exclusive_ok ? "" : ": it gets no exclusive children"));
  }
  return alarms;
}

}  // namespace banyan
