// Signals: from the inbox to sessions, from sessions to processes, and what becomes of them where
// there is no session. Handshakes are in router_handshake.cc.
#include "server/cluster/router_core.h"

#include <algorithm>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/mutant.h"
#include "common/base/named_pid.h"
#include "server/runtime/undeliverable.h"

namespace banyan {
namespace {

namespace pb = internal::v1;

// Those whose outcome both sides must agree on. Others may pass while a loss is being acted on.
bool BindsBothSides(SignalKind kind) {
  switch (kind) {
    case SignalKind::kMessage:
    case SignalKind::kCast:
    case SignalKind::kExit:
    case SignalKind::kReply:
      return false;
    default:
      return true;
  }
}

constexpr size_t kWaitingOverhead = 64;

bool IsMessage(SignalKind kind) { return kind <= SignalKind::kReply; }

absl::Status Overloaded(uint32_t node_id) {
  return MakeError("NODE_OVERLOADED",
                   fmt::format("too much waits to be sent to node {} already", node_id),
                   {{"node", fmt::format("{}", node_id)}});
}

// Leaves something at the sender that must hear of a lost session.
bool Hangs(SignalKind kind) {
  return kind == SignalKind::kCall || kind == SignalKind::kSystem || kind == SignalKind::kLink ||
         kind == SignalKind::kUnlink || kind == SignalKind::kMonitor;
}

}  // namespace

PeerRouter::Core::Core(Deps deps, PeerOptions options, Hooks hooks)
    : deps_(deps),
      options_(options),
      hooks_(std::move(hooks)),
      park_timer_(deps.timers, deps.executor),
      idle_timer_(deps.timers, deps.executor) {
  BANYAN_CHECK(deps.runtime && deps.clock && deps.timers && deps.executor && deps.transport);
}

PeerRouter::Core::~Core() {
  destroyed_ = true;
  for (Signal* s = inbox_.exchange(nullptr); s;) delete std::exchange(s, s->next);
}

void PeerRouter::Core::PostSelf(void (Core::*fn)()) {
  deps_.executor->Post([weak = weak_from_this(), fn] {
    if (std::shared_ptr<Core> self = weak.lock()) (self.get()->*fn)();
  });
}

// ------------------------------------------------------------------- inbox

void PeerRouter::Core::Route(SignalPtr signal) {
  Signal* s = signal.release();
  Signal* old = inbox_.load(std::memory_order_relaxed);
  do {
    s->next = old;
  } while (
      !inbox_.compare_exchange_weak(old, s, std::memory_order_acq_rel, std::memory_order_relaxed));
  if (!old) PostSelf(&Core::DrainInbox);
}

void PeerRouter::Core::DrainInbox() {
  Signal* oldest = OldestFirst(inbox_.exchange(nullptr, std::memory_order_acq_rel));
  {
    Runtime::DeliverBatch wake_once(deps_.runtime);
    while (oldest) {
      SignalPtr s(oldest);
      oldest = oldest->next;
      s->next = nullptr;
      RouteOne(std::move(s));
    }
  }
  for (auto& [id, peer] : peers_) {
    if (peer->session) peer->session->Flush();
  }
}

void PeerRouter::Core::RouteOne(SignalPtr s) {
  if (s->kind == SignalKind::kConnectionLost) return OnLossActedOn(*s);
  if (self_.node_id == 0) return Fail(std::move(s), ExitReason::NoConnection());
  if (s->to.node_id == self_.node_id) {
    // A pid of our own that went round the cluster, of this life or of a former one.
    if (s->to.incarnation != self_.incarnation) return Fail(std::move(s), ExitReason::NoProc());
    s->to = Pid{0, 0, s->to.id};
    return deps_.runtime->Deliver(std::move(s));
  }
  if (s->to.node_id == kNoNodeId) return Fail(std::move(s), ExitReason::NoConnection());
  if (s->to.node_id == kCoordinatorNodeId || s->to.incarnation == 0)
    return Fail(std::move(s), ExitReason::NoProc());
  Peer& peer = FindOrAdd(s->to.node_id);
  if (s->to.incarnation < peer.id.incarnation) return Fail(std::move(s), ExitReason::NoProc());
  if (s->to.incarnation == peer.id.incarnation && peer.gone)
    return Fail(std::move(s), ExitReason::NoConnection());
  if (Fenced(peer, *s)) return Fail(std::move(s), ExitReason::NoConnection());
  // Nobody can be held for it.
  if (peer.busy && s->kind == SignalKind::kCall && !s->from.valid())
    return deps_.runtime->Deliver(Undeliverable(*s, {}, Overloaded(s->to.node_id)));
  if (peer.session && peer.session->peer().incarnation == s->to.incarnation)
    return Send(&peer, std::move(s));
  Wait(&peer, std::move(s));
}

void PeerRouter::Core::Wait(Peer* peer, SignalPtr s) {
  peer->waiting_bytes += kWaitingOverhead + (s->payload.is_local() ? 0 : s->payload.size());
  if (peer->waiting_bytes > options_.message_bytes_soft) SetBusy(peer, true);
  HoldIfBusy(peer, s->kind, s->from);
  if (!IsMessage(s->kind)) ++peer->waiting_control;
  peer->waiting.push_back(std::move(s));
  if (peer->waiting_control > options_.control_entries_max ||
      peer->waiting_bytes > options_.message_bytes_hard) {
    return FailWaiting(peer);
  }
  Pursue(peer);
}

void PeerRouter::Core::Send(Peer* peer, SignalPtr s) {
  if (s->from.local() && s->from.valid() && Hangs(s->kind)) Hang(peer, s->from.id);
  const SignalKind kind = s->kind;
  const Pid from = s->from;
  peer->session->Push(std::move(s));
  HoldIfBusy(peer, kind, from);
}

// ------------------------------------------------------------- back-pressure

bool PeerRouter::Core::Busy(uint32_t node_id) const {
  if (busy_count_.load(std::memory_order_relaxed) == 0) return false;
  MutexLock lock(&busy_mu_);
  return busy_nodes_.contains(node_id);
}

void PeerRouter::Core::OnBusy(PeerSession* session, bool busy) {
  if (Peer* peer = PeerOf(session)) SetBusy(peer, busy);
}

std::optional<Pid> PeerRouter::Core::FindNode(const std::string& name) const {
  if (!hooks_.find_node) return std::nullopt;
  const std::optional<wire::NodeIdentity> id = hooks_.find_node(name);
  if (!id) return std::nullopt;
  return Pid{id->node_id, id->incarnation, 0};
}

// No longer: whoever was held goes on.
void PeerRouter::Core::SetBusy(Peer* peer, bool busy) {
  if (peer->busy == busy) return;
  peer->busy = busy;
  {
    MutexLock lock(&busy_mu_);
    if (busy) {
      busy_nodes_.insert(peer->id.node_id);
    } else {
      busy_nodes_.erase(peer->id.node_id);
    }
    busy_count_.store(busy_nodes_.size(), std::memory_order_relaxed);
  }
  if (busy) return;
  std::vector<uint64_t> held(peer->held.begin(), peer->held.end());
  std::sort(held.begin(), held.end());
  peer->held.clear();
  for (uint64_t id : held)  // seam: sorted
    deps_.runtime->ReleaseSender(Pid{0, 0, id});
}

void PeerRouter::Core::HoldIfBusy(Peer* peer, SignalKind kind, Pid from) {
  if (!peer->busy || !IsMessage(kind) || !from.local() || !from.valid()) return;
  if (peer->held.insert(from.id).second) deps_.runtime->HoldSender(from);
}

void PeerRouter::Core::Hang(Peer* peer, uint64_t local_id) {
  const bool added = peer->hanging.insert_or_assign(local_id, ++last_hang_).second;
  if (!added || peer->hanging.size() < peer->prune_at) return;
  // What is left doubles the next limit, so that this costs little in sum.
  PruneHanging(peer);
  peer->prune_at = std::max<size_t>(4096, 2 * peer->hanging.size());
}

// Nothing hangs on the dead.
void PeerRouter::Core::PruneHanging(Peer* peer) {
  for (auto it = peer->hanging.begin(); it != peer->hanging.end();) {
    auto now = it++;
    if (!deps_.runtime->IsAlive(Pid{0, 0, now->first})) peer->hanging.erase(now);
  }
}

// ------------------------------------------------------------ undeliverable

void PeerRouter::Core::Fail(SignalPtr s, const ExitReason& reason) {
  if (s->kind <= SignalKind::kCast) ++stats_.dropped;
  if (!s->from.local()) return;  // a sender elsewhere hears of it from its own session
  absl::Status call_error;
  if (reason.kind() == ExitReason::Kind::kNoConnection) {
    std::string node = fmt::format("{}", s->to.node_id);
    std::string text = fmt::format("there is no connection to node {}", node);
    if (s->to.node_id == kNoNodeId) {
      const auto address = NameOf(s->to);
      node = address->substr(address->rfind('@') + 1);
      text = fmt::format("there is no node \"{}\" in the cluster", node);
    }
    call_error = MakeError("NOT_DELIVERED", text, {{"node", node}});
  }
  if (SignalPtr answer = Undeliverable(*s, reason, std::move(call_error)))
    deps_.runtime->Deliver(std::move(answer));
}

void PeerRouter::Core::FailWaiting(Peer* peer) {
  std::deque<SignalPtr> waiting = std::move(peer->waiting);
  peer->waiting.clear();
  peer->waiting_bytes = peer->waiting_control = 0;
  SetBusy(peer, false);
  peer->wait_timer.Cancel();
  peer->their_dial_expected = false;
  for (SignalPtr& s : waiting) {
    const bool stale = s->to.incarnation < peer->id.incarnation;
    Fail(std::move(s), stale ? ExitReason::NoProc() : ExitReason::NoConnection());
  }
}

bool PeerRouter::Core::Fenced(const Peer& peer, const Signal& s) const {
  return !peer.fenced.empty() && s.from.local() && BindsBothSides(s.kind) &&
         peer.fenced.contains(s.from.id);
}

void PeerRouter::Core::OnLossActedOn(const Signal& s) {
  Peer* peer = Find(s.to.node_id);
  if (!peer) return;
  auto it = peer->fenced.find(s.from.id);
  if (it != peer->fenced.end() && --it->second == 0) peer->fenced.erase(it);
  if (peer->teardown_told == 0 || --peer->teardown_told != options_.teardown_slice / 2) return;
  if (peer->teardown_timer.armed()) {
    peer->teardown_timer.Cancel();
    TeardownSlice(s.to.node_id);
  }
}

// ----------------------------------------------------------------- inbound

void PeerRouter::Core::OnInbound(PeerSession* session, Inbound inbound) {
  Peer* peer = PeerOf(session);
  if (Mutant("no-frame-session-check")) peer = Find(session->peer().node_id);
  if (!peer) return;
  for (SignalPtr& s : inbound.signals) {
    if (Hangs(s->kind) && deps_.runtime->IsAlive(s->to)) Hang(peer, s->to.id);
    deps_.runtime->Deliver(std::move(s));
  }
  if (inbound.stale_route && hooks_.stale_route)
    hooks_.stale_route(inbound.stale_pid, inbound.stale_reg_version);
}

// ------------------------------------------------------------------- peers

PeerRouter::Core::Peer* PeerRouter::Core::Find(uint32_t node_id) {
  auto it = peers_.find(node_id);
  return it == peers_.end() ? nullptr : it->second.get();
}

PeerRouter::Core::Peer& PeerRouter::Core::FindOrAdd(uint32_t node_id) {
  std::unique_ptr<Peer>& p = peers_[node_id];
  if (!p) p = std::make_unique<Peer>(node_id, deps_.timers, deps_.executor);
  return *p;
}

PeerRouter::Core::Peer* PeerRouter::Core::PeerOf(const PeerSession* session) {
  Peer* peer = Find(session->peer().node_id);
  return peer && (peer->session.get() == session || peer->dial.get() == session) ? peer : nullptr;
}

void PeerRouter::Core::SetPeer(wire::NodeIdentity id, std::string address) {
  if (id.node_id == 0 || id.node_id == self_.node_id) return;
  Peer& peer = FindOrAdd(id.node_id);
  if (id.incarnation < peer.id.incarnation || (id.incarnation == peer.id.incarnation && peer.gone))
    return;
  peer.address = std::move(address);
  if (id.incarnation > peer.id.incarnation) {
    peer.id.incarnation = id.incarnation;
    peer.gone = false;
    LifeChanged(&peer);
  }
  RetryParked();
  if (!peer.waiting.empty()) Pursue(&peer);
}

void PeerRouter::Core::SetPeerGone(wire::NodeIdentity id) {
  if (id.node_id == 0 || id.node_id == self_.node_id) return;
  Peer& peer = FindOrAdd(id.node_id);
  if (id.incarnation < peer.id.incarnation || (id.incarnation == peer.id.incarnation && peer.gone))
    return;
  peer.id.incarnation = id.incarnation;
  peer.gone = true;
  LifeChanged(&peer);
  RetryParked();
}

// What belongs to a former life is closed; what waits for one is answered.
void PeerRouter::Core::LifeChanged(Peer* peer) {
  // Out first: what waits for the new life must not fail with the dial to the old one.
  std::deque<SignalPtr> waiting = std::move(peer->waiting);
  peer->waiting.clear();
  peer->waiting_bytes = peer->waiting_control = 0;
  SetBusy(peer, false);
  auto close = [&](PeerSession* s) {
    if (s && (s->peer() != peer->id || peer->gone))
      s->Close(pb::CloseFrame::REASON_PEER_DEAD, "this life is over");
  };
  close(peer->dial.get());
  close(peer->session.get());
  peer->backoff = peer->slow_backoff = absl::ZeroDuration();
  peer->retry_at = peer->direct_at = Instant();
  peer->their_dial_expected = false;
  for (SignalPtr& s : waiting) RouteOne(std::move(s));
}

void PeerRouter::Core::SetIdentity(std::string cluster_id, wire::NodeIdentity self) {
  if (self_ == self && cluster_id_ == cluster_id) return;
  if (self_.node_id != 0) ClearIdentity();
  cluster_id_ = std::move(cluster_id);
  self_ = self;
  peers_.erase(self.node_id);
  RetryParked();
  IdleCheck();
}

void PeerRouter::Core::ClearIdentity() {
  self_ = {};
  relay_.clear();
  for (auto& [id, peer] : peers_) {
    if (peer->dial) peer->dial->Close(pb::CloseFrame::REASON_SHUTDOWN, "the node leaves its life");
    if (peer->session)
      peer->session->Close(pb::CloseFrame::REASON_SHUTDOWN, "the node leaves its life");
    FailWaiting(peer.get());
  }
}

std::vector<PeerRouter::PeerState> PeerRouter::Core::Peers() const {
  std::vector<PeerState> out;
  for (const auto& [id, peer] : peers_) {
    PeerState& state =
        out.emplace_back(PeerState{peer->id, peer->address, peer->session != nullptr, peer->gone});
    state.busy = peer->busy;
    state.messages = peer->waiting.size() - peer->waiting_control;
    state.message_bytes = peer->waiting_bytes;
    state.control = peer->waiting_control;
    if (!peer->session) continue;
    state.relayed = peer->session->relayed();
    const Outbox& outbox = peer->session->outbox();
    state.messages += outbox.messages().entries;
    state.message_bytes += outbox.messages().bytes;
    state.control += outbox.control().entries;
    state.control_bytes = outbox.control().bytes;
  }
  return out;
}

void PeerRouter::Core::DropSession(uint32_t node_id) {
  if (Peer* peer = Find(node_id); peer && peer->session) {
    peer->session->Close(pb::CloseFrame::REASON_TIMEOUT, "dropped");
  }
}

}  // namespace banyan
