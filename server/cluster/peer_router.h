#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/time/clock.h"
#include "common/wire/pid.h"
#include "server/cluster/options.h"
#include "server/cluster/transport.h"
#include "server/runtime/runtime.h"

namespace banyan {

// Carries signals between nodes (cluster.md 3): one session per pair of lives of two nodes, dialled
// when the first signal wants to go there, over the transport's kPeer streams.
//
// What a session carried is never lost in silence: when it ends, for whatever cause, every local
// process that has a link, a monitor or an open call over it hears `noconnection` once, before a
// next session to the same peer begins.
//
// What a peer does not read in time stays here: the processes that send to it are held, calls from
// outside refused, and the session is closed before too much has come together or has become old.
//
// Threads: Route(), Busy() and FindNode() from any thread; all else on the executor, which is also
// the transport's.
class PeerRouter : public RemoteRouter {
 public:
  struct Deps {
    Runtime* runtime = nullptr;  // all outlive the router
    Clock* clock = nullptr;
    Timers* timers = nullptr;
    Executor* executor = nullptr;
    Random* random = nullptr;
    Transport* transport = nullptr;
  };
  struct Hooks {
    // A peer answered that the process or name is not there any more; reg_version 0: it knows no
    // newer.
    std::function<void(Pid stale, uint64_t reg_version)> stale_route;
    // A session came up or ended.
    std::function<void(wire::NodeIdentity peer, bool up)> session;
    // Whether a process of this node has a cluster name still that was registered for it under this
    // number. Unset: as long as it is alive.
    std::function<bool(Pid pid, uint64_t reg_version)> holds;
    // The present life of the node of that name; {0, 0}: this node; nullopt: no member. Any thread.
    std::function<std::optional<wire::NodeIdentity>(const std::string& name)> find_node;
  };
  struct Stats {
    uint64_t batches_sent = 0, batches_received = 0;
    uint64_t frames_sent = 0, frames_received = 0;
    uint64_t bytes_sent = 0, bytes_received = 0;
    uint64_t sessions_opened = 0, sessions_closed = 0;
    uint64_t dropped = 0;  // messages that could not leave: nobody there, too large, local values
    uint64_t protocol_errors = 0;
  };
  struct PeerState {
    wire::NodeIdentity id;
    std::string address;
    bool up = false;       // a session is established
    bool gone = false;     // this life is dead or has left
    bool relayed = false;  // the session goes through the coordinator
    // What waits to be sent to it: messages, calls and answers; all other signals.
    size_t messages = 0, message_bytes = 0;
    size_t control = 0, control_bytes = 0;
    bool busy = false;  // so much that their senders are held
  };

  PeerRouter(Deps deps, PeerOptions options, Hooks hooks = {});
  // On the executor, after the runtime was shut down or given another router.
  ~PeerRouter() override;
  PeerRouter(const PeerRouter&) = delete;

  // Installs the acceptor of kPeer streams. Once, before the first stream can come.
  void Listen();

  void Route(SignalPtr signal) override;
  bool Busy(uint32_t node_id) const override;
  std::optional<Pid> FindNode(const std::string& name) const override;

  // This node is a member now, in this life. Sessions of another life are closed first.
  void SetIdentity(std::string cluster_id, wire::NodeIdentity self);
  // Not a member any more: closes all sessions and fails what is routed.
  void ClearIdentity();

  // What the coordinator's view says of others. A higher incarnation supersedes the former one.
  void SetPeer(wire::NodeIdentity peer, std::string address);
  // This life is DEAD or has LEFT: its session is closed, and no other is accepted from it.
  void SetPeerGone(wire::NodeIdentity peer);

  // Where the coordinator relays sessions to peers that cannot be dialled; empty: nowhere.
  void SetRelay(std::string coordinator);
  // Such a peer wants one.
  void OnRelayOffer(uint64_t relay_id, wire::NodeIdentity from);

  std::vector<PeerState> Peers() const;
  Stats stats() const;
  // Ends the session with a node as if its connection had broken (tests, chaos runs).
  void DropSessionForTest(uint32_t node_id);

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace banyan
