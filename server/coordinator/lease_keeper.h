#pragma once

#include <string>
#include <vector>

#include "banyan/internal/v1/membership.pb.h"
#include "server/coordinator/coordinator.h"
#include "server/core/lease.h"
#include "server/core/mass_loss.h"

namespace banyan {

class LeaseSession;
struct Member;

// Who is heard of: acks heartbeats, suspects and, in the end, declares dead
// (cluster.md 2.3, 2.5, 2.6).
//
//   ACTIVE  -> SUSPECT  silence for `suspect_after`, the lease stream breaks, or the control stream
//                       stays away                                     (memory only)
//   SUSPECT -> ACTIVE   three heartbeats in a row under a resynced control stream
//   any     -> DEAD     `lease_coordinator` after the last heartbeat that was acked (L3), unless so
//                       many are missing that deaths are held
class LeaseKeeper {
 public:
  explicit LeaseKeeper(Coordinator::Core* core);
  void Start();
  void OnHeartbeat(LeaseSession* session, const internal::v1::LeaseRequest& beat);
  void OnLeaseLost(Member* member);
  // The resync is done: the node hears us.
  void OnResynced(Member* member);
  // A life of the member has ended other than by its own will.
  void OnDeath(Member* member);
  bool deaths_held() const { return mass_loss_.held(); }
  // Replacements shall come slowly.
  bool braked() const { return mass_loss_.braked(); }
  // The interval for as many nodes as there are.
  absl::Duration heartbeat() const;
  std::vector<std::string> Alarms() const;

 private:
  void Tick();
  // `silence`: at least so long before a member is suspect.
  void Check(Member* member, absl::Duration silence, Instant now);
  void Suspect(Member* member);
  void MaybeTrust(Member* member);
  bool OneWay(Member* member, const internal::v1::LeaseRequest& beat, Instant now);
  void Quarantine(Member* member);
  void CheckClock(Member* member, const internal::v1::LeaseRequest& beat, Instant now);
  void CheckMassLoss(Instant now);

  Coordinator::Core* const core_;
  StallDetector stall_;
  MassLossGuard mass_loss_;
  QuarantineBudget quarantines_;
};

}  // namespace banyan
