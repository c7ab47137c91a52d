#include "fmt/format.h"

#include "common/base/error.h"
#include "tests/sim/clients_request.h"

namespace banyan::sim {
namespace {

constexpr int kShelf = 6;
constexpr int kPoolMax = 16;

ChildSpec ProbeSpec(std::string id) {
  ChildSpec spec;
  spec.id = std::move(id);
  spec.start.module = "probe";
  return spec;
}

Target Sup(const std::string& name) { return Target{Target::Name{name}}; }

}  // namespace

Clients::Clients(SimCluster* cluster)
    : cluster_(cluster), random_(cluster->Fork("clients")), net_(cluster->Fork("client network")) {
  for (int i = 0; i < kShelf; ++i) shelf_[fmt::format("s{}", i)];
  for (int i = 0; i < cluster->size(); ++i) nodes_[SimCluster::NodeName(i)];
}

std::string Clients::NextId(std::string_view kind) {
  return fmt::format("{}-{}", kind, ++requests_);
}

void Clients::Unexpected(const std::string& what, const absl::Status& status) {
  if (ErrorReason(status) == "SAFE_MODE") return;
  cluster_->history().Violation(fmt::format("INV-18: {}: {}", what, status.ToString()));
}

bool Clients::WaitIdle(absl::Duration limit) {
  return cluster_->time().RunUntil([this] { return open_ == 0; }, limit);
}

// ---------------------------------------------------------------------- boot

void Clients::StartSupervisor(std::string name, SupervisorSpec spec) {
  StartSupervisorArgs args;
  args.name = name;
  args.spec = std::move(spec);
  Do<v1::SupervisorInfo>(
      NextId("supervisor"),
      [this, args](const std::string& id, Reply<v1::SupervisorInfo> done) {
        StartSupervisorArgs copy = args;
        copy.request_id = id;
        cluster_->coordinator().StartSupervisor(std::move(copy), std::move(done));
      },
      [this, name](absl::StatusOr<v1::SupervisorInfo> r) {
        if (!r.ok()) return Unexpected("supervisor " + name, r.status());
        booted_.insert(name);
      });
}

bool Clients::Boot(bool tight, bool calm, bool movable) {
  SupervisorSpec pool;
  pool.flags = {.strategy = Strategy::kSimpleOneForOne, .intensity = 100'000};
  pool.child_template = ProbeSpec("");
  pool.child_template->movable = movable;
  StartSupervisor("pool", pool);

  SupervisorSpec duty;
  duty.flags.intensity = 100'000;
  for (int i = 0; i < 5; ++i) duty.children.push_back(ProbeSpec(fmt::format("duty{}", i)));
  // It may be replaced when nothing but silence is known.
  if (!calm) duty.children[0].exclusivity = Exclusivity::kAvailable;
  duty.children[1].exclusivity = Exclusivity::kStrict;
  duty.children[2].restart = RestartType::kTransient;
  duty.children[3].placement.node = "n1";
  duty.children[3].has_placement = true;
  duty.children[4].resources["weight"] = 2;
  duty.children[2].movable = duty.children[4].movable = movable;
  StartSupervisor("duty", duty);

  SupervisorSpec group;
  all_ = random_->Below(2) == 0;
  group.flags = {.strategy = all_ ? Strategy::kOneForAll : Strategy::kRestForOne,
                 .intensity = 100'000};
  for (int i = 0; i < 3; ++i) group.children.push_back(ProbeSpec(fmt::format("group{}", i)));
  StartSupervisor("group", group);

  auto sub = std::make_shared<SupervisorSpec>();
  sub->flags = {.strategy = Strategy::kOneForAll, .intensity = 100'000};
  for (int i = 0; i < 2; ++i) sub->children.push_back(ProbeSpec(fmt::format("leaf{}", i)));
  SupervisorSpec tree;
  tree.flags.intensity = 100'000;
  ChildSpec& below = tree.children.emplace_back();
  below.id = "sub";
  below.type = ChildType::kSupervisor;
  below.supervisor = sub;
  StartSupervisor("tree", tree);

  SupervisorSpec shelf;
  shelf.flags.intensity = 100'000;
  StartSupervisor("shelf", shelf);

  tight_ = tight;
  if (tight) {
    SupervisorSpec spec;
    spec.flags = {.strategy = Strategy::kOneForOne, .intensity = 3, .period = absl::Seconds(10)};
    for (int i = 0; i < 2; ++i) spec.children.push_back(ProbeSpec(fmt::format("tight{}", i)));
    StartSupervisor("tight", spec);
  }
  if (!WaitIdle(absl::Seconds(60)) || booted_.size() != (tight ? 6u : 5u)) return false;
  for (int i = 0; i < 5; ++i) PoolStart();
  const bool up = WaitIdle(absl::Seconds(60));
  cluster_->on_start = [this](const Life& life) { OnStart(life); };
  return up;
}

// ------------------------------------------------------------------ requests

void Clients::ChildRequest() {
  const uint64_t what = random_->Below(10);
  if (what < 2 && pool_.size() < kPoolMax) return PoolStart();
  if (what < 4) return PoolTerminate();
  ShelfRequest();
}

void Clients::PoolStart() {
  Do<v1::StartChildResponse>(
      NextId("pool"),
      [this](const std::string& id, Reply<v1::StartChildResponse> done) {
        StartChildArgs args{.supervisor = Sup("pool")};
        args.request_id = id;
        cluster_->coordinator().StartChild(std::move(args), std::move(done));
      },
      [this](absl::StatusOr<v1::StartChildResponse> r) {
        // Its init may fail, or no node may fit: then it is not kept.
        if (!r.ok()) return;
        if (!pool_.insert(r->child().id()).second) {
          cluster_->history().Violation(
              fmt::format("INV-8: child {} was given to two requests", r->child().id()));
        }
      });
}

void Clients::PoolTerminate() {
  std::vector<std::string> ids;
  for (const std::string& id : pool_) {
    if (!pool_busy_.contains(id)) ids.push_back(id);
  }
  if (ids.size() < 3) return;
  const std::string child = ids[random_->Below(ids.size())];
  pool_busy_.insert(child);
  Do<v1::TerminateChildResponse>(
      NextId("terminate-pool"),
      [this, child](const std::string& id, Reply<v1::TerminateChildResponse> done) {
        cluster_->coordinator().TerminateChild({Sup("pool"), child, id}, std::move(done));
      },
      [this, child](absl::StatusOr<v1::TerminateChildResponse> r) {
        pool_busy_.erase(child);
        if (!r.ok()) return Unexpected("terminating " + child, r.status());
        pool_.erase(child);
      });
}

std::string Clients::Twin(const std::string& id) const {
  const int n = id[1] - '0';
  return fmt::format("s{}", (n + kShelf / 2) % kShelf);
}

void Clients::ShelfRequest() {
  const std::string id = fmt::format("s{}", random_->Below(kShelf));
  const uint64_t other = random_->Below(3);
  Slot& slot = shelf_[id];
  if (slot.busy || shelf_[Twin(id)].busy) return;
  switch (slot.state) {
    case Slot::State::kAbsent:
      return ShelfStart(id);
    case Slot::State::kRunning:
      return other == 0 ? ShelfRestart(id) : ShelfTerminate(id);
    case Slot::State::kStopped:
      return other == 0 ? ShelfRestart(id) : ShelfDelete(id);
  }
}

void Clients::ShelfStart(const std::string& child) {
  shelf_[child].busy = true;
  const bool taken = shelf_[Twin(child)].state != Slot::State::kAbsent;
  Do<v1::StartChildResponse>(
      NextId("start-" + child),
      [this, child](const std::string& id, Reply<v1::StartChildResponse> done) {
        StartChildArgs args{.supervisor = Sup("shelf")};
        args.spec = ProbeSpec(child);
        args.spec->start.name = fmt::format("shelf-{}", (child[1] - '0') % (kShelf / 2));
        args.request_id = id;
        cluster_->coordinator().StartChild(std::move(args), std::move(done));
      },
      [this, child, taken](absl::StatusOr<v1::StartChildResponse> r) {
        Slot& slot = shelf_[child];
        slot.busy = false;
        if (r.ok()) {
          slot.state = Slot::State::kRunning;
          if (taken) cluster_->history().Violation("INV-14: two children got one name: " + child);
          return;
        }
        const std::string reason = ErrorReason(r.status());
        const bool fails = reason == "CHILD_START_FAILED" || reason == "NO_NODE_FITS";
        if (taken ? reason != "NAME_TAKEN" : !fails) Unexpected("starting " + child, r.status());
      });
}

void Clients::ShelfTerminate(const std::string& child) {
  shelf_[child].busy = true;
  Do<v1::TerminateChildResponse>(
      NextId("terminate-" + child),
      [this, child](const std::string& id, Reply<v1::TerminateChildResponse> done) {
        cluster_->coordinator().TerminateChild({Sup("shelf"), child, id}, std::move(done));
      },
      [this, child](absl::StatusOr<v1::TerminateChildResponse> r) {
        shelf_[child].busy = false;
        if (!r.ok()) return Unexpected("terminating " + child, r.status());
        if (r->has_pending()) cluster_->history().Mark("terminate pending");
        shelf_[child].state = Slot::State::kStopped;
      });
}

void Clients::ShelfRestart(const std::string& child) {
  shelf_[child].busy = true;
  const bool running = shelf_[child].state == Slot::State::kRunning;
  Do<v1::RestartChildResponse>(
      NextId("restart-" + child),
      [this, child, running](const std::string& id, Reply<v1::RestartChildResponse> done) {
        cluster_->coordinator().RestartChild({Sup("shelf"), child, id}, running, std::move(done));
      },
      [this, child, running](absl::StatusOr<v1::RestartChildResponse> r) {
        Slot& slot = shelf_[child];
        slot.busy = false;
        const std::string reason = r.ok() ? "" : ErrorReason(r.status());
        if (r.ok()) {
          slot.state = Slot::State::kRunning;
        } else if (reason == "CHILD_START_FAILED" || reason == "NO_NODE_FITS") {
          slot.state = Slot::State::kStopped;
        } else if (reason != "CHILD_RUNNING" && reason != "CHILD_RESTARTING") {
          // Its stop was pending, or it is between two lives.
          Unexpected("restarting " + child, r.status());
        } else if (running) {
          // It may have been stopped and not started again: asked until that is known.
          slot.busy = true;
          cluster_->After(absl::Seconds(1), [this, child] { ShelfRestart(child); });
        }
      });
}

void Clients::ShelfDelete(const std::string& child) {
  shelf_[child].busy = true;
  Do<bool>(
      NextId("delete-" + child),
      [this, child](const std::string& id, Reply<bool> done) {
        cluster_->coordinator().DeleteChild({Sup("shelf"), child, id}, Told(std::move(done)));
      },
      [this, child](absl::StatusOr<bool> r) {
        shelf_[child].busy = false;
        if (r.ok()) {
          shelf_[child].state = Slot::State::kAbsent;
        } else if (ErrorReason(r.status()) != "CHILD_RUNNING") {  // its stop is pending
          Unexpected("deleting " + child, r.status());
        }
      });
}

// INV-14: of two children that share a name at most one is there.
void Clients::OnStart(const Life& life) {
  if (!life.child.starts_with("shelf/s") || life.outside) return;
  const std::string twin = "shelf/" + Twin(life.child.substr(6));
  const auto live = cluster_->history().Live();
  auto it = live.find(twin);
  if (it == live.end()) return;
  for (const auto& [fence, node] : it->second) {
    if (cluster_->Outlived(twin, fence)) continue;
    cluster_->history().Violation(fmt::format(
        "INV-14: {} starts and {} lives on {}, under one name", life.child, twin, node));
  }
}

}  // namespace banyan::sim
