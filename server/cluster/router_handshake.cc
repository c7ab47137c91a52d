// How sessions begin and end: dials, the rule for two dials at once, acceptance, teardown.
#include <algorithm>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/mutant.h"
#include "server/cluster/relay_stream.h"
#include "server/cluster/router_core.h"

namespace banyan {
namespace {

namespace pb = internal::v1;

constexpr uint32_t kProtocolMajor = 1;
// Streams that have not introduced themselves, or wait to be accepted; more are cut.
constexpr size_t kGreetingMax = 4096;
// How long a Hello that may have crossed our own is left alone; its sender takes it back if it did.
constexpr absl::Duration kCrossingGrace = absl::Milliseconds(500);
constexpr absl::Duration kGraveTime = absl::Seconds(5);
constexpr size_t kAskedAtOnce = 256;

}  // namespace

PeerSession::Context PeerRouter::Core::SessionContext() {
  return {deps_, &options_, &stats_, this, hooks_.holds};
}

// ------------------------------------------------------------------ dialling

void PeerRouter::Core::Pursue(Peer* peer) {
  if (peer->session || peer->dial || peer->tearing_down || peer->their_dial_expected) return;
  const Instant now = deps_.clock->Now();
  const bool known =
      peer->id.incarnation != 0 && !peer->gone && !peer->address.empty() &&
      std::any_of(peer->waiting.begin(), peer->waiting.end(),
                  [&](const SignalPtr& s) { return s->to.incarnation == peer->id.incarnation; });
  if (!known) {
    // The view may be about to tell.
    if (peer->wait_timer.armed()) return;
    return peer->wait_timer.Set(now + options_.unknown_wait,
                                [this, id = peer->id.node_id] { GiveUpUnknown(id); });
  }
  peer->wait_timer.Cancel();
  if (now < peer->retry_at) return FailWaiting(peer);
  Dial(peer);
}

// Pids may come from anywhere, so nodes that nobody knows must not pile up.
void PeerRouter::Core::GiveUpUnknown(uint32_t node_id) {
  Peer* peer = Find(node_id);
  if (!peer) return;
  FailWaiting(peer);
  if (peer->id.incarnation == 0) peers_.erase(node_id);
}

void PeerRouter::Core::Dial(Peer* peer) {
  const bool relayed = Relays(*peer);
  peer->dial = std::make_unique<PeerSession>(SessionContext(), true, relayed);
  PeerSession* dial = peer->dial.get();
  dial->Attach(relayed ? std::make_unique<RelayStream>(deps_.transport, relay_,
                                                       RelayStream::Ends{self_, peer->id}, dial)
                       : deps_.transport->Dial(peer->address, StreamKind::kPeer, dial));
  pb::PeerHello hello;
  hello.set_cluster_id(cluster_id_);
  hello.set_node_id(self_.node_id);
  hello.set_incarnation(self_.incarnation);
  hello.set_peer_node_id(peer->id.node_id);
  hello.set_peer_incarnation(peer->id.incarnation);
  hello.mutable_protocol()->set_major(kProtocolMajor);
  dial->SendHello(hello, self_, peer->id);
}

bool PeerRouter::Core::Relays(const Peer& peer) const {
  return !relay_.empty() && deps_.clock->Now() < peer.direct_at;
}

// A peer that answers is where it should be, whatever it says. One that does not may still be
// reached by the coordinator: what waits then waits for that.
void PeerRouter::Core::OnDialClosed(Peer* peer, const PeerSession& dial) {
  const bool unanswered = dial.close_reason() == pb::CloseFrame::REASON_UNSPECIFIED ||
                          dial.close_reason() == pb::CloseFrame::REASON_TIMEOUT;
  if (dial.relayed()) peer->direct_at = Instant();
  if (!unanswered || dial.relayed() || relay_.empty()) return DialFailed(peer);
  peer->direct_at = deps_.clock->Now() + options_.relay_dials;
  Pursue(peer);
}

void PeerRouter::Core::SetRelay(std::string coordinator) { relay_ = std::move(coordinator); }

void PeerRouter::Core::OnRelayOffer(uint64_t relay_id, wire::NodeIdentity from) {
  if (relay_.empty() || self_.node_id == 0 || greeting_.size() >= kGreetingMax) return;
  auto session = std::make_unique<PeerSession>(SessionContext(), false, true);
  session->Attach(std::make_unique<RelayStream>(
      deps_.transport, relay_, RelayStream::Ends{self_, from, relay_id}, session.get()));
  greeting_.push_back(std::move(session));
}

void PeerRouter::Core::OnHelloAck(PeerSession* session) {
  Peer* peer = PeerOf(session);
  BANYAN_CHECK(peer && peer->dial.get() == session);
  Establish(peer, std::move(peer->dial));
}

void PeerRouter::Core::DialFailed(Peer* peer) {
  peer->backoff = std::min(options_.backoff_max, std::max(options_.backoff_min, 2 * peer->backoff));
  peer->retry_at = std::max(peer->retry_at, deps_.clock->Now() + peer->backoff);
  FailWaiting(peer);
}

void PeerRouter::Core::Establish(Peer* peer, std::unique_ptr<PeerSession> session) {
  BANYAN_CHECK(!peer->session && !peer->tearing_down);
  peer->session = std::move(session);
  peer->backoff = absl::ZeroDuration();
  peer->retry_at = Instant();
  peer->their_dial_expected = false;
  peer->wait_timer.Cancel();
  if (hooks_.session) hooks_.session(peer->id, true);
  std::deque<SignalPtr> waiting = std::move(peer->waiting);
  peer->waiting.clear();
  peer->waiting_bytes = peer->waiting_control = 0;
  SetBusy(peer, false);
  for (SignalPtr& s : waiting) RouteOne(std::move(s));
  if (peer->session) peer->session->Flush();
}

// ----------------------------------------------------------------- accepting

void PeerRouter::Core::Listen() {
  deps_.transport->Listen(
      StreamKind::kPeer,
      [weak = weak_from_this()](std::unique_ptr<Stream> stream) -> StreamHandler* {
        std::shared_ptr<Core> self = weak.lock();
        if (!self || self->greeting_.size() >= kGreetingMax) return nullptr;
        auto session = std::make_unique<PeerSession>(self->SessionContext(), false);
        PeerSession* raw = session.get();
        raw->Attach(std::move(stream));
        self->greeting_.push_back(std::move(session));
        return raw;
      });
}

void PeerRouter::Core::OnHello(PeerSession* session) { TryAccept(session); }

// Why a Hello is refused for good; empty: it is not.
std::string PeerRouter::Core::WhyNot(const pb::PeerHello& hello,
                                     PeerSession::CloseReason* reason) const {
  *reason = pb::CloseFrame::REASON_PROTOCOL;
  if (hello.node_id() == 0 || hello.incarnation() == 0 || hello.node_id() == self_.node_id ||
      hello.node_id() == kCoordinatorNodeId) {
    return fmt::format("node {}:{} cannot be a peer", hello.node_id(), hello.incarnation());
  }
  if (hello.protocol().major() != kProtocolMajor) {
    return fmt::format("protocol {} is not {}", hello.protocol().major(), kProtocolMajor);
  }
  if (hello.cluster_id() != cluster_id_) {
    *reason = pb::CloseFrame::REASON_WRONG_CLUSTER;
    return "another cluster";
  }
  *reason = pb::CloseFrame::REASON_STALE_INCARNATION;
  if (hello.peer_node_id() != self_.node_id || hello.peer_incarnation() != self_.incarnation) {
    return fmt::format("this is {}:{}", self_.node_id, self_.incarnation);
  }
  auto it = peers_.find(hello.node_id());
  if (it == peers_.end()) return "";
  const Peer& peer = *it->second;
  if (hello.incarnation() < peer.id.incarnation) return "a newer life of that node is known";
  if (hello.incarnation() == peer.id.incarnation && peer.gone) {
    *reason = pb::CloseFrame::REASON_PEER_DEAD;
    return "that life is over";
  }
  return "";
}

void PeerRouter::Core::TryAccept(PeerSession* session) {
  if (session->state() != PeerSession::State::kGreeted) return;  // settled on the way
  const pb::PeerHello& hello = session->hello();
  const Instant now = deps_.clock->Now();
  if (self_.node_id == 0) return Park(session, now + options_.unknown_wait);
  PeerSession::CloseReason reason;
  if (std::string why = WhyNot(hello, &reason); !why.empty()) return session->Close(reason, why);
  Peer* peer = Find(hello.node_id());
  if (!peer || peer->id.incarnation < hello.incarnation()) {
    return Park(session, now + options_.unknown_wait);
  }
  if (peer->tearing_down) return Park(session, Instant::Infinite());
  if (peer->dial) {
    // Both dial: the lower node id's stream stays.
    if (self_.node_id < hello.node_id()) {
      return session->Close(pb::CloseFrame::REASON_DUPLICATE,
                            "the stream of the lower node id stays");
    }
    peer->dial->Close(pb::CloseFrame::REASON_DUPLICATE, "the stream of the lower node id stays");
    return TryAccept(session);
  }
  if (peer->session) {
    const bool may_cross = peer->session->dialled() && self_.node_id < hello.node_id();
    if (may_cross && session->parked_crossing == Instant()) {
      session->parked_crossing = now + kCrossingGrace;
      return Park(session, now + options_.connect_timeout);
    }
    if (may_cross && now < session->parked_crossing) return Park(session, session->parked_until);
    // The other side has closed the old session, or it would not say Hello: so must we, before we
    // answer.
    if (Mutant("no-acceptor-teardown")) {
      Bury(std::move(peer->session));
    } else {
      peer->session->Close(pb::CloseFrame::REASON_DUPLICATE, "the peer has begun a new session");
    }
    return TryAccept(session);
  }
  auto it = std::find_if(greeting_.begin(), greeting_.end(),
                         [&](const auto& s) { return s.get() == session; });
  if (it == greeting_.end()) return;
  std::unique_ptr<PeerSession> owned = std::move(*it);
  greeting_.erase(it);
  pb::PeerHelloAck ack;
  ack.set_session(next_session_++);
  ack.mutable_protocol()->set_major(kProtocolMajor);
  ack.set_max_message(options_.message_bytes_max);
  session->Accept(ack, self_, peer->id);
  Establish(peer, std::move(owned));
}

void PeerRouter::Core::Park(PeerSession* session, Instant until) {
  if (session->parked_until.infinite() || until.infinite()) session->parked_until = until;
  ArmParkTimer();
}

void PeerRouter::Core::ArmParkTimer() {
  const Instant now = deps_.clock->Now();
  Instant next = Instant::Infinite();
  for (const auto& s : greeting_) {
    if (s->state() != PeerSession::State::kGreeted) continue;
    next = std::min(next, s->parked_until);
    if (s->parked_crossing > now) next = std::min(next, s->parked_crossing);
  }
  if (next.infinite()) return park_timer_.Cancel();
  park_timer_.Set(next, [this] { RetryParked(); });
}

void PeerRouter::Core::RetryParked() {
  std::vector<PeerSession*> parked;
  for (const auto& s : greeting_) {
    if (s->state() == PeerSession::State::kGreeted) parked.push_back(s.get());
  }
  const Instant now = deps_.clock->Now();
  for (PeerSession* s : parked) {
    // One may have been settled by what happened to another.
    if (s->state() != PeerSession::State::kGreeted) continue;
    const bool expired = s->parked_until <= now;
    TryAccept(s);
    if (expired && s->state() == PeerSession::State::kGreeted) {
      s->Close(pb::CloseFrame::REASON_STALE_INCARNATION,
               "this life of that node is not known here");
    }
  }
  ArmParkTimer();
}

// ------------------------------------------------------------------ ending

void PeerRouter::Core::OnSessionClosed(PeerSession* session) {
  if (destroyed_) return;
  if (Peer* peer = PeerOf(session)) {
    if (peer->session.get() == session) return TearDown(peer, std::move(peer->session));
    Bury(std::move(peer->dial));
    if (session->close_reason() != pb::CloseFrame::REASON_DUPLICATE)
      return OnDialClosed(peer, *session);
    // The other side's stream stays: it is here already, or on its way; a relayed one perhaps only
    // after it has tried the direct way.
    peer->their_dial_expected = true;
    const int ways = relay_.empty() ? 1 : 2;
    return peer->wait_timer.Set(deps_.clock->Now() + ways * options_.connect_timeout,
                                [this, peer] { DialFailed(peer); });
  }
  auto it = std::find_if(greeting_.begin(), greeting_.end(),
                         [&](const auto& s) { return s.get() == session; });
  if (it == greeting_.end()) return;
  Bury(std::move(*it));
  greeting_.erase(it);
}

// S2: everything that hangs on the session hears of its end before another one can begin.
void PeerRouter::Core::TearDown(Peer* peer, std::unique_ptr<PeerSession> session) {
  if (session->close_reason() == pb::CloseFrame::REASON_SLOW_PEER) OnSlow(peer, *session);
  std::vector<SignalPtr> unsent = session->outbox().TakeAll();
  peer->tearing_down = true;
  peer->teardown_id = session->peer();
  peer->teardown.clear();
  peer->teardown_told = 0;
  for (const auto& [id, hung] : peer->hanging) {
    ++peer->fenced[id];
    peer->teardown.push_back(id);
  }
  // The order of a hash set is not the same in every process; a run must be.
  std::sort(peer->teardown.begin(), peer->teardown.end());
  peer->hanging.clear();
  peer->prune_at = 4096;
  Bury(std::move(session));
  SetBusy(peer, false);
  for (SignalPtr& s : unsent) Fail(std::move(s), ExitReason::NoConnection());
  if (hooks_.session) hooks_.session(peer->teardown_id, false);
  TeardownSlice(peer->id.node_id);
}

// It would only become as full again. One that has been quick for long begins anew.
void PeerRouter::Core::OnSlow(Peer* peer, const PeerSession& session) {
  const Instant now = deps_.clock->Now();
  const bool was_quick = now - session.opened() > 2 * options_.slow_backoff_max;
  peer->slow_backoff = was_quick
                           ? options_.slow_backoff_min
                           : std::min(options_.slow_backoff_max,
                                      std::max(options_.slow_backoff_min, 2 * peer->slow_backoff));
  peer->retry_at = now + peer->slow_backoff;
}

void PeerRouter::Core::TeardownSlice(uint32_t node_id) {
  Peer* peer = Find(node_id);
  if (!peer || !peer->tearing_down) return;
  const size_t n = std::min(options_.teardown_slice, peer->teardown.size());
  std::vector<uint64_t> slice(peer->teardown.end() - static_cast<ptrdiff_t>(n),
                              peer->teardown.end());
  peer->teardown.resize(peer->teardown.size() - n);
  peer->teardown_told += n;
  // Also with nobody hanging: calls from outside have no process.
  deps_.runtime->ConnectionLost(peer->teardown_id.node_id, peer->teardown_id.incarnation, slice);
  if (!peer->teardown.empty()) {
    // Who is in the middle of something long acts on it later.
    return peer->teardown_timer.Set(deps_.clock->Now() + options_.teardown_wait,
                                    [this, node_id] { TeardownSlice(node_id); });
  }
  peer->tearing_down = false;
  RetryParked();
  if (!peer->waiting.empty()) Pursue(peer);
}

void PeerRouter::Core::Bury(std::unique_ptr<PeerSession> session) {
  const Instant now = deps_.clock->Now();
  graves_.emplace_back(std::move(session), now);
  // A stream that never reports its end is not waited for: it is cut when its session is destroyed.
  if (graves_.front().second + kGraveTime < now) {
    deps_.executor->Post([weak = weak_from_this()] {
      std::shared_ptr<Core> self = weak.lock();
      if (!self) return;
      const Instant before = self->deps_.clock->Now() - kGraveTime;
      self->graves_.remove_if([&](const auto& grave) { return grave.second < before; });
    });
  }
}

void PeerRouter::Core::OnStreamOver(PeerSession* session) {
  if (destroyed_) return;
  // Not here: the caller is the session itself.
  deps_.executor->Post([weak = weak_from_this(), session] {
    if (std::shared_ptr<Core> self = weak.lock()) {
      self->graves_.remove_if([&](const auto& grave) { return grave.first.get() == session; });
    }
  });
}

absl::Duration PeerRouter::Core::IdleLimit(const Peer& peer) const {
  return peer.session->relayed() ? options_.relay_idle_close : options_.idle_close;
}

void PeerRouter::Core::IdleCheck() {
  for (auto& [id, peer] : peers_) CloseIfIdle(peer.get());
  const absl::Duration soonest = std::min(options_.idle_close, options_.relay_idle_close);
  idle_timer_.Set(deps_.clock->Now() + soonest / 4, [this] { IdleCheck(); });
}

void PeerRouter::Core::CloseIfIdle(Peer* peer) {
  if (!peer->session) return;
  PeerSession& session = *peer->session;
  if (deps_.clock->Now() - session.last_used() < IdleLimit(*peer)) return;
  const wire::NodeIdentity id = session.peer();
  if (!session.outbox().empty() || deps_.runtime->WaitsOutside(id.node_id, id.incarnation)) return;
  if (!peer->hanging.empty()) return AskHanging(peer);
  session.Close(pb::CloseFrame::REASON_NORMAL, "nothing hangs on it");
}

// Only processes themselves know. A few at a time, for one that says yes is enough.
void PeerRouter::Core::AskHanging(Peer* peer) {
  if (peer->asked > 0 || deps_.clock->Now() < peer->ask_at) return;
  std::vector<uint64_t> ids;
  ids.reserve(peer->hanging.size());
  for (const auto& [id, hung] : peer->hanging) ids.push_back(id);
  // The order of a hash map is not the same in every process; a run must be.
  std::sort(ids.begin(), ids.end());
  ids.resize(std::min(ids.size(), kAskedAtOnce));
  peer->asked = ids.size();
  peer->says_so = false;
  const wire::NodeIdentity life = peer->session->peer();
  for (uint64_t local_id : ids) {
    deps_.runtime->AskWhetherHanging(
        Pid{0, 0, local_id}, life.node_id, life.incarnation,
        [weak = weak_from_this(), executor = deps_.executor, node_id = life.node_id, local_id,
         asked_at = last_hang_](bool hangs) {
          executor->Post([weak, node_id, local_id, asked_at, hangs] {
            if (std::shared_ptr<Core> self = weak.lock())
              self->OnHangingSaid(node_id, local_id, asked_at, hangs);
          });
        });
  }
}

void PeerRouter::Core::OnHangingSaid(uint32_t node_id, uint64_t local_id, uint64_t asked_at,
                                     bool hangs) {
  Peer* peer = Find(node_id);
  if (!peer || peer->asked == 0) return;
  peer->says_so |= hangs;
  // Something may have come or gone meanwhile, that it did not know of yet.
  auto it = peer->hanging.find(local_id);
  if (!hangs && it != peer->hanging.end() && it->second <= asked_at) peer->hanging.erase(it);
  if (--peer->asked > 0 || !peer->session) return;
  if (peer->says_so) {
    peer->ask_at = deps_.clock->Now() + IdleLimit(*peer);
  } else {
    CloseIfIdle(peer);
  }
}

}  // namespace banyan
