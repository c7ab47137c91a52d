#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "banyan/internal/v1/membership.pb.h"
#include "banyan/internal/v1/store.pb.h"
#include "common/time/instant.h"
#include "server/core/drift_guard.h"
#include "server/core/lease.h"
#include "server/core/mass_loss.h"
#include "server/core/placement.h"

namespace banyan {

class ControlSession;
class LeaseSession;
class WatcherSession;

// One node as the coordinator knows it: the durable record, and what is rebuilt from the node.
struct Member {
  Member(internal::v1::NodeRecord r, const LeaseTimes& times, Instant now)
      : record(std::move(r)), clock(times, now) {}

  internal::v1::NodeRecord record;
  DeathClock clock;

  // Life of the connection. Suspicion is memory only.
  bool suspect = false;
  Instant suspect_since;
  uint32_t beats_in_row = 0;  // since it became suspect
  uint32_t beats_wanted = 3;  // to be trusted again (hysteresis)
  LeaseSession* lease = nullptr;
  ControlSession* control = nullptr;
  WatcherSession* watcher = nullptr;
  bool resynced = false;  // under `control`
  bool known = false;     // has resynced in this term, or had nothing when it joined
  Instant joined_at;      // JOINING: since its hello
  Instant control_lost;   // when `control` went; infinite while it is there
  // One-way loss: the ack that the node has, and since when that has not moved.
  uint64_t acked_seq = 0;
  uint64_t last_sent_ack = 0;
  Instant acked_moved;
  Instant last_beat;
  bool acks_held = false;    // until a resync proves that the node hears us
  uint64_t last_report = 0;  // highest report taken in this term

  // What it reports.
  banyan::v1::NodeLoad load;
  std::vector<banyan::v1::ModuleInfo> modules;
  bool frozen = false;
  bool has_watcher = false;
  absl::Time last_seen = absl::InfinitePast();

  // Its clock against ours (L6).
  DriftGuard drift;
  bool drift_alarm = false;
  bool exclusive_ok = true;  // false: its clock is too far off for exclusive children

  // Flapping (cluster.md 2.6).
  FlapHistory flaps;
  Instant quarantined_until;

  // Placement.
  int64_t weight = 0;
  std::map<std::string, int64_t> assigned;
  std::set<std::string> children;  // path keys of children assigned to this life
  uint32_t starts_in_flight = 0;
  Instant full_until;
  uint32_t recent_start_failures = 0;
  bool traits_changed = true;  // labels, capacity or modules, since placement last looked

  const std::string& name() const { return record.name(); }
  uint32_t node_id() const { return record.node_id(); }
  uint32_t incarnation() const { return record.incarnation(); }
  bool gone() const {
    return record.state() == banyan::v1::NODE_STATE_DEAD ||
           record.state() == banyan::v1::NODE_STATE_LEFT;
  }
  // Commands can be sent to it.
  bool manageable() const { return !gone() && control != nullptr && resynced; }
  bool reachable() const { return manageable() && !suspect; }
  bool draining() const { return record.has_drain() && !record.drain().has_end_time(); }
  banyan::v1::NodeState shown_state() const;
  // May get new children.
  bool placeable(Instant now) const;
  // What it says of itself, with what operators gave it instead.
  std::map<std::string, std::string> labels() const;
  std::map<std::string, int64_t> capacity() const;
};

// The members by name and by number. Gone ones stay until they are removed, for their incarnation.
class MemberTable {
 public:
  Member* Find(const std::string& name);
  Member* FindById(uint32_t node_id);
  // Null unless that life of the node is the present one and not gone.
  Member* FindLive(uint32_t node_id, uint32_t incarnation);
  Member& Add(internal::v1::NodeRecord record, const LeaseTimes& times, Instant now);
  void Remove(const std::string& name);
  const std::map<std::string, std::unique_ptr<Member>>& all() const { return by_name_; }

  // Those that are not gone.
  size_t live() const;
  // The nodes as placement sees them, until the next call or the end of a member.
  std::vector<NodeView>& Views(Instant now);
  // Some live member has not yet said, in this term, what it has.
  bool AwaitsResync() const;
  // A member of an earlier term has told all, but has yet to be heard of once more: it takes
  // children any moment.
  bool AwaitsTrust() const;
  // Some node is about to become a member.
  bool AwaitsJoin() const;

 private:
  std::map<std::string, std::unique_ptr<Member>> by_name_;
  absl::flat_hash_map<uint32_t, Member*> by_id_;
  std::vector<NodeView> views_;  // kept: a start must not cost a copy of what all nodes are
};

}  // namespace banyan
