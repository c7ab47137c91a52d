#include "tests/sim/workload_monitors.h"

#include <algorithm>
#include <vector>

#include "fmt/format.h"

namespace banyan::sim {
namespace {

constexpr int kWatchersPerNode = 4;

}  // namespace

void MonitorWorkload::OnLife(int node) {
  for (int i = 0; i < kWatchersPerNode; ++i) SpawnActor(node);
}

void MonitorWorkload::SpawnActor(int node) {
  auto actor = std::make_unique<MonitorActor>();
  MonitorActor* raw = actor.get();
  Spawn(node, std::move(actor), [this, raw](Self& self) { return Run(self, raw); },
        {.module = "monitor-actor"});
}

Task<ExitReason> MonitorWorkload::Run(Self& self, MonitorActor* me) {
  for (;;) {
    const absl::Duration pause = Between(absl::Milliseconds(20), absl::Seconds(1));
    std::optional<Message> m =
        co_await self.Receive(quiet() ? Instant::Infinite() : self.Now() + pause);
    if (m && m->is_down()) {
      OnDown(me, *m);
    } else if (!quiet() && !Act(self, me)) {
      co_return *me->reason;
    }
  }
}

bool MonitorWorkload::Act(Self& self, MonitorActor* me) {
  const uint64_t what = Below(100);
  if (what < 3) {
    Count("ends");
    me->reason = OneIn(2) ? ExitReason::Shutdown() : ExitReason::Error("done");
    // Somebody takes its place, or there would soon be nobody.
    SpawnActor(me->node);
    return false;
  }
  if (what < 30) {
    DoDemonitor(self, me);
  } else {
    DoMonitor(self, me);
  }
  return true;
}

void MonitorWorkload::DoMonitor(Self& self, MonitorActor* me) {
  Pid target;
  if (OneIn(4) && !actors().empty()) {
    target = actors()[Below(actors().size())]->exported;  // perhaps dead, perhaps of a former life
  } else if (Actor* other = RandomActor([&](const Actor& a) { return a.node != me->node; })) {
    target = Export(*other);
  }
  if (!target || !Member(me->node)) return;
  if (FindActor(target) == me) return;
  Count("monitors");
  Watch watch{.target = target, .since = Now(), .closed_then = SessionsClosed(me->node)};
  me->watches[self.Monitor(target)] = watch;
}

void MonitorWorkload::DoDemonitor(Self& self, MonitorActor* me) {
  std::vector<Ref> open;
  for (const auto& [ref, watch] : me->watches) {
    if (watch.state == State::kOpen) open.push_back(ref);
  }
  if (open.empty()) return;
  const Ref ref = open[Below(open.size())];
  Watch& watch = me->watches[ref];
  Count("demonitors");
  // False: the DOWN has come, and was taken out of the mailbox.
  watch.state = self.Demonitor(ref) ? State::kTakenBack : State::kFired;
}

std::string MonitorWorkload::Describe(const MonitorActor& me, Ref ref, const Watch& watch) const {
  return fmt::format("monitor {} of {} of {} on {}", ref, FormatPid(me.pid),
                     SimCluster::NodeName(me.node), FormatPid(watch.target));
}

void MonitorWorkload::OnDown(MonitorActor* me, const Message& m) {
  Count("downs");
  auto it = me->watches.find(m.ref());
  if (it == me->watches.end()) {
    return Violation(
        fmt::format("INV-12: {}: a DOWN for no monitor: {}", FormatPid(me->pid), m.ref()));
  }
  Watch& watch = it->second;
  const std::string who = Describe(*me, m.ref(), watch);
  if (watch.state == State::kFired) Violation(fmt::format("INV-12: {}: a second DOWN", who));
  if (watch.state == State::kTakenBack)
    Violation(fmt::format("INV-12: {}: a DOWN after it was taken back", who));
  watch.state = State::kFired;
  CheckReason(*me, watch, m.reason());
}

void MonitorWorkload::CheckReason(const MonitorActor& me, const Watch& watch,
                                  const ExitReason& reason) {
  const Actor* target = FindActor(watch.target);
  const std::string who = Describe(me, 0, watch);
  switch (reason.kind()) {
    case ExitReason::Kind::kNoConnection:
      // Between nodes that see each other and have not lost a session it cannot be.
      if (target && target->alive && calm() && !LifeOver(watch.target) &&
          SessionsClosed(me.node) == watch.closed_then) {
        Violation(fmt::format("INV-12: {}: noconnection without a loss", who));
      }
      return;
    case ExitReason::Kind::kNoProc:
      Count("noprocs");
      if (!MayBeOver(watch.target) && !(target && !target->alive))
        Violation(fmt::format("INV-12: {}: noproc of a process that lives", who));
      return;
    default:
      break;
  }
  if (!target || target->alive) {
    return Violation(fmt::format("INV-12: {}: {} of a process that lives", who, reason.ToString()));
  }
  const ExitReason expected = target->reason ? *target->reason : ExitReason::Killed();
  if (target->crashed || !(reason == expected)) {
    Violation(fmt::format("INV-12: {}: {}, but it ended with {}", who, reason.ToString(),
                          target->crashed ? "its node" : expected.ToString()));
  }
}

void MonitorWorkload::OnTick() {
  for (const auto& a : actors()) {
    if (!a->alive || cluster().node_paused(a->node)) continue;
    auto* me = static_cast<MonitorActor*>(a.get());
    for (auto& [ref, watch] : me->watches) {
      if (watch.state != State::kOpen || watch.reported) continue;
      const Actor* target = FindActor(watch.target);
      // One of the same node outlives the node's life as a member.
      if (target && target->node == me->node && target->alive) continue;
      const std::optional<Instant> gone = GoneSince(watch.target);
      if (!gone || Now() <= DueBy(me->node, std::max(*gone, watch.since + kDialMax))) continue;
      watch.reported = true;
      Violation(fmt::format("INV-12: {}: gone for {}, and no DOWN", Describe(*me, ref, watch),
                            absl::FormatDuration(Now() - *gone)));
    }
  }
}

// Whoever still watches has somebody alive to watch, who knows of it: a death is heard of.
void MonitorWorkload::CheckAtRest() {
  std::map<const Actor*, std::vector<Pid>> watchers;
  for (const auto& a : actors()) {
    if (!a->alive || !Member(a->node)) continue;
    Export(*a);
    cluster().runtime(a->node).Inspect(a->pid, [&watchers, actor = a.get()](auto snapshot) {
      if (snapshot) watchers[actor] = snapshot->watchers;
    });
  }
  cluster().time().RunFor(absl::Seconds(1));
  for (const auto& a : actors()) {
    if (!a->alive || !Member(a->node)) continue;
    auto* me = static_cast<MonitorActor*>(a.get());
    for (const auto& [ref, watch] : me->watches) {
      if (watch.state != State::kOpen) continue;
      Count("monitors at rest");
      const Actor* target = FindActor(watch.target);
      if (!target || !target->alive) continue;  // OnTick's
      const std::vector<Pid>& known = watchers[target];
      if (known.size() >= 100) continue;  // all that is shown
      const Pid seen = me->node == target->node ? me->pid : me->exported;
      if (std::find(known.begin(), known.end(), seen) == known.end()) {
        Violation(fmt::format("INV-12: {}: open here since {:.3f} s, unknown there, {} known, {}",
                              Describe(*me, ref, watch),
                              absl::ToDoubleSeconds(watch.since - Instant()), known.size(),
                              SessionUp(me->node, target->node) ? "connected" : "not connected"));
      }
    }
  }
}

}  // namespace banyan::sim
