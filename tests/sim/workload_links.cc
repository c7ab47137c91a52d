#include "tests/sim/workload_links.h"

#include <algorithm>
#include <set>

#include "fmt/format.h"

namespace banyan::sim {
namespace {

constexpr int kLinkersPerNode = 4;
// After this a link has reached its other end, if its session has not broken.
constexpr absl::Duration kSettled = absl::Seconds(2);

}  // namespace

bool LinkWorkload::Side::MayUndo(const Side& link) const {
  if (!last_unlink_call) return false;
  // One that a pause of the other node has held up is acted on when that node runs again.
  return *last_unlink_call >= link.since - kDialMax || link.since_ran - unlink_ran < kDialMax;
}

// -------------------------------------------------------------------- actors

void LinkWorkload::OnLife(int node) {
  for (int i = 0; i < kLinkersPerNode; ++i) SpawnActor(node);
}

void LinkWorkload::SpawnActor(int node) {
  auto actor = std::make_unique<LinkActor>();
  LinkActor* raw = actor.get();
  Spawn(node, std::move(actor), [this, raw](Self& self) { return Run(self, raw); },
        {.trap_exit = true, .module = "link-actor"});
}

Task<ExitReason> LinkWorkload::Run(Self& self, LinkActor* me) {
  for (;;) {
    const absl::Duration pause = Between(absl::Milliseconds(20), absl::Seconds(2));
    std::optional<Message> m =
        co_await self.Receive(quiet() ? Instant::Infinite() : self.Now() + pause);
    if (m && m->is_exit()) {
      OnExit(me, *m);
    } else if (m && m->is_info()) {
      Strike(self, me, *m->payload().As<Pid>());
    } else if (!quiet() && !Act(self, me)) {
      co_return *me->reason;
    }
  }
}

// The last ones are what is compared at rest.
void LinkWorkload::StopLoad() {
  for (int i = 0; i < 30; ++i) Duel();
  ActorWorkload::StopLoad();
}

void LinkWorkload::Duel() {
  Actor* one = RandomActor([](const Actor&) { return true; });
  Actor* other = one ? RandomActor([&](const Actor& a) { return a.node != one->node; }) : nullptr;
  if (other) Duel(one, other);
}

void LinkWorkload::Duel(Actor* one, Actor* other) {
  Count("duels");
  for (auto [actor, opponent] : {std::pair{one, other}, std::pair{other, one}})
    cluster().runtime(actor->node).Send(actor->pid, Payload::Local(Export(*opponent)));
}

// Both ends want a session at once, or one of them before the other knows that the old one is over.
void LinkWorkload::OnSessionFault(int a, int b) {
  if (quiet()) return;
  for (int i = 0; i < 3; ++i) {
    cluster().After(Between(absl::ZeroDuration(), absl::Milliseconds(300)), WhileLive([this, a, b] {
                      if (quiet()) return;
                      Actor* one = RandomActor([&](const Actor& x) { return x.node == a; });
                      Actor* other = RandomActor([&](const Actor& x) { return x.node == b; });
                      if (one && other) Duel(one, other);
                    }));
  }
}

void LinkWorkload::Strike(Self& self, LinkActor* me, Pid opponent) {
  for (uint64_t i = 1 + Below(3); i > 0; --i) {
    if (OneIn(2)) {
      DoLink(self, me, opponent);
    } else {
      DoUnlink(self, me, opponent);
    }
  }
}

bool LinkWorkload::Act(Self& self, LinkActor* me) {
  const Pid to = Target(me);
  const uint64_t what = Below(100);
  if (what < 3) {
    Count("ends");
    me->reason = OneIn(2) ? ExitReason::Normal() : ExitReason::Error("done");
    return false;
  }
  if (!to) return true;
  if (what < 6) {
    Count("kills");
    self.Exit(to, ExitReason::Kill());
  } else if (what < 12) {
    self.Exit(to, ExitReason::Error("by hand"));
  } else if (what < 16) {
    SpawnLinked(self, me);
  } else if (what < 50) {
    DoUnlink(self, me, to);
  } else {
    DoLink(self, me, to);
  }
  return true;
}

// Mostly somebody of another node who lives; now and then one of those that it has had to do with,
// dead or alive.
Pid LinkWorkload::Target(LinkActor* me) {
  if (!me->sides.empty() && OneIn(3)) {
    auto it = me->sides.begin();
    std::advance(it, static_cast<ptrdiff_t>(Below(me->sides.size())));
    return it->first;
  }
  Actor* other = RandomActor([&](const Actor& a) { return a.node != me->node; });
  return other ? Export(*other) : Pid{};
}

void LinkWorkload::DoLink(Self& self, LinkActor* me, Pid to) {
  if (!Member(me->node)) return;
  // OTP's answer to that is no exit of a link.
  if (to.local() && !self.runtime().IsAlive(to)) return;
  // What has come before belongs to an older link.
  TakeLinkExits(self, me, to);
  Export(*me);
  Count("links");
  Side& side = me->sides[to];
  side.last_link_call = Now();
  ++side.links;
  if (!side.linked) {
    side.linked = true;
    side.reported = false;
    side.since = Now();
    side.since_ran = RanFor(me->node);
    side.closed_then = SessionsClosed(me->node);
  }
  self.Link(to);
}

void LinkWorkload::DoUnlink(Self& self, LinkActor* me, Pid to) {
  auto it = me->sides.find(to);
  if (it == me->sides.end()) return;
  Count("unlinks");
  self.Unlink(to);
  // What had come before is none of the rule's business, as with OTP.
  TakeLinkExits(self, me, to);
  Side& side = it->second;
  side.last_unlink_call = Now();
  if (const Actor* peer = FindActor(me->node, to)) side.unlink_ran = RanFor(peer->node);
  if (!side.linked) return;
  side.linked = false;
  // If the peer has taken the link away there was nothing to unlink, and its next one may be on the
  // way.
  side.was_unlinked = !PeerMayHaveUnlinked(*me, to, side);
  side.unlinked = Now();
  side.closed_then = SessionsClosed(me->node);
}

void LinkWorkload::SpawnLinked(Self& self, LinkActor* me) {
  int alive = 0;
  for (const auto& a : actors()) alive += a->alive && a->node == me->node;
  if (alive > 2 * kLinkersPerNode) return;
  Count("spawns");
  auto child = std::make_unique<LinkActor>();
  LinkActor* raw = child.get();
  if (!SpawnFrom(self, me->node, std::move(child), [this, raw](Self& s) { return Run(s, raw); },
                 {.link = true, .trap_exit = true, .module = "link-actor"})) {
    return;
  }
  for (auto [actor, peer] : {std::pair{me, raw->pid}, std::pair{raw, me->pid}}) {
    Side& side = actor->sides[peer];
    side.linked = true;
    side.since = side.last_link_call = Now();
    side.since_ran = RanFor(actor->node);
    ++side.links;
  }
}

// --------------------------------------------------------------------- exits

void LinkWorkload::TakeLinkExits(Self& self, LinkActor* me, Pid from) {
  const auto of_link = [&](const Message& m) {
    return m.kind() == SignalKind::kLinkExit && m.from() == from;
  };
  while (std::optional<Message> m = self.TakeIf(of_link)) OnExit(me, *m);
}

std::string LinkWorkload::Describe(const LinkActor& me, const Pid& peer) const {
  return fmt::format("{} of {} and {}", FormatPid(me.pid), SimCluster::NodeName(me.node),
                     FormatPid(peer));
}

void LinkWorkload::OnExit(LinkActor* me, const Message& m) {
  CheckReason(me, m);
  if (m.kind() != SignalKind::kLinkExit) return;
  Count("exits");
  Side& side = me->sides[m.from()];
  const bool by_peer = MayBeLinkedByPeer(me, m.from(), side);
  if (!side.linked && !by_peer) {
    Violation(fmt::format("{}: {}: an exit ({}) without a link",
                          side.was_unlinked ? "INV-11" : "INV-10", Describe(*me, m.from()),
                          m.reason().ToString()));
  }
  side.linked = false;
  if (m.reason().kind() == ExitReason::Kind::kNoConnection) ExpectAtPeer(me, m.from());
  ++side.exits;
  side.last_exit = Now();
  const uint64_t links = side.links + LinksByPeer(*me, m.from());
  if (side.exits > links) {
    Violation(fmt::format("INV-10: {}: {} exits of {} links", Describe(*me, m.from()), side.exits,
                          links));
  }
}

// How often the peer has asked for a link with this actor, under any of the actor's pids.
uint64_t LinkWorkload::LinksByPeer(const LinkActor& me, const Pid& from) const {
  const auto* peer = static_cast<const LinkActor*>(FindActor(me.node, from));
  if (!peer) return 0;
  uint64_t links = 0;
  for (const auto& [pid, side] : peer->sides) {
    if (FindActor(peer->node, pid) == &me) links += side.links;
  }
  return links;
}

bool LinkWorkload::PeerMayHaveUnlinked(const LinkActor& me, const Pid& from,
                                       const Side& link) const {
  const auto* peer = static_cast<const LinkActor*>(FindActor(me.node, from));
  if (!peer) return false;
  for (const auto& [pid, side] : peer->sides) {
    if (FindActor(peer->node, pid) == &me && side.MayUndo(link)) return true;
  }
  return false;
}

// Has the peer asked for a link that the last exit or unlink here has not taken away?
bool LinkWorkload::MayBeLinkedByPeer(LinkActor* me, const Pid& from, const Side& mine) {
  const auto* peer = static_cast<const LinkActor*>(FindActor(me->node, from));
  if (!peer) return false;
  for (const auto& [pid, side] : peer->sides) {
    if (FindActor(peer->node, pid) != me || side.links == 0) continue;
    if (!mine.was_unlinked) return true;
    // While a session lasts, an unlink ends what the peer had asked for before. Over the loss of
    // one the peer may have asked earlier, and its link be on the way.
    const bool same_session = SessionsClosed(me->node) == mine.closed_then;
    const absl::Duration grace = same_session ? absl::ZeroDuration() : kDialMax + absl::Seconds(2);
    if (side.last_link_call >= mine.unlinked - grace) return true;
  }
  return false;
}

void LinkWorkload::CheckReason(LinkActor* me, const Message& m) {
  const auto* peer = static_cast<const LinkActor*>(FindActor(me->node, m.from()));
  const ExitReason& r = m.reason();
  if (m.kind() == SignalKind::kExit) {
    if (r.kind() == ExitReason::Kind::kNoProc) return;  // Link() to a dead process of this node
    if (!(r == ExitReason::Error("by hand")))
      Violation(fmt::format("SIG: {} sent {} by hand", FormatPid(m.from()), r.ToString()));
    return;
  }
  if (r.kind() == ExitReason::Kind::kNoConnection) return;
  if (!peer || peer->alive) {
    if (r.kind() == ExitReason::Kind::kNoProc && MayBeOver(m.from())) return;
    Violation(fmt::format("INV-10: {}: exit {} of a process that lives", Describe(*me, m.from()),
                          r.ToString()));
    return;
  }
  if (r.kind() == ExitReason::Kind::kNoProc) return;
  const ExitReason expected = peer->reason ? *peer->reason : ExitReason::Killed();
  if (!(r == expected)) {
    Violation(fmt::format("INV-10: {}: exit {}, but it ended with {}", Describe(*me, m.from()),
                          r.ToString(), expected.ToString()));
  }
}

// --------------------------------------------------------------- what is due

// The other ends of links that this one had asked for, if they had got there.
void LinkWorkload::OnEnded(Actor* a) {
  auto* ended = static_cast<LinkActor*>(a);
  const Pid me = LastExported(*ended);
  for (const auto& [pid, side] : ended->sides) {
    if (pid.local() || !side.linked || !me || Now() - side.since < kDialMax + kSettled) continue;
    if (SessionsClosed(ended->node) != side.closed_then) continue;
    if (auto* other = static_cast<LinkActor*>(FindActor(pid)); other && other->alive)
      expected_.push_back({other, me, side, Now()});
  }
}

void LinkWorkload::ExpectAtPeer(LinkActor* me, const Pid& from) {
  auto* peer = static_cast<LinkActor*>(FindActor(from));
  if (!peer || !peer->alive) return;
  for (const auto& [pid, link] : peer->sides) {
    if (!link.linked || pid != LastExported(*me) || me->sides[from].MayUndo(link)) continue;
    // One that is as young as this may belong to the next session.
    const Instant settled =
        std::max({link.since, RunningSince(me->node), RunningSince(peer->node)});
    if (Now() - settled < kDialMax + kSettled) continue;
    expected_.push_back({peer, pid, link, Now()});
  }
}

void LinkWorkload::OnTick() {
  if (!quiet() && OneIn(4)) Duel();
  for (const auto& a : actors()) {
    if (!a->alive || cluster().node_paused(a->node)) continue;
    auto* me = static_cast<LinkActor*>(a.get());
    for (auto& [pid, side] : me->sides) {
      if (!side.linked || side.reported) continue;
      const std::optional<Instant> gone =
          pid.local()
              ? (FindActor(me->node, pid)->alive ? std::nullopt
                                                 : std::optional(FindActor(me->node, pid)->ended))
              : GoneSince(pid);
      if (!gone || Now() <= DueBy(me->node, std::max(*gone, side.since + kDialMax))) continue;
      if (PeerMayHaveUnlinked(*me, pid, side)) continue;
      side.reported = true;
      Violation(fmt::format("INV-10: {}: linked, and gone for {}: no exit", Describe(*me, pid),
                            absl::FormatDuration(Now() - *gone)));
    }
  }
  std::erase_if(expected_, [&](const Expectation& e) {
    if (!e.actor->alive) return true;
    if (cluster().node_paused(e.actor->node)) return false;
    const Side& side = e.actor->sides[e.from];
    if (side.last_exit >= e.link.since || side.MayUndo(e.link)) return true;
    if (Now() <= DueBy(e.actor->node, e.gone)) return false;
    Violation(fmt::format("INV-10: {}: linked, and the other end or the session is gone: no exit",
                          Describe(*e.actor, e.from)));
    return true;
  });
}

void LinkWorkload::CheckAtRest() {
  std::map<LinkActor*, std::set<Pid>> tables;
  for (const auto& a : actors()) {
    if (!a->alive || !Member(a->node)) continue;
    auto* me = static_cast<LinkActor*>(a.get());
    Export(*me);
    cluster().runtime(a->node).Inspect(a->pid, [&tables, me](std::optional<ProcessSnapshot> s) {
      if (s) tables[me] = {s->links.begin(), s->links.end()};
    });
  }
  cluster().time().RunFor(absl::Seconds(1));
  for (const auto& [me, links] : tables) {
    for (const Pid& pid : links) {
      Count("links at rest");
      auto* peer = static_cast<LinkActor*>(FindActor(me->node, pid));
      const std::string who = Describe(*me, pid);
      if (!peer || !peer->alive) {
        Violation(fmt::format("INV-9: {}: linked to a dead process", who));
        continue;
      }
      const Pid back = peer->node == me->node ? me->pid : Export(*me);
      if (!tables[peer].contains(back))
        Violation(fmt::format("INV-9: {}: linked at one end only", who));
      if (!pid.local() && !SessionUp(me->node, peer->node))
        Violation(fmt::format("INV-9: {}: a link without a session", who));
    }
    for (const auto& [pid, side] : me->sides) {
      if (side.linked && !links.contains(pid) && !PeerMayHaveUnlinked(*me, pid, side))
        Violation(fmt::format("INV-10: {}: the link has gone without an exit", Describe(*me, pid)));
    }
  }
}

}  // namespace banyan::sim
