#include "tests/sim/faults.h"

#include <algorithm>
#include <cmath>

#include "fmt/format.h"

#include "banyan/internal/v1/membership.pb.h"

namespace banyan::sim {

Faults::Faults(SimCluster* cluster, Clients* clients, Options options)
    : cluster_(cluster),
      clients_(clients),
      options_(std::move(options)),
      calm_until_(cluster->size() + 1),
      crash_random_(cluster->Fork("crash points")),
      delay_random_(cluster->Fork("delays")) {
  AddProcessFaults();
  AddNetworkFaults();
  AddCoordinatorFaults();
  AddLoad();
  AddSessionFaults();
  AddMoreFaults();
  std::erase_if(classes_, [](const auto& c) { return c->inject == nullptr; });
  for (const auto& c : classes_) chosen_.push_back(c->name);
}

std::vector<std::string> Faults::Classes() {
  return {"kill",         "burst",       "sigterm",
          "pause",        "machine",     "clock",
          "wall",         "twin",        "cut",
          "isolate",      "one_way",     "peers",
          "breaks",       "storm",       "delay",
          "zombie",       "coordinator", "pause_coordinator",
          "crash_points", "store_slow",  "store_full",
          "lost_replies", "scripts",     "children",
          "operators",    "sessions",    "admin",
          "starved",      "releases"};
}

void Faults::Add(std::string name, double mean_seconds, bool calm, Inject inject) {
  auto c = std::make_unique<Class>();
  c->random = cluster_->Fork("fault " + name);
  const bool drawn = c->random->Unit() < 0.4;
  // From a third of the usual pace to three times it.
  c->mean = absl::Seconds(mean_seconds * std::pow(3.0, 2 * c->random->Unit() - 1));
  bool in = options_.only.empty() ? drawn : options_.only.contains(name) && drawn;
  if (!options_.only.empty() && options_.only.contains("all")) in = options_.only.contains(name);
  if (options_.calm && !calm) in = false;
  if (name == "wall" && !options_.wall_jumps) in = false;
  c->name = std::move(name);
  if (in) c->inject = std::move(inject);
  classes_.push_back(std::move(c));
}

bool Faults::Has(const std::string& name) const {
  return std::find(chosen_.begin(), chosen_.end(), name) != chosen_.end();
}

void Faults::Start() {
  active_ = true;
  for (const auto& c : classes_) Next(c.get());
  cluster_->on_left = [this](int i) {
    Note("left", cluster_->AddressOf(i));
    if (i < cluster_->size()) Later(absl::Seconds(4), [this, i] { RestartNode(i); });
  };
}

void Faults::Next(Class* c) {
  const absl::Duration pause = c->mean * -std::log(1 - c->random->Unit());
  Later(std::max(pause, absl::Milliseconds(20)), [this, c] {
    c->inject(*c->random);
    Next(c);
  });
}

void Faults::Later(absl::Duration d, std::function<void()> fn) {
  cluster_->After(d, [this, fn = std::move(fn)] {
    if (active_) fn();
  });
}

void Faults::Note(const std::string& what, const std::string& more) {
  cluster_->history().Event("fault", what, more);
}

// Around the times at which the protocol decides something, or anything.
absl::Duration Faults::Length(Random& random, absl::Duration max) {
  const CoordinatorOptions& o = cluster_->options().coordinator;
  const absl::Duration edges[] = {o.suspect_after,     o.lease_freeze,    o.lease_node,
                                  o.lease_coordinator, absl::Seconds(10), absl::Seconds(8)};
  absl::Duration d;
  switch (random.Below(3)) {
    case 0:
      d = absl::Milliseconds(50) + absl::Seconds(3) * random.Unit();
      break;
    case 1:
      d = edges[random.Below(6)] + absl::Seconds(3) * (random.Unit() - 0.5);
      break;
    default:
      d = max * random.Unit();
  }
  return std::min(d, max);
}

bool Faults::TooSoon(int i) {
  if (!options_.calm) return false;
  Instant& until = calm_until_[i < 0 ? cluster_->size() : i];
  const Instant now = cluster_->time().Now();
  if (now < until) return true;
  until = now + absl::Seconds(20);
  return false;
}

void Faults::TroubleAll(absl::Duration d) {
  for (int i = 0; i < cluster_->size(); ++i) Trouble(i, d);
}

// ----------------------------------------------------------------- processes

void Faults::RestartNode(int i) {
  if (cluster_->node_up(i)) return;
  Note("start", cluster_->AddressOf(i));
  cluster_->StartNode(i);
}

void Faults::CrashNode(Random& random, int i) {
  if (!cluster_->node_up(i)) return;
  const Crash how = static_cast<Crash>(random.Below(3));
  const char* words[] = {"kill", "kill with watcher", "power off"};
  Note(words[static_cast<int>(how)], cluster_->AddressOf(i));
  const absl::Duration down = random.Below(3) == 0
                                  ? Length(random, absl::Seconds(60))
                                  : absl::Milliseconds(100) + absl::Seconds(4) * random.Unit();
  Trouble(i, down);
  cluster_->CrashNode(i, how);
  Later(down, [this, i] { RestartNode(i); });
}

void Faults::AddProcessFaults() {
  Add("kill", 12, false, [this](Random& r) { CrashNode(r, AnyNode(r)); });
  Add("burst", 40, false, [this](Random& r) {
    for (int i = 0; i < cluster_->size(); ++i) {
      if (r.Below(2) == 0) continue;
      const absl::Duration d = absl::Seconds(1) * r.Unit();
      Later(d, [this, i, &r] { CrashNode(r, i); });
    }
  });
  Add("sigterm", 25, false, [this](Random& r) {
    const int i = AnyNode(r);
    if (!cluster_->node_up(i) || cluster_->node_paused(i)) return;
    Note("stop", cluster_->AddressOf(i));
    Trouble(i, absl::Seconds(40));
    cluster_->StopNode(i);
    const absl::Duration down = absl::Seconds(1 + r.Below(30));
    Later(down, [this, i] {
      if (!cluster_->node_up(i)) RestartNode(i);
    });
    Later(down + absl::Seconds(30), [this, i] { RestartNode(i); });
  });
  Add("pause", 15, true, [this](Random& r) {
    const int i = AnyNode(r);
    if (!cluster_->node_up(i) || cluster_->node_paused(i) || TooSoon(i)) return;
    const absl::Duration d = Length(r, absl::Seconds(options_.calm ? 6 : 50));
    Note("pause", fmt::format("{} for {}", cluster_->AddressOf(i), absl::FormatDuration(d)));
    Trouble(i, d);
    cluster_->PauseNode(i);
    Later(d, [this, i, life = cluster_->node_lives(i)] {
      if (!cluster_->node_paused(i) || cluster_->node_lives(i) != life) return;
      Note("resume", cluster_->AddressOf(i));
      cluster_->ResumeNode(i);
    });
  });
  Add("machine", 30, false, [this](Random& r) {
    const int i = AnyNode(r);
    if (!cluster_->node_up(i) || cluster_->node_paused(i)) return;
    const absl::Duration d = Length(r, absl::Seconds(70));
    Note("stop machine", fmt::format("{} for {}", cluster_->AddressOf(i), absl::FormatDuration(d)));
    Trouble(i, d);
    cluster_->StopMachine(i);
    Later(d, [this, i, life = cluster_->node_lives(i)] {
      if (!cluster_->node_up(i) || cluster_->node_lives(i) != life) return;
      Note("continue machine", cluster_->AddressOf(i));
      cluster_->ContinueMachine(i);
    });
  });
  Add("clock", 20, true, [this](Random& r) {
    const int i = static_cast<int>(r.Below(cluster_->size() + 1)) - 1;
    const double rate = 1 + (r.Unit() - 0.5) * 0.02;
    Note("clock rate", fmt::format("{} {:.4f}", i < 0 ? "coord" : cluster_->AddressOf(i), rate));
    if (i < 0) {
      if (cluster_->coordinator_up()) cluster_->coordinator_host().SetRate(rate);
    } else if (cluster_->node_up(i) && !cluster_->node_paused(i)) {
      cluster_->node_host(i).SetRate(rate);
    }
  });
  Add("wall", 20, true, [this](Random& r) {
    const int i = static_cast<int>(r.Below(cluster_->size() + 2)) - 2;
    const absl::Duration by = absl::Hours(1) * (2 * r.Unit() - 1);
    if (i < 0) {
      if (cluster_->coordinator_up()) cluster_->coordinator_host().JumpWall(by);
    } else if (cluster_->node_up(i)) {
      cluster_->node_host(i).JumpWall(by);
    }
    cluster_->history().Mark("wall clock jumped");
  });
  Add("twin", 30, false, [this](Random& r) {
    const int i = AnyNode(r), twin = i + cluster_->size();
    if (cluster_->node_up(twin)) return;
    Note("twin", cluster_->AddressOf(twin));
    cluster_->StartNode(twin);
    const bool watched = r.Below(2) == 0;
    const absl::Duration d = absl::Seconds(2 + r.Below(40));
    Later(d, [this, twin, watched] {
      if (!cluster_->node_up(twin)) return;
      Note("kill", cluster_->AddressOf(twin));
      cluster_->CrashNode(twin, watched);
    });
  });
}

// ------------------------------------------------------------------- network

// Both directions, each for a time of its own.
void Faults::Cut(Random& random, const std::string& a, const std::string& b, absl::Duration max) {
  const absl::Duration there = Length(random, max);
  const absl::Duration back = random.Below(2) == 0 ? there : Length(random, max);
  Note("cut", fmt::format("{} {} for {} and {}", a, b, absl::FormatDuration(there),
                          absl::FormatDuration(back)));
  cluster_->network().Block(a, b);
  Later(there, [this, a, b] { cluster_->network().HealOneWay(a, b); });
  Later(back, [this, a, b] { cluster_->network().HealOneWay(b, a); });
}

void Faults::AddNetworkFaults() {
  Add("cut", 12, true, [this](Random& r) {
    const int i = AnyNode(r);
    if (TooSoon(i)) return;
    const absl::Duration max = absl::Seconds(options_.calm ? 6 : 45);
    Trouble(i, max);
    Cut(r, SimCluster::NodeName(i), "coord", max);
  });
  Add("isolate", 25, false, [this](Random& r) {
    const int i = AnyNode(r);
    const std::string name = SimCluster::NodeName(i);
    const absl::Duration d = Length(r, absl::Seconds(60));
    Note("isolate", fmt::format("{} for {}", name, absl::FormatDuration(d)));
    Trouble(i, d);
    cluster_->network().Isolate(name);
    Later(d, [this, name] { cluster_->network().Join(name); });
  });
  Add("one_way", 20, true, [this](Random& r) {
    const int i = AnyNode(r);
    if (TooSoon(i)) return;
    std::string from = SimCluster::NodeName(i), to = "coord";
    if (r.Below(2) == 0) std::swap(from, to);
    const absl::Duration d = Length(r, absl::Seconds(options_.calm ? 6 : 50));
    Note("one way loss", fmt::format("{} to {} for {}", from, to, absl::FormatDuration(d)));
    Trouble(i, d);
    cluster_->network().BlockOneWay(from, to);
    Later(d, [this, from, to] { cluster_->network().HealOneWay(from, to); });
  });
  Add("peers", 15, true, [this](Random& r) {
    const int a = AnyNode(r), b = AnyNode(r);
    if (a != b) Cut(r, SimCluster::NodeName(a), SimCluster::NodeName(b), absl::Seconds(40));
  });
  Add("breaks", 6, true, [this](Random& r) {
    const int i = AnyNode(r), other = AnyNode(r);
    const StreamKind kinds[] = {StreamKind::kLease, StreamKind::kControl, StreamKind::kPeer};
    const StreamKind kind = kinds[r.Below(3)];
    const std::string to = kind == StreamKind::kPeer ? SimCluster::NodeName(other) : "coord";
    Note("break",
         fmt::format("{} {} kind {}", SimCluster::NodeName(i), to, static_cast<int>(kind)));
    cluster_->network().Break(SimCluster::NodeName(i), to, kind);
  });
  Add("storm", 40, true, [this](Random& r) {
    Note("storm of reconnects");
    const int rounds = 2 + static_cast<int>(r.Below(5));
    for (int k = 0; k < rounds; ++k) {
      Later(absl::Milliseconds(300 * k), [this] {
        for (int i = 0; i < cluster_->size(); ++i)
          cluster_->network().Break(SimCluster::NodeName(i), "coord");
      });
    }
  });
  Add("delay", 20, true, [this](Random& r) {
    const double part = 0.3 * r.Unit();
    const absl::Duration late = absl::Seconds(options_.calm ? 1.5 : 6) * r.Unit();
    const absl::Duration d = absl::Seconds(5 + r.Below(20));
    Note("delays", fmt::format("{:.2f} of frames up to {}", part, absl::FormatDuration(late)));
    TroubleAll(d + late);
    delay_tail_ = part;
    delay_ = late;
    Later(d, [this] { delay_tail_ = 0; });
  });
  cluster_->network().set_latency([this](const std::string&, const std::string&) {
    // Mostly a millisecond, now and then long, and in bad times very long.
    absl::Duration d = absl::Microseconds(200 + delay_random_->Below(2000));
    if (delay_random_->Below(50) == 0) d += absl::Milliseconds(200);
    if (delay_tail_ > 0 && delay_random_->Unit() < delay_tail_)
      d += delay_ * std::pow(delay_random_->Unit(), 3);
    return d;
  });
  Add("zombie", 6, true, [this](Random& r) {
    const std::string name = SimCluster::NodeName(AnyNode(r));
    for (int k = 0; k < 6; ++k) {
      const std::string old = cluster_->wire_checks().OldCommand(name, r.Next());
      internal::v1::ControlResponse relic;
      if (old.empty() || !relic.ParseFromString(old)) return;
      // Its answer must not be taken for that of a command of today.
      relic.mutable_command()->set_command_seq((uint64_t{1} << 40) + k);
      if (cluster_->network().Inject("coord", name, StreamKind::kControl,
                                     relic.SerializeAsString()) &&
          k == 0)
        Note("zombie commands", name);
    }
  });
}

// --------------------------------------------------------------- coordinator

void Faults::ReviveCoordinator(absl::Duration after) {
  Later(after, [this] {
    if (cluster_->coordinator_up()) return;
    Note("start", "coord");
    cluster_->StartCoordinator();
  });
}

void Faults::AddCoordinatorFaults() {
  Add("coordinator", 20, true, [this](Random& r) {
    if (!cluster_->coordinator_up()) return;
    const absl::Duration down = r.Below(6) == 0
                                    ? Length(r, absl::Seconds(60))
                                    : absl::Milliseconds(50) + absl::Seconds(5) * r.Unit();
    Note("kill", fmt::format("coord for {}", absl::FormatDuration(down)));
    cluster_->CrashCoordinator();
    ReviveCoordinator(down);
  });
  Add("pause_coordinator", 25, true, [this](Random& r) {
    if (!cluster_->coordinator_up() || cluster_->coordinator_host().paused()) return;
    const absl::Duration d = Length(r, absl::Seconds(40));
    Note("pause", fmt::format("coord for {}", absl::FormatDuration(d)));
    SimHost* host = &cluster_->coordinator_host();
    host->Pause();
    Later(d, [this, host] {
      if (!cluster_->coordinator_up() || &cluster_->coordinator_host() != host) return;
      Note("resume", "coord");
      host->Resume();
    });
  });
  Add("crash_points", 5, true, [this](Random& r) { crash_point_part_ = 0.02 * r.Unit(); });
  if (Has("crash_points") || !classes_.empty()) {
    cluster_->crash_point = [this](std::string_view point) {
      if (!active_ || crash_point_part_ == 0 || cluster_->time().Now() < next_crash_point_)
        return false;
      const bool often_there = point == "before_commit" || point == "after_commit";
      const double weight = often_there ? 0.1 : point == "before_reply" ? 4 : 1;
      if (crash_random_->Unit() >= crash_point_part_ * weight) return false;
      next_crash_point_ = cluster_->time().Now() + absl::Seconds(3);
      ReviveCoordinator(absl::Milliseconds(50) + absl::Seconds(3) * crash_random_->Unit());
      return true;
    };
  }
  Add("store_slow", 20, true, [this](Random& r) {
    Note("slow store");
    cluster_->store_faults.slow = absl::Seconds(4) * r.Unit();
    cluster_->store_faults.slow_part = 0.3 * r.Unit();
    Later(absl::Seconds(2 + r.Below(20)), [this] { cluster_->store_faults.slow_part = 0; });
  });
  Add("store_full", 40, true, [this](Random& r) {
    const absl::Duration d = absl::Milliseconds(200) + absl::Seconds(15) * r.Unit();
    Note("full disk", absl::FormatDuration(d));
    TroubleAll(d);  // nobody can join meanwhile
    cluster_->store_faults.full = true;
    Later(d, [this] {
      cluster_->store_faults.full = false;
      Note("disk is free");
    });
  });
}

// ---------------------------------------------------------------------- load

void Faults::AddLoad() {
  Add("lost_replies", 30, true, [this](Random& r) { clients_->LoseReplies(0.5 * r.Unit()); });
  Add("scripts", 15, false, [this](Random& r) {
    ProbeScript s;
    s.init_fails = r.Below(2) ? 0.3 * r.Unit() : 0;
    s.init_hangs = r.Below(3) == 0 ? 0.2 * r.Unit() : 0;
    s.crashes_per_s = r.Below(2) ? 0.1 * r.Unit() : 0;
    s.hangs_per_s = r.Below(3) == 0 ? 0.02 * r.Unit() : 0;
    s.hang = absl::Seconds(20) * r.Unit();
    ProbeScript tight = s;
    tight.init_fails = tight.init_hangs = 0;
    tight.crashes_per_s = 0.4 * r.Unit();
    cluster_->set_scripts([this, s, tight](const std::string& child) {
      if (!active_) return ProbeScript();
      return child.starts_with("tight/") ? tight : s;
    });
  });
  Add("children", 3, false, [this](Random&) { clients_->ChildRequest(); });
  Add("operators", 12, false, [this](Random&) { clients_->NodeRequest(); });
}

void Faults::Heal(const std::set<int>& core) {
  active_ = false;
  delay_tail_ = 0;
  Note("heal");
  cluster_->store_faults.full = false;
  cluster_->store_faults.slow_part = 0;
  cluster_->network().HealAll();
  if (!cluster_->coordinator_up()) {
    cluster_->StartCoordinator();
  } else if (cluster_->coordinator_host().paused()) {
    cluster_->coordinator_host().Resume();
  }
  HealMore(core);
  auto random = cluster_->Fork("heal");
  for (int i = 0; i < cluster_->size(); ++i) {
    const int twin = i + cluster_->size();
    if (cluster_->node_up(twin)) cluster_->CrashNode(twin, true);
    if (core.contains(i)) {
      RestartNode(i);
      cluster_->ContinueMachine(i);
      if (cluster_->node_paused(i)) cluster_->ResumeNode(i);
      // One that was told to stop goes on doing so.
      for (int wait = 1; wait < 60; ++wait) {
        cluster_->After(absl::Seconds(wait), [this, i] {
          if (!cluster_->node_up(i)) return RestartNode(i);
          // It has left, and the coordinator was not there to hear of it.
          Node& node = cluster_->node(i);
          if (!node.joined() && node.draining()) cluster_->StopNode(i);
        });
      }
      continue;
    }
    Trouble(i, absl::Hours(1));
    switch (random->Below(3)) {
      case 0:
        Note("for good: down", SimCluster::NodeName(i));
        if (cluster_->node_up(i)) cluster_->CrashNode(i, Crash::kPower);
        break;
      case 1:
        Note("for good: cut off", SimCluster::NodeName(i));
        cluster_->network().Isolate(SimCluster::NodeName(i));
        break;
      default:
        Note("for good: stopped", SimCluster::NodeName(i));
        if (cluster_->node_up(i)) cluster_->PauseNode(i);
        cluster_->network().Isolate(SimCluster::NodeName(i));
    }
  }
}

}  // namespace banyan::sim
