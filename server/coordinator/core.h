#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"

#include "common/wire/exit_reason.h"
#include "common/wire/pid.h"
#include "common/wire/time.h"
#include "server/coordinator/cluster_requests.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/event_log.h"
#include "server/coordinator/groups.h"
#include "server/coordinator/journal.h"
#include "server/coordinator/lease_keeper.h"
#include "server/coordinator/members.h"
#include "server/coordinator/membership.h"
#include "server/coordinator/names.h"
#include "server/coordinator/node_requests.h"
#include "server/coordinator/operations.h"
#include "server/coordinator/queries.h"
#include "server/coordinator/reconciler.h"
#include "server/coordinator/relays.h"
#include "server/coordinator/resolver.h"
#include "server/coordinator/safe_mode.h"
#include "server/coordinator/sessions.h"
#include "server/coordinator/supervisor_requests.h"
#include "server/coordinator/tree.h"
#include "server/core/fence_allocator.h"
#include "server/core/lease.h"

namespace banyan {

inline constexpr char kStoreFullAlarm[] =
    "the store's disk is full: nothing can be changed, and no node's end can be recorded";

// The state machine: its parts, and the turn that all of its work runs in.
//
// A turn is one input (a frame, a request, a timer) with everything that follows from it: the parts
// change their memory, what must last is written into the journal's one transaction, and effects
// wait for it. Parts call each other directly; there is one thread.
class Coordinator::Core : public std::enable_shared_from_this<Coordinator::Core> {
 public:
  Core(Deps d, CoordinatorOptions o);
  ~Core();

  // Any thread: runs `fn` as a turn.
  void Post(std::function<void()> fn);
  // Runs `fn` as a turn, or as part of the present one.
  void Run(const std::function<void()>& fn);
  // Runs `fn` as a turn after `delay`. 0 is no timer.
  using TimerId = uint64_t;
  TimerId After(absl::Duration delay, std::function<void()> fn);
  TimerId At(Instant at, std::function<void()> fn);
  void Cancel(TimerId timer);

  void Start(StatusReply ready);

  Instant now() const { return deps.clock->Now(); }
  absl::Time wall() const { return deps.clock->WallNow(); }
  google::protobuf::Timestamp wall_proto() const { return wire::ToProto(wall()); }
  // The next number that orders registrations: epoch:24 . seq:40.
  uint64_t NextRegVersion() { return (uint64_t{epoch} << 40) | ++reg_seq_; }
  // A fence above all others; takes a new epoch when the present one's are used up.
  Fence NextFence();
  std::string RandomHex(int bytes);
  Coordinator::WatchId NextWatchId() { return ++last_watch_; }
  // OK, or why such a request is not taken now.
  absl::Status CanChange(const std::string& kind) const;
  // A new, durable epoch, in which all nodes begin their sessions anew.
  void BeginTerm(uint32_t new_epoch);

  const Deps deps;
  const CoordinatorOptions options;
  const LeaseTimes times;
  bool started = false;
  uint32_t epoch = 0;
  Instant term_start;
  internal::v1::MetaRecord meta;
  std::string store_id;
  uint64_t revision_at_start = 0;  // of the store, before this term changed it

  Journal journal;
  MemberTable members;
  Sessions sessions;
  Relays relays;
  LeaseKeeper lease_keeper;
  Membership membership;
  SafeMode safe_mode;
  NameTable names;
  GroupRegistry groups;
  Tree tree;
  Reconciler reconciler;
  Operations operations;
  SupervisionEvents events;
  ClusterEvents cluster_events;
  Resolver resolver;
  SupervisorRequests supervisor_requests;
  ClusterRequests cluster_requests;
  NodeRequests node_requests;
  Queries queries;

 private:
  absl::Status Load();
  void PostRaw(std::function<void()> fn);
  void EndTurn();

  int depth_ = 0;
  uint64_t reg_seq_ = 0;
  Coordinator::WatchId last_watch_ = 0;
  FenceAllocator fences_;
  TimerId last_timer_ = 0;
  absl::flat_hash_map<TimerId, Timers::Id> timers_;
};

using CoordinatorCore = Coordinator::Core;

}  // namespace banyan
