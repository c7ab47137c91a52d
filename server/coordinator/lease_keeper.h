#pragma once

#include "banyan/internal/v1/membership.pb.h"
#include "server/coordinator/coordinator.h"
#include "server/core/lease.h"

namespace banyan {

class LeaseSession;
struct Member;

// Who is heard of: acks heartbeats, suspects and, in the end, declares dead
// (cluster.md 2.3, 2.5, 2.6).
//
//   ACTIVE  -> SUSPECT  silence for `suspect_after`, the lease stream breaks, or the control stream
//                       stays away                                     (memory only)
//   SUSPECT -> ACTIVE   three heartbeats in a row under a resynced control stream
//   any     -> DEAD     `lease_coordinator` after the last heartbeat that was acked (L3)
class LeaseKeeper {
 public:
  explicit LeaseKeeper(Coordinator::Core* core);
  void Start();
  void OnHeartbeat(LeaseSession* session, const internal::v1::LeaseRequest& beat);
  void OnLeaseLost(Member* member);
  // The resync is done: the node hears us.
  void OnResynced(Member* member);
  bool deaths_held() const { return deaths_held_; }

 private:
  void Tick();
  void Check(Member* member, Instant now);
  void Suspect(Member* member);
  void MaybeTrust(Member* member);
  bool OneWay(Member* member, const internal::v1::LeaseRequest& beat, Instant now);
  bool MassLoss(Instant now);

  Coordinator::Core* const core_;
  StallDetector stall_;
  Instant held_until_;
  bool deaths_held_ = false;
};

}  // namespace banyan
