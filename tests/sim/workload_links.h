#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/workload_actors.h"

namespace banyan::sim {

// Processes of different nodes link, unlink, send exits, die and are spawned linked.
//
// INV-9: at rest the tables of both ends of a link agree, and it has a session open on both sides.
// INV-10: a linked process's end, or a session's, is one exit at the other end, within 9 s.
// INV-11: after Unlink() has returned no exit of that link comes, until there is a new link.
class LinkWorkload : public ActorWorkload {
 public:
  std::string_view name() const override { return "links"; }

 private:
  // What an actor did with a peer, by the peer's pid as it sees it.
  struct Side {
    bool linked = false;  // it has linked, and neither unlinked nor seen an exit since
    bool reported = false;
    Instant since;             // of the last Link() that made it so
    absl::Duration since_ran;  // how long this node had run by then
    uint64_t links = 0;        // such calls
    uint64_t exits = 0;        // over links, received
    Instant unlinked;          // when the last Unlink() of a link returned
    bool was_unlinked = false;
    uint64_t closed_then = 0;  // sessions closed at this node by that time, or by `since`
    Instant last_link_call, last_exit;
    std::optional<Instant> last_unlink_call;
    absl::Duration unlink_ran;  // how long the peer's node had run by then
    // The last Unlink() may have taken the link away that the other end has asked for: it came
    // later, or was still on its way.
    bool MayUndo(const Side& link) const;
  };
  struct LinkActor : Actor {
    std::map<Pid, Side> sides;
  };
  // A peer's end that `actor` must see: an exit, or it has unlinked.
  struct Expectation {
    LinkActor* actor;
    Pid from;      // as the actor sees it
    Side link;     // the peer's
    Instant gone;  // the peer, or its end of the link
  };

  void OnLife(int node) override;
  void CheckAtRest() override;
  void OnTick() override;
  void OnEnded(Actor* actor) override;
  void SpawnActor(int node);
  void StopLoad() override;
  void OnSessionFault(int a, int b) override;
  // Two processes link and unlink each other at the same time.
  void Duel();
  void Duel(Actor* one, Actor* other);
  void Strike(Self& self, LinkActor* me, Pid opponent);
  Task<ExitReason> Run(Self& self, LinkActor* me);
  // False: it ends, with me->reason.
  bool Act(Self& self, LinkActor* me);
  Pid Target(LinkActor* me);
  void DoLink(Self& self, LinkActor* me, Pid to);
  void DoUnlink(Self& self, LinkActor* me, Pid to);
  void SpawnLinked(Self& self, LinkActor* me);
  void OnExit(LinkActor* me, const Message& message);
  void TakeLinkExits(Self& self, LinkActor* me, Pid from);
  bool MayBeLinkedByPeer(LinkActor* me, const Pid& from, const Side& mine);
  // The other end may have taken the link away, of which nobody tells this one.
  bool PeerMayHaveUnlinked(const LinkActor& me, const Pid& from, const Side& link) const;
  uint64_t LinksByPeer(const LinkActor& me, const Pid& from) const;
  void CheckReason(LinkActor* me, const Message& message);
  // The end of a session that one end of a link has heard of must be heard of at the other.
  void ExpectAtPeer(LinkActor* me, const Pid& from);
  std::string Describe(const LinkActor& me, const Pid& peer) const;

  std::vector<Expectation> expected_;
};

}  // namespace banyan::sim
