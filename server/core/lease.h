#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "common/time/instant.h"

namespace banyan {

// The times that leases run by; the coordinator's, handed to nodes when they join. cluster.md 2.2.
struct LeaseTimes {
  absl::Duration heartbeat = absl::Seconds(1);
  absl::Duration suspect_after = absl::Seconds(4);
  absl::Duration freeze = absl::Seconds(40);       // T_freeze, on the node's clock
  absl::Duration node = absl::Seconds(50);         // T_node, on the node's clock
  absl::Duration coordinator = absl::Seconds(60);  // T_coord, on the coordinator's clock
  absl::Duration leader_ttl = absl::Seconds(6);
  absl::Duration leader_validity = absl::Seconds(4);
  absl::Duration failover_budget = absl::ZeroDuration();  // single coordinator: nobody takes over
  absl::Duration max_handler = absl::Seconds(5);
  absl::Duration pause_allowance = absl::Seconds(2);  // P
  absl::Duration stall_limit = absl::Seconds(1);      // L4
  double drift = 0.005;                               // epsilon

  // 40/50/60 s: a restart of the one coordinator must not freeze the fleet.
  static LeaseTimes Single();
  // 15/20/25 s: a replicated coordinator.
  static LeaseTimes Replicated();
  // Every duration times `factor`: tests with real time use a small one.
  LeaseTimes Scaled(double factor) const;
  // The heartbeat interval for this many nodes: one a second until 2,000 nodes, then 2,000 a second
  // in all.
  absl::Duration HeartbeatFor(uint64_t nodes) const;
  friend bool operator==(const LeaseTimes&, const LeaseTimes&) = default;
};

struct LeaseProblem {
  std::string rule;         // "C1" to "C5"
  std::string field;        // the setting to change
  std::string description;  // what is wrong, and the value that would do
};
// Empty: the times keep two lives of a child apart (C1) and are usable (C2 to C5).
std::vector<LeaseProblem> CheckLeaseTimes(const LeaseTimes& times);

// The node's side. The lease runs from the moment the newest acknowledged heartbeat was *sent*: the
// coordinator cannot have received it earlier. Not thread-safe.
class NodeLease {
 public:
  enum class Phase : uint8_t {
    kNone = 0,  // never acknowledged
    kRunning = 1,
    kFrozen = 2,   // exclusive children are not dispatched
    kExpired = 3,  // no handler of an exclusive child may run any more
  };

  explicit NodeLease(const LeaseTimes& times) : times_(times) {}

  // A heartbeat goes out now; its number.
  uint64_t OnSend(Instant now);
  // False: too old, unknown or of a lower epoch (L5), hence ignored.
  bool OnAck(uint64_t seq, uint32_t epoch);
  // The highest epoch obeyed; a command of a lower one must be refused.
  uint32_t epoch() const { return epoch_; }
  bool AcceptEpoch(uint32_t epoch);  // false: lower than accepted
  uint64_t acked_seq() const { return acked_seq_; }

  Phase PhaseAt(Instant now) const;
  Instant freeze_at() const;
  Instant expires_at() const;
  // Lease left at `now`; what ChildContext::lease_ok(need) compares with. Zero when none.
  absl::Duration Remaining(Instant now) const;
  // A new incarnation begins without a lease; the epoch stays.
  void Reset();

 private:
  struct Sent {
    uint64_t seq;
    Instant at;
  };
  LeaseTimes times_;
  std::deque<Sent> sent_;  // not yet acknowledged; bounded, oldest dropped
  uint64_t next_seq_ = 1;
  uint64_t acked_seq_ = 0;
  Instant acked_sent_at_;
  uint32_t epoch_ = 0;
};

// The coordinator's side for one member: when it was last heard, hence when it may be called
// suspect and when dead. Not thread-safe.
class DeathClock {
 public:
  // L3: a new leader has heard everybody at the start of its term.
  DeathClock(const LeaseTimes& times, Instant term_start) : times_(times), heard_(term_start) {}

  // False: the member's death has been decided, so it must not be acknowledged (L7).
  // The caller has checked its own leadership after reading the heartbeat (L2).
  bool OnHeartbeat(Instant now);
  bool Suspect(Instant now) const;
  // A lease death may be committed now (L3).
  bool MayDie(Instant now) const;
  // From here on no heartbeat is acknowledged, whatever becomes of the transaction (L7).
  void DecideDeath() { decided_ = true; }
  bool decided() const { return decided_; }
  // L4: the coordinator's own loop was late; see StallDetector.
  void Forgive(absl::Duration late);
  Instant heard() const { return heard_; }
  Instant suspect_at() const { return heard_ + times_.suspect_after; }
  Instant dead_at() const { return heard_ + times_.coordinator; }

 private:
  LeaseTimes times_;
  Instant heard_;
  bool decided_ = false;
};

// L4: notices that the coordinator's loop itself stood still. Tick it from the loop at its period;
// what it returns is added to every DeathClock before any death is decided.
class StallDetector {
 public:
  StallDetector(absl::Duration period, absl::Duration limit, Instant now)
      : period_(period), limit_(limit), last_(now) {}
  // How late this tick was, if by more than the limit; else zero.
  absl::Duration Tick(Instant now);

 private:
  absl::Duration period_;
  absl::Duration limit_;
  Instant last_;
};

}  // namespace banyan
