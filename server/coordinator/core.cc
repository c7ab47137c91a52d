#include "server/coordinator/core.h"

#include <utility>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/mutant.h"

namespace banyan {
namespace {

constexpr absl::Duration kStoreRetry = absl::Seconds(1);

LeaseTimes TimesOf(const CoordinatorOptions& o) {
  LeaseTimes times = LeaseTimes::Single();
  times.heartbeat = o.heartbeat;
  times.suspect_after = o.suspect_after;
  times.freeze = o.lease_freeze;
  times.node = o.lease_node;
  times.coordinator = o.lease_coordinator;
  times.pause_allowance = o.pause_allowance;
  times.stall_limit = o.stall_limit;
  times.max_handler = o.max_handler;
  times.drift = o.clock_drift;
  return times;
}

}  // namespace

std::string CoordinatorOptions::Validate() const {
  static const std::map<std::string, std::string> kOptions = {
      {"coordinator", "lease-coordinator"}, {"node", "lease-node"}, {"freeze", "lease-freeze"},
      {"suspect_after", "suspect-after"},   {"drift", "drift"},     {"heartbeat", "heartbeat"}};
  std::string all;
  for (const LeaseProblem& problem : CheckLeaseTimes(TimesOf(*this))) {
    const auto option = kOptions.find(problem.field);
    all += fmt::format("{}{}: {} ({})", all.empty() ? "" : "\n",
                       option == kOptions.end() ? problem.field : option->second,
                       problem.description, problem.rule);
  }
  return all;
}

Coordinator::Core::Core(Deps d, CoordinatorOptions o)
    : deps(d),
      options(std::move(o)),
      times(TimesOf(options)),
      journal(
          {.store = deps.store,
           .run = [this](const std::function<void()>& fn) { Run(fn); },
           .retry_later = [this](std::function<void()> fn) { After(kStoreRetry, std::move(fn)); },
           .on_full =
               [this](bool full) {
                 cluster_events.AddAlarm(full ? kStoreFullAlarm : "the store takes changes again");
               }}),
      sessions(this),
      relays(this),
      lease_keeper(this),
      membership(this),
      safe_mode(this),
      names(this),
      groups(this),
      tree(this),
      reconciler(this),
      operations(this),
      events(this),
      cluster_events(this),
      resolver(this),
      supervisor_requests(this),
      cluster_requests(this),
      node_requests(this),
      queries(this),
      fences_(0) {}

Coordinator::Core::~Core() {
  for (const auto& [id, timer] : timers_)  // seam: in whatever order
    deps.timers->Cancel(timer);
}

void Coordinator::Core::PostRaw(std::function<void()> fn) {
  deps.executor->Post([weak = weak_from_this(), fn = std::move(fn)] {
    if (auto self = weak.lock()) fn();
  });
}

void Coordinator::Core::Post(std::function<void()> fn) {
  PostRaw([this, fn = std::move(fn)] { Run(fn); });
}

void Coordinator::Core::Run(const std::function<void()>& fn) {
  ++depth_;
  fn();
  if (--depth_ == 0) EndTurn();
}

void Coordinator::Core::EndTurn() {
  ++depth_;  // what effects change is part of the next round, not a turn within this one
  do {
    if (started) {
      reconciler.Drain();
      operations.CheckOrphans();
      membership.FlushView();
      tree.Flush();
      events.Flush();
      cluster_events.Flush();
    }
    journal.Commit();
  } while (started && reconciler.has_work());
  sessions.SendAcks();
  tree.Sweep();
  sessions.Sweep();
  --depth_;
}

Coordinator::Core::TimerId Coordinator::Core::After(absl::Duration delay,
                                                    std::function<void()> fn) {
  return At(now() + delay, std::move(fn));
}

Coordinator::Core::TimerId Coordinator::Core::At(Instant at, std::function<void()> fn) {
  const TimerId id = ++last_timer_;
  timers_[id] = deps.timers->ScheduleAt(
      at, [weak = weak_from_this(), executor = deps.executor, id, fn = std::move(fn)] {
        executor->Post([weak, id, fn] {
          auto self = weak.lock();
          // Cancelled after it had gone off.
          if (self == nullptr || self->timers_.erase(id) == 0) return;
          self->Run(fn);
        });
      });
  return id;
}

void Coordinator::Core::Cancel(TimerId timer) {
  auto it = timers_.find(timer);
  if (it == timers_.end()) return;
  deps.timers->Cancel(it->second);
  timers_.erase(it);
}

absl::Status Coordinator::Core::CanChange(const std::string& kind) const {
  static const std::set<std::string> kOfNodes = {"Cordon",         "Uncordon",   "ConfirmDead",
                                                 "RemoveNode",     "UpdateNode", "EndSafeMode",
                                                 "FinalizeUpgrade"};
  if (!started) return MakeError("COORDINATOR_UNAVAILABLE", "the coordinator is starting");
  if (journal.full())
    return MakeError("STORE_FULL", "the store takes no changes: its disk is full");
  if (safe_mode.on() && !kOfNodes.contains(kind))
    return MakeError("SAFE_MODE", safe_mode.Alarms().front());
  return absl::OkStatus();
}

std::string Coordinator::Core::RandomHex(int bytes) {
  std::string hex;
  for (int i = 0; i < bytes; ++i) hex += fmt::format("{:02x}", deps.random->Below(256));
  return hex;
}

Fence Coordinator::Core::NextFence() {
  if (std::optional<Fence> fence = fences_.Next()) return *fence;
  BeginTerm(epoch + 1);  // the sequence is used up
  return *fences_.Next();
}

void Coordinator::Core::BeginTerm(uint32_t new_epoch) {
  epoch = new_epoch;
  revision_at_start = deps.store->revision();
  BANYAN_CHECK(fences_.SetEpoch(epoch));
  internal::v1::EpochRecord record;
  record.set_epoch(epoch);
  journal.Put("epoch", record);
  membership.Start();
  PostRaw(
      [this] { Run([this] { sessions.CloseAll(absl::UnavailableError("a new term begins")); }); });
}

// ---------------------------------------------------------------------- start

absl::Status Coordinator::Core::Load() {
  store_id = deps.store->store_id();
  revision_at_start = deps.store->revision();
  BANYAN_ASSIGN_OR_RETURN(auto epochs, deps.store->Load("epoch"));
  BANYAN_ASSIGN_OR_RETURN(auto metas, deps.store->Load("meta"));
  BANYAN_ASSIGN_OR_RETURN(auto nodes, deps.store->Load("node/"));
  internal::v1::EpochRecord record;
  if (!epochs.empty() && !record.ParseFromString(epochs[0].value)) {
    return absl::DataLossError("store: the epoch cannot be read");
  }
  if (!metas.empty() && !meta.ParseFromString(metas[0].value)) {
    return absl::DataLossError("store: the cluster's record cannot be read");
  }
  if (record.epoch() >= kFenceEpochMax) return absl::DataLossError("store: no epochs are left");
  epoch = record.epoch() + (Mutant("epoch-kept") && record.epoch() != 0 ? 0 : 1);
  record.set_epoch(epoch);
  fences_ = FenceAllocator(Mutant("fence-per-term") ? 1 : epoch);
  if (meta.level() > options.feature_level) {
    return absl::FailedPreconditionError(fmt::format(
        "store: the upgrade to feature level {} was finalized, this release has level {}; run the "
        "newer release",
        meta.level(), options.feature_level));
  }
  if (meta.cluster_id().empty()) {
    meta.set_level(options.feature_level);
    for (int i = 0; i < 16; ++i)
      meta.mutable_cluster_id()->push_back(static_cast<char>(deps.random->Below(256)));
  }
  journal.Put("epoch", record);
  journal.Put("meta", meta);
  for (const KeyValue& kv : nodes) {
    internal::v1::NodeRecord node;
    if (!node.ParseFromString(kv.value)) {
      return absl::DataLossError(fmt::format("store: {} cannot be read", kv.key));
    }
    Member& member = members.Add(std::move(node), times, now());
    member.drift = DriftGuard(options.drift_window);
    if (member.gone()) continue;
    // Nothing is known of it yet: one heartbeat after its resync will do.
    member.suspect = true;
    member.beats_wanted = 1;
  }
  BANYAN_RETURN_IF_ERROR(tree.Load());
  BANYAN_RETURN_IF_ERROR(cluster_requests.Load());
  return operations.Load();
}

void Coordinator::Core::Start(StatusReply ready) {
  // The store's thread may call when this is gone.
  journal.set_post([weak = weak_from_this(), executor = deps.executor](std::function<void()> fn) {
    executor->Post([weak, fn = std::move(fn)] {
      if (auto self = weak.lock()) fn();
    });
  });
  sessions.Listen();
  relays.Listen();
  if (absl::Status status = Load(); !status.ok()) return ready(status);
  membership.Start();
  names.Start();
  journal.After([this, ready = std::move(ready)] {
    started = true;
    term_start = now();
    reconciler.Start();
    lease_keeper.Start();
    cluster_requests.Start();
    cluster_events.AddLeader();
    safe_mode.Start();
    ready(absl::OkStatus());
  });
}

}  // namespace banyan
