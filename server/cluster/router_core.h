#pragma once

#include <atomic>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"

#include "common/base/mutex.h"
#include "server/cluster/peer_router.h"
#include "server/cluster/peer_session.h"
#include "server/cluster/strand_timer.h"

namespace banyan {

// The router's state, on its executor but for the inbox. Closures hold it weakly, so that it may be
// destroyed while some are posted.
class PeerRouter::Core : public PeerSessionOwner,
                         public std::enable_shared_from_this<PeerRouter::Core> {
 public:
  Core(Deps deps, PeerOptions options, Hooks hooks);
  ~Core() override;

  void Route(SignalPtr signal);                                // any thread
  bool Busy(uint32_t node_id) const;                           // any thread
  std::optional<Pid> FindNode(const std::string& name) const;  // any thread

  void Listen();
  void SetIdentity(std::string cluster_id, wire::NodeIdentity self);
  void ClearIdentity();
  void SetPeer(wire::NodeIdentity id, std::string address);
  void SetPeerGone(wire::NodeIdentity id);
  void SetRelay(std::string coordinator);
  void OnRelayOffer(uint64_t relay_id, wire::NodeIdentity from);
  std::vector<PeerState> Peers() const;
  const Stats& stats() const { return stats_; }
  void DropSession(uint32_t node_id);

  void OnHello(PeerSession* session) override;
  void OnHelloAck(PeerSession* session) override;
  void OnInbound(PeerSession* session, Inbound inbound) override;
  void OnSessionClosed(PeerSession* session) override;
  void OnStreamOver(PeerSession* session) override;
  void OnBusy(PeerSession* session, bool busy) override;

 private:
  // What is known of one node, and the one session with its present life.
  struct Peer {
    Peer(uint32_t node_id, Timers* timers, Executor* executor)
        : teardown_timer(timers, executor), wait_timer(timers, executor) {
      id.node_id = node_id;
    }
    wire::NodeIdentity id;  // incarnation 0: the view has not told yet
    std::string address;
    bool gone = false;
    std::unique_ptr<PeerSession> session;  // up
    std::unique_ptr<PeerSession> dial;     // our handshake is under way
    std::deque<SignalPtr> waiting;         // for a session
    size_t waiting_bytes = 0;
    size_t waiting_control = 0;  // those that are no messages
    // Processes whose messages have made it busy.
    bool busy = false;
    absl::flat_hash_set<uint64_t> held;
    // Local processes that may have something hanging on the session, and when they last got or
    // sent what does (Core::last_hang_).
    absl::flat_hash_map<uint64_t, uint64_t> hanging;
    size_t prune_at = 4096;
    size_t asked = 0;      // that have not said yet whether something does
    bool says_so = false;  // one of them has
    Instant ask_at;
    // Those that have not yet acted on a lost session: what they ask for meanwhile would be taken
    // away by it here while it lives on there, so it fails at once instead. Counts, for sessions in
    // a row.
    absl::flat_hash_map<uint64_t, uint32_t> fenced;
    std::vector<uint64_t> teardown;  // to be told of the loss, the rest
    size_t teardown_told = 0;        // that have not acted on it yet
    wire::NodeIdentity teardown_id;
    StrandTimer teardown_timer;
    bool tearing_down = false;
    bool their_dial_expected = false;  // ours gave way to it
    Instant retry_at;
    Instant direct_at;  // not dialled before, if the coordinator relays
    absl::Duration backoff = absl::ZeroDuration();
    absl::Duration slow_backoff = absl::ZeroDuration();
    StrandTimer wait_timer;
  };

  PeerSession::Context SessionContext();
  void DrainInbox();
  void RouteOne(SignalPtr signal);
  Peer& FindOrAdd(uint32_t node_id);
  Peer* Find(uint32_t node_id);
  Peer* PeerOf(const PeerSession* session);

  void Fail(SignalPtr signal, const ExitReason& reason);
  void FailWaiting(Peer* peer);
  bool Fenced(const Peer& peer, const Signal& signal) const;
  void OnLossActedOn(const Signal& signal);
  void Hang(Peer* peer, uint64_t local_id);
  void PruneHanging(Peer* peer);
  void Send(Peer* peer, SignalPtr signal);
  void Wait(Peer* peer, SignalPtr signal);
  void SetBusy(Peer* peer, bool busy);
  void HoldIfBusy(Peer* peer, SignalKind kind, Pid from);
  void OnSlow(Peer* peer, const PeerSession& session);

  // Sees that there is, or soon will be, a session for what waits.
  void Pursue(Peer* peer);
  void Dial(Peer* peer);
  bool Relays(const Peer& peer) const;
  void OnDialClosed(Peer* peer, const PeerSession& dial);
  void DialFailed(Peer* peer);
  void GiveUpUnknown(uint32_t node_id);
  void Establish(Peer* peer, std::unique_ptr<PeerSession> session);
  void LifeChanged(Peer* peer);

  void TryAccept(PeerSession* session);
  std::string WhyNot(const internal::v1::PeerHello& hello, PeerSession::CloseReason* reason) const;
  void Park(PeerSession* session, Instant until);
  void RetryParked();
  void ArmParkTimer();

  void TearDown(Peer* peer, std::unique_ptr<PeerSession> session);
  void TeardownSlice(uint32_t node_id);
  void Bury(std::unique_ptr<PeerSession> session);
  void IdleCheck();
  void CloseIfIdle(Peer* peer);
  void AskHanging(Peer* peer);
  void OnHangingSaid(uint32_t node_id, uint64_t local_id, uint64_t asked_at, bool hangs);
  absl::Duration IdleLimit(const Peer& peer) const;
  void PostSelf(void (Core::*fn)());

  const Deps deps_;
  const PeerOptions options_;
  const Hooks hooks_;
  Stats stats_;
  std::string cluster_id_;
  wire::NodeIdentity self_;
  std::string relay_;  // the coordinator's address, while it relays
  uint64_t next_session_ = 1;
  uint64_t last_hang_ = 0;
  std::map<uint32_t, std::unique_ptr<Peer>> peers_;
  // Accepted streams whose Hello has not come or cannot be answered yet.
  std::list<std::unique_ptr<PeerSession>> greeting_;
  StrandTimer park_timer_;
  StrandTimer idle_timer_;
  // Closed sessions whose streams still send their last frame; with the time of burial.
  std::list<std::pair<std::unique_ptr<PeerSession>, Instant>> graves_;
  bool destroyed_ = false;

  std::atomic<Signal*> inbox_{nullptr};  // newest first
  std::atomic<size_t> busy_count_{0};
  mutable Mutex busy_mu_;
  absl::flat_hash_set<uint32_t> busy_nodes_ ABSL_GUARDED_BY(busy_mu_);
};

}  // namespace banyan
