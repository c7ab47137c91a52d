#include "tests/sim/workload_names.h"

#include <algorithm>

#include "fmt/format.h"

#include "common/base/error.h"

namespace banyan::sim {
namespace {

constexpr int kHoldersPerNode = 3;
constexpr uint64_t kNames = 5;
// Another node hears of the end of a life a little after the coordinator has acted on it.
constexpr absl::Duration kViewDelay = absl::Seconds(2);

std::string SomeName(uint64_t i) { return fmt::format("name-{}", i); }

}  // namespace

void NameWorkload::OnLife(int node) {
  for (int i = 0; i < kHoldersPerNode; ++i) SpawnHolder(node);
}

void NameWorkload::SpawnHolder(int node) {
  Spawn(node, std::make_unique<Actor>(),
        [](Self& self) -> Task<ExitReason> {
          std::ignore = co_await self.Receive();
          co_return ExitReason::Normal();
        },
        {.module = "name-holder"});
}

void NameWorkload::OnTick() {
  NoteLivesOver();
  SettleDoubts();
  if (quiet()) return;
  for (int i = 0; i < size(); ++i) {
    if (!Member(i) || cluster().node_paused(i)) continue;
    if (OneIn(3)) ActOn(i);
    if (OneIn(2)) LookUp(i, SomeName(Below(kNames)));
  }
  if (cluster().coordinator_up() && OneIn(2)) AskCoordinator(SomeName(Below(kNames)));
}

void NameWorkload::ActOn(int node) {
  Actor* holder = RandomActor([&](const Actor& a) { return a.node == node; });
  if (!holder) return SpawnHolder(node);
  const std::string name = NameFor(holder);
  const uint64_t what = Below(100);
  if (what < 10) {
    Count("ends");
    cluster().runtime(node).Send(holder->pid, {});
    if (OneIn(2)) Register(holder, name);  // while it ends
    return SpawnHolder(node);
  }
  if (what < 60) Register(holder, name);
  // Also with the request still under way.
  if (what >= 50) Unregister(holder, name);
}

// Often one that it has.
std::string NameWorkload::NameFor(const Actor* holder) {
  if (OneIn(3)) {
    for (const Grant& g : grants_) {
      if (g.owner == holder && !GivenUp(g)) return g.name;
    }
  }
  return SomeName(Below(kNames));
}

void NameWorkload::Register(Actor* holder, const std::string& name) {
  Count("registers");
  Export(*holder);
  cluster()
      .node(holder->node)
      .RegisterName(name, holder->pid, {}, false,
                    WhileLive([this, holder](const absl::StatusOr<v1::NameEntry>& r) {
                      if (r.ok()) return OnGranted(holder, *r);
                      Count(ErrorReason(r.status()));
                    }));
}

// What was granted to it until now is given back; a request under way may be too.
void NameWorkload::Unregister(Actor* holder, const std::string& name) {
  Count("unregisters");
  for (size_t i : by_name_[name]) {
    Grant& g = grants_[i];
    if (g.owner == holder && !g.given_back) g.given_back = Now();
  }
  unregistered_[{holder, name}] = Now();
  cluster().node(holder->node).UnregisterName(name, holder->pid, [](bool) {});
}

std::string NameWorkload::Describe(const Grant& g) const {
  return fmt::format("\"{}\" of {}, version {}", g.name, FormatPid(g.pid), g.version);
}

void NameWorkload::OnGranted(Actor* holder, const v1::NameEntry& entry) {
  Count("grants");
  const Pid pid = wire::FromProto(entry.pid(), {});
  OnSeen(entry.name(), pid, entry.reg_version(), "its owner");
  std::vector<size_t>& all = by_name_[entry.name()];
  for (size_t i : all) {
    if (grants_[i].version != entry.reg_version()) continue;
    // It had the name already. Where it has been given back meanwhile that stays so: the request
    // was the older one.
    return;
  }
  Grant grant{.name = entry.name(), .version = entry.reg_version(), .owner = holder, .pid = pid};
  // Given back while the grant was under way: who has it now depends on which came first.
  if (auto it = unregistered_.find({holder, entry.name()});
      it != unregistered_.end() && Now() - it->second < absl::Seconds(30)) {
    grant.given_back = it->second;
    grant.perhaps = true;
  }
  grants_.push_back(std::move(grant));
  const size_t added = grants_.size() - 1;
  for (size_t i : all) {
    const bool newer = grants_[added].version > grants_[i].version;
    doubts_.push_back({newer ? i : added, newer ? added : i, Now()});
  }
  all.push_back(added);
}

// When the owner had no more claim to the name; nullopt: it has.
std::optional<Instant> NameWorkload::GivenUp(const Grant& g) const {
  std::optional<Instant> when = g.given_back;
  const auto also = [&](std::optional<Instant> t) {
    if (t && (!when || *t < *when)) when = t;
  };
  if (!g.owner->alive) also(g.owner->ended);
  also(LifeOver(g.pid));
  also(g.declared);
  return when;
}

void NameWorkload::NoteLivesOver() {
  for (Grant& g : grants_) {
    if (g.declared || !g.owner->alive) continue;
    if (MayBeOver(g.pid)) g.declared = Now();
  }
}

void NameWorkload::SettleDoubts() {
  std::erase_if(doubts_, [&](const Doubt& d) {
    const Grant& older = grants_[d.older];
    const std::optional<Instant> up = GivenUp(older);
    if (up && *up <= d.at + kViewDelay) return true;
    if (Now() < d.at + kViewDelay) return false;
    Violation(fmt::format("INV-14: {} was granted while the owner of {} had it",
                          Describe(grants_[d.newer]), Describe(older)));
    return true;
  });
}

// ------------------------------------------------------------------- lookups

void NameWorkload::OnSeen(const std::string& name, const Pid& pid, uint64_t version,
                          const std::string& by) {
  auto [it, first] = seen_.try_emplace({name, version}, pid);
  if (!first && it->second != pid) {
    Violation(fmt::format("INV-14: \"{}\", version {}, is {} for {}, and {} for others", name,
                          version, FormatPid(pid), by, FormatPid(it->second)));
  }
}

void NameWorkload::LookUp(int node, const std::string& name) {
  Runtime& runtime = cluster().runtime(node);
  cluster().node(node).ResolveTarget(
      Target::Named(name), runtime.clock().Now() + absl::Seconds(5),
      WhileLive([this, node, name](const absl::StatusOr<Resolved>& r) {
        if (!r.ok() || r->reg_version == 0 || !Member(node)) return;
        Count("found");
        OnSeen(name, wire::Export(r->pid, Identity(node)), r->reg_version,
               SimCluster::NodeName(node));
        if (calm()) CheckFresh(name, r->reg_version, node);
      }));
}

// Where nothing holds up news, who has given a name up is found a moment longer only.
void NameWorkload::CheckFresh(const std::string& name, uint64_t version, int node) {
  for (size_t i : by_name_[name]) {
    const Grant& g = grants_[i];
    const std::optional<Instant> up = GivenUp(g);
    if (g.version != version || g.perhaps || !up || Now() - *up < kViewDelay) continue;
    Violation(fmt::format("INV-14: {} finds {}, which was given up {} ago",
                          SimCluster::NodeName(node), Describe(g),
                          absl::FormatDuration(Now() - *up)));
  }
}

void NameWorkload::AskCoordinator(const std::string& name) {
  cluster().coordinator().Lookup(
      name, WhileLive([this, name](const absl::StatusOr<v1::LookupResponse>& r) {
        if (!r.ok() || !r->has_entry()) return;
        const v1::NameEntry& entry = r->entry();
        OnSeen(name, wire::FromProto(entry.pid(), {}), entry.reg_version(), "the coordinator");
        uint64_t& newest = newest_at_coordinator_[name];
        if (entry.reg_version() < newest) {
          Violation(fmt::format("INV-14: the coordinator has \"{}\" with version {}, after {}",
                                name, entry.reg_version(), newest));
        }
        newest = std::max(newest, entry.reg_version());
      }));
}

void NameWorkload::CheckAtRest() {
  Registered registered;
  for (uint64_t n = 0; n < kNames; ++n) {
    absl::StatusOr<v1::LookupResponse> r;
    if (cluster().Ask<v1::LookupResponse>(absl::Seconds(5), &r,
                                          [&](Reply<v1::LookupResponse> done) {
                                            cluster().coordinator().Lookup(SomeName(n), done);
                                          }) &&
        r.ok() && r->has_entry()) {
      registered[SomeName(n)] = r->entry();
    }
  }
  for (const auto& [name, grants] : by_name_) CheckOwner(name, grants, registered);
  CheckHolders(registered);
  CheckFinders(registered);
}

// The last grant holds, unless it was given up.
void NameWorkload::CheckOwner(const std::string& name, const std::vector<size_t>& grants,
                              const Registered& registered) {
  for (size_t i : grants) {
    const Grant& g = grants_[i];
    const std::optional<Instant> up = GivenUp(g);
    auto it = registered.find(name);
    const bool has = it != registered.end() && it->second.reg_version() == g.version;
    if (!up && !has)
      Violation(fmt::format("INV-15: {} is nobody's, and was not given up", Describe(g)));
    if (up && has && !g.perhaps)
      Violation(fmt::format("INV-15: {} is still registered, and was given up", Describe(g)));
    Count("grants at rest", has);
  }
}

// Nodes keep what the coordinator says that they have, and nothing else.
void NameWorkload::CheckHolders(const Registered& registered) {
  std::map<std::string, uint64_t> held;
  for (int i = 0; i < size(); ++i) {
    if (!Member(i)) continue;
    cluster().node(i).ListHeldNames([&, i](const std::vector<v1::NameEntry>& entries) {
      for (const v1::NameEntry& e : entries) {
        if (e.child_name()) continue;
        held[e.name()] = e.reg_version();
        auto it = registered.find(e.name());
        if (it != registered.end() && it->second.reg_version() == e.reg_version()) continue;
        Violation(fmt::format("INV-14: {} holds \"{}\" with version {}, which is not registered",
                              SimCluster::NodeName(i), e.name(), e.reg_version()));
      }
    });
  }
  cluster().time().RunFor(absl::Milliseconds(100));
  for (const auto& [name, entry] : registered) {
    if (held[name] != entry.reg_version()) {
      Violation(fmt::format("INV-14: \"{}\" with version {} is registered, and held by nobody",
                            name, entry.reg_version()));
    }
  }
}

void NameWorkload::CheckFinders(const Registered& registered) {
  for (int i = 0; i < size(); ++i) {
    if (!Member(i)) continue;
    for (uint64_t n = 0; n < kNames; ++n) {
      const std::string name = SomeName(n);
      std::string found = "no answer";
      cluster().node(i).ResolveTarget(
          Target::Named(name), cluster().runtime(i).clock().Now() + absl::Seconds(5),
          [&, i](absl::StatusOr<Resolved> r) {
            found = r.ok() ? FormatPid(wire::Export(r->pid, Identity(i))) : ErrorReason(r.status());
          });
      cluster().time().RunFor(absl::Milliseconds(500));
      auto it = registered.find(name);
      const std::string want = it == registered.end()
                                   ? "NAME_NOT_REGISTERED"
                                   : FormatPid(wire::FromProto(it->second.pid(), {}));
      if (found == want) continue;
      Violation(fmt::format("INV-14: {} finds {} for \"{}\"; the coordinator has {}",
                            SimCluster::NodeName(i), found, name, want));
    }
  }
}

}  // namespace banyan::sim
