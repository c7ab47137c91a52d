#include "tests/sim/sim_cluster.h"

#include <algorithm>
#include <cmath>

#include "fmt/format.h"

#include "banyan/internal/v1/membership.pb.h"
#include "common/base/error.h"

namespace banyan::sim {

// The watcher process of a node that has ended: reports the end until it is recorded.
class SimCluster::Watcher : public StreamHandler {
 public:
  Watcher(SimCluster* cluster, std::string name, wire::NodeIdentity id, std::string process_id,
          std::optional<internal::v1::LastCrash> crash)
      : time_(&cluster->time_),
        transport_(&cluster->network_, std::move(name), time_),
        id_(id),
        process_id_(std::move(process_id)),
        crash_(std::move(crash)) {
    Dial();
  }
  void OnFrame(std::string bytes) override {
    internal::v1::WatcherResponse r;
    recorded_ = recorded_ || (r.ParseFromString(bytes) && r.recorded());
  }
  void OnClose(absl::Status) override {
    if (recorded_) return;
    time_->ScheduleAt(time_->Now() + absl::Milliseconds(200), [this] { Dial(); });
  }

 private:
  void Dial() {
    if (++tries_ > 50) return;
    stream_ = transport_.Dial("coord", StreamKind::kWatcher, this);
    internal::v1::WatcherRequest hello, end;
    auto* w = hello.mutable_watching();
    w->set_node_id(id_.node_id);
    w->set_incarnation(id_.incarnation);
    w->set_process_id(process_id_);
    end.mutable_exited()->set_status(crash_ ? crash_->signal() : 9);
    if (crash_) *end.mutable_exited()->mutable_last_crash() = *crash_;
    stream_->Write(hello.SerializeAsString());
    stream_->Write(end.SerializeAsString());
  }

  VirtualTime* const time_;
  testing::SimTransport transport_;
  const wire::NodeIdentity id_;
  const std::string process_id_;
  const std::optional<internal::v1::LastCrash> crash_;
  std::unique_ptr<Stream> stream_;
  bool recorded_ = false;
  int tries_ = 0;
};

SimCluster::NodeProcess::NodeProcess(SimCluster* c, int slot)
    : host(&c->time_, c->ClockRate(),
           absl::Seconds(1 + static_cast<int64_t>(c->random_.Below(100'000)))),
      random(c->random_.Next()),
      transport(std::make_unique<testing::SimTransport>(&c->network_, c->AddressOf(slot), &host)),
      runtime({.clock = &host, .timers = &host, .workers = 0, .executor = &host}) {
  const std::string name = NodeName(slot % c->size());
  const std::string address = c->AddressOf(slot);
  NodeSlot* life = c->Slot(slot);
  modules.AddBehaviour("probe", [c, slot] { return std::make_unique<Probe>(c, slot); });
  if (slot < c->size()) {
    for (const auto& workload : c->workloads_) workload->AddModules(slot, &modules);
  }
  services.modules = &modules;
  services.node = name;
  services.address = address;
  runtime.SetHost(&services);
  NodeOptions options;
  options.name = name;
  options.cluster_name = "sim";
  options.address = address;
  options.coordinators = {"coord"};
  options.machine_id = "machine-" + address;
  options.boot_id = "boot";
  options.process_id = fmt::format("{}-{}", address, life->lives);
  options.state_lock = true;
  options.start_number = life->lives;
  options.has_watcher = true;
  options.peer = c->options_.peer;
  options.epoch_seen = life->epoch_seen;
  options.last_crash = life->crash_file;
  if (c->feature_level) options.feature_level = c->feature_level(slot);
  // One entry at most in each map: more have no fixed order in bytes.
  if (c->options_.capacity) options.capacity["weight"] = c->options_.capacity(slot % c->size());
  c->wire_checks_.OnProcess(address, life->epoch_seen);
  Node::Hooks hooks;
  hooks.resolve = [c, slot](const std::string& wanted, Node::ResolveDone done) {
    c->Resolve(slot, wanted, std::move(done));
  };
  c->fenced_off_.erase(address);
  hooks.joined = [c, life, address](const std::string&, const std::string&, uint32_t epoch,
                                    wire::NodeIdentity) {
    life->epoch_seen = epoch;
    c->fenced_off_.erase(address);
  };
  hooks.frozen = [c](bool frozen) { c->history_.Mark(frozen ? "frozen" : "thawed"); };
  hooks.dead = [c, address] {
    c->history_.Event(address, "fenced off");
    c->fenced_off_.insert(address);
  };
  // An orderly end: the process has nothing left to do.
  hooks.left = [c, slot, lives = life->lives] {
    c->time_.Post([c, slot, lives] {
      if (c->node_lives(slot) != lives || !c->node_up(slot)) return;
      c->EndProcess(slot);
      if (c->on_left) c->on_left(slot);
    });
  };
  hooks.refused = [c](const absl::Status& why) {
    c->history_.Mark("hello refused: " + ErrorReason(why));
  };
  node = std::make_unique<Node>(Node::Deps{.runtime = &runtime,
                                           .clock = &host,
                                           .timers = &host,
                                           .executor = &host,
                                           .random = &random,
                                           .transport = transport.get()},
                                std::move(options), std::move(hooks));
  node->Start();
}

SimCluster::NodeProcess::~NodeProcess() {
  // kill -9: nothing that ends now is told to anybody.
  host.Kill();
  transport.reset();
  runtime.Shutdown();
  node.reset();
}

SimCluster::CoordinatorProcess::CoordinatorProcess(SimCluster* c)
    : host(&c->time_, c->ClockRate(),
           absl::Seconds(1 + static_cast<int64_t>(c->random_.Below(100'000)))),
      random(c->random_.Next()),
      transport(&c->network_, "coord", &host) {
  store = std::make_unique<MemoryStore>(
      c->disk_, MemoryStore::Deps{.executor = &host, .clock = &host, .timers = &host},
      c->StoreHooks());
  CoordinatorOptions options = c->options_.coordinator;
  options.cluster_name = "sim";
  options.advertise_address = "coord";
  if (c->feature_level) options.feature_level = c->feature_level(-1);
  coordinator = std::make_unique<Coordinator>(Coordinator::Deps{.clock = &host,
                                                                .timers = &host,
                                                                .executor = &host,
                                                                .random = &random,
                                                                .transport = &transport,
                                                                .store = store.get()},
                                              options);
  coordinator->Start([](absl::Status status) { BANYAN_CHECK(status.ok()); });
}

SimCluster::SimCluster(Options options)
    : options_(std::move(options)),
      random_(options_.seed),
      probe_random_(Fork("probes")),
      store_random_(Fork("store")),
      net_random_(Fork("network")),
      network_(&time_),
      store_checks_(&history_),
      wire_checks_(&history_, &store_checks_) {
  for (int i = 0; i < 2 * options_.nodes; ++i) nodes_.push_back(std::make_unique<NodeSlot>());
  network_.set_latency([this](const std::string&, const std::string&) {
    // Mostly a millisecond, now and then long.
    return absl::Microseconds(200 + net_random_->Below(2000)) +
           (net_random_->Below(50) == 0 ? absl::Milliseconds(200) : absl::ZeroDuration());
  });
  network_.set_tap([this](uint64_t stream, const std::string& from, const std::string& to,
                          StreamKind kind, const std::string& bytes) {
    // Entries of a map have no fixed order in bytes, so only what is the same in any order counts.
    uint64_t sum = bytes.size();
    for (unsigned char c : bytes) sum += uint64_t{c} * c << 8;
    history_.Hash(std::string_view(reinterpret_cast<const char*>(&sum), sizeof(sum)));
    wire_checks_.OnWrite(stream, from, to, kind, bytes);
    using Seen = WireChecks::Seen;
    const Seen seen = wire_checks_.last_seen();
    if (seen == Seen::kStart && AtPoint("start.sent")) CrashCoordinatorNow("start.sent");
    if (seen == Seen::kStarted && AtPoint("started.reported"))
      CrashCoordinatorNow("started.reported");
    if (seen == Seen::kStartFailed && AtPoint("start_failed.reported"))
      CrashCoordinatorNow("start_failed.reported");
    if (seen == Seen::kExited && AtPoint("exit.reported")) CrashCoordinatorNow("exit.reported");
    if (seen == Seen::kStopped && AtPoint("stop.reported")) CrashCoordinatorNow("stop.reported");
  });
  network_.set_delivery_tap(
      [this](uint64_t stream, const std::string& from, const std::string& to, StreamKind kind,
             const std::string& bytes) { wire_checks_.OnDelivery(stream, from, to, kind, bytes); });
  network_.set_end_tap(
      [this](uint64_t stream, const std::string& from, const absl::Status& status) {
        wire_checks_.OnEnd(stream, from, status);
      });
  disk_ = MemoryStore::NewDisk(&random_);
  store_checks_.set_lease(options_.coordinator.lease_coordinator);
  store_checks_.set_process_exists([this](const std::string& process_id) {
    return std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& n) {
      return n->process != nullptr && n->process->node->options().process_id == process_id;
    });
  });
  history_.set_clock([this] { return seconds(); });
}

SimCluster::~SimCluster() {
  on_start = nullptr;
  on_end = nullptr;
  on_left = nullptr;
  workloads_.clear();
  for (auto& n : nodes_) n->process.reset();
  coordinator_.reset();
}

std::unique_ptr<Random> SimCluster::Fork(std::string_view purpose) const {
  uint64_t hash = 0xcbf29ce484222325 ^ (options_.seed * 0x9e3779b97f4a7c15);
  for (unsigned char c : purpose) hash = (hash ^ c) * 0x100000001b3;
  return std::make_unique<SeededRandom>(hash);
}

double SimCluster::ClockRate() { return 1.0 + (random_.Unit() - 0.5) * 0.008; }

std::string SimCluster::AddressOf(int slot) const {
  return slot < size() ? NodeName(slot) : NodeName(slot - size()) + "-twin";
}

void SimCluster::Trouble(int i, Instant until) {
  store_checks_.Trouble(i < 0 ? "" : NodeName(i % size()), time_.Now(), until);
}

// --------------------------------------------------------------- coordinator

void SimCluster::StartCoordinator() { coordinator_ = std::make_unique<CoordinatorProcess>(this); }

void SimCluster::CrashCoordinator() { coordinator_.reset(); }

void SimCluster::CrashCoordinatorNow(std::string_view where) {
  if (!coordinator_up()) return;
  history_.Event("coord", "crash", where);
  history_.Mark(fmt::format("crash at {}", where));
  coordinator_->store->Crash();
  coordinator_->host.Kill();
  network_.Mute("coord");
  time_.Post([this, process = coordinator_.get()] {
    if (coordinator_.get() == process) coordinator_.reset();
  });
}

MemoryStore::Faults SimCluster::StoreHooks() {
  MemoryStore::Faults hooks;
  hooks.delay = [this](const Txn&) {
    absl::Duration d = store_faults.delay * store_random_->Unit();
    if (store_random_->Unit() < store_faults.slow_part)
      d += store_faults.slow * store_random_->Unit();
    return d;
  };
  hooks.before_commit = [this](const Txn& txn) {
    if (store_faults.full) {
      history_.Mark("store full");
      return MakeError("STORE_FULL", "the disk is full");
    }
    const bool starts = std::any_of(txn.puts.begin(), txn.puts.end(),
                                    [&](const KeyValue& put) { return put.key.ends_with("/asg"); });
    if (AtPoint(starts ? "assignment.before_commit" : "before_commit"))
      CrashCoordinatorNow(starts ? "assignment.before_commit" : "before_commit");
    return absl::OkStatus();
  };
  hooks.after_commit = [this](const Txn& txn) {
    for (const KeyValue& put : txn.puts) history_.Hash(put.key);
    if (coordinator_ != nullptr)
      store_checks_.OnCommit(txn, time_.Now(), coordinator_->host.WallNow());
    const bool starts = std::any_of(txn.puts.begin(), txn.puts.end(),
                                    [&](const KeyValue& put) { return put.key.ends_with("/asg"); });
    if (AtPoint(starts ? "assignment.after_commit" : "after_commit"))
      CrashCoordinatorNow(starts ? "assignment.after_commit" : "after_commit");
  };
  return hooks;
}

// --------------------------------------------------------------------- nodes

void SimCluster::StartNode(int i) {
  NodeSlot& slot = *Slot(i);
  ++slot.lives;
  slot.process.reset();
  slot.process = std::make_unique<NodeProcess>(this, i);
  if (i >= size()) return;
  for (const auto& workload : workloads_) workload->OnNodeStarted(i);
}

void SimCluster::EndProcess(int i) {
  if (i < size()) {
    for (const auto& workload : workloads_) workload->OnNodeEnding(i);
  }
  Slot(i)->process.reset();
}

void SimCluster::CrashNode(int i, Crash how) {
  if (how == Crash::kPower) network_.PowerOff(AddressOf(i));
  if (how == Crash::kWatched) Watch(i, std::nullopt);
  EndProcess(i);
}

// Its watcher tells of the end of the present process.
void SimCluster::Watch(int i, std::optional<internal::v1::LastCrash> crash) {
  const wire::NodeIdentity id = node(i).identity();
  if (id.node_id == 0) return;
  const std::string name = fmt::format("{}-watcher-{}", AddressOf(i), Slot(i)->lives);
  After(absl::Milliseconds(20),
        [this, name, id, process_id = node(i).options().process_id, crash = std::move(crash)] {
          watchers_.push_back(std::make_unique<Watcher>(this, name, id, process_id, crash));
        });
}

void SimCluster::CrashInTurn(int i, internal::v1::LastCrash crash, bool written, bool watcher) {
  NodeProcess* process = Slot(i)->process.get();
  if (process->host.dead()) return;
  crash.set_incarnation(node(i).identity().incarnation);
  if (written) Slot(i)->crash_file = crash;
  if (watcher) Watch(i, written ? std::optional(crash) : std::nullopt);
  process->host.Kill();
  network_.Mute(AddressOf(i));
  time_.Post([this, i, process] {
    if (Slot(i)->process.get() == process) EndProcess(i);
  });
}

void SimCluster::StopNode(int i) {
  node(i).Stop(absl::Seconds(20), [this, i, life = Slot(i)->lives] {
    // What it had written and not yet sent goes with the process.
    network_.Break(AddressOf(i), "coord");
    time_.Post([this, i, life] {
      if (Slot(i)->lives == life && node_up(i)) EndProcess(i);
    });
  });
}

void SimCluster::PauseNode(int i) { Slot(i)->process->host.Pause(); }
void SimCluster::ResumeNode(int i) { Slot(i)->process->host.Resume(); }

void SimCluster::StopMachine(int i) {
  NodeProcess& p = *Slot(i)->process;
  p.stopped_at = time_.Now();
  p.host.StopMachine();
}

void SimCluster::ContinueMachine(int i) {
  NodeProcess& p = *Slot(i)->process;
  if (p.stopped_at.infinite()) return;
  p.stood_still += time_.Now() - p.stopped_at;
  p.stopped_at = Instant::Infinite();
  p.host.ContinueMachine();
}

// The one unary call from nodes to the coordinator.
void SimCluster::Resolve(int slot, const std::string& name, Node::ResolveDone done) {
  const std::string from = AddressOf(slot);
  const auto late = [this] { return absl::Microseconds(300 + net_random_->Below(2000)); };
  NodeProcess* process = Slot(slot)->process.get();
  const int life = Slot(slot)->lives;
  // Answers exactly once, and only to the process that has asked.
  auto answered = std::make_shared<bool>(false);
  auto answer = [this, slot, life, answered,
                 done = std::move(done)](absl::StatusOr<internal::v1::ResolveResponse> r) {
    if (std::exchange(*answered, true) || !node_up(slot) || node_lives(slot) != life) return;
    Slot(slot)->process->host.Post([done, r = std::move(r)] { done(r); });
  };
  After(absl::Seconds(2), [answer] { answer(MakeError("COORDINATOR_UNAVAILABLE", "no answer")); });
  const uint32_t id =
      process == nullptr || process->node == nullptr ? 0 : process->node->identity().node_id;
  After(late(), [this, from, name, id, late, answer] {
    if (!coordinator_up() || network_.blocked(from, "coord")) return;
    internal::v1::ResolveRequest request;
    request.set_name(name);
    request.set_subscribe(true);
    coordinator().Resolve(request, id, [this, from, late, answer](auto r) {
      if (network_.blocked("coord", from)) return;
      After(late(), [answer, r = std::move(r)] { answer(r); });
    });
  });
}

// ------------------------------------------------------------------ children

void SimCluster::OnProbeStarted(Life* life, int slot) {
  NodeProcess& p = *Slot(slot)->process;
  life->outside |= p.stood_still > absl::ZeroDuration();
  history_.Started(*life, store_checks_.Assigned(life->child, life->fence));
  if (on_start) on_start(*life);
  OnProbeRan(life, slot);
}

void SimCluster::OnProbeRan(Life* life, int slot) {
  if (Slot(slot)->process != nullptr)
    life->outside |= Slot(slot)->process->stood_still > absl::ZeroDuration();
  history_.Dispatched(*life);
  if (!life->exclusive || probe_random_->Below(10) != 0) return;
  // A request to somebody else, under way for some time; now and then for very long.
  const uint64_t most = probe_random_->Below(12) == 0 ? 30'000 : 400;
  After(absl::Milliseconds(1 + probe_random_->Below(most)),
        [this, l = *life] { history_.Write(l); });
}

void SimCluster::OnProbeEnded(const Life& life, std::string_view why) {
  history_.Ended(life, why);
  if (why == "crash" || why == "init failed")
    store_checks_.OnCrash(life.child, life.fence, time_.Now());
  if (on_end) on_end(life, why);
}

bool SimCluster::Outlived(const std::string& child, uint64_t fence) const {
  return store_checks_.Outlived(child, fence);
}

void SimCluster::KillSomeChild(int i) {
  std::vector<Pid> probes;
  for (const ProcessSnapshot& p : runtime(i).List()) {
    if (p.module == "probe") probes.push_back(p.pid);
  }
  if (!probes.empty())
    runtime(i).Exit(probes[random_.Below(probes.size())], ExitReason::Error("sim"));
}

// ------------------------------------------------------------------- clients

bool SimCluster::WaitForNodes(int active, absl::Duration limit) {
  const Instant end = time_.Now() + limit;
  while (time_.Now() < end) {
    absl::StatusOr<v1::ListNodesResponse> nodes;
    if (coordinator_up() &&
        Ask<v1::ListNodesResponse>(absl::Seconds(1), &nodes,
                                   [&](Reply<v1::ListNodesResponse> done) {
                                     coordinator().ListNodes({.page_size = 1000}, false, nullptr,
                                                             std::move(done));
                                   }) &&
        nodes.ok()) {
      int n = 0;
      for (const v1::NodeInfo& info : nodes->nodes()) n += info.state() == v1::NODE_STATE_ACTIVE;
      if (n >= active) return true;
    }
    time_.RunFor(absl::Milliseconds(100));
  }
  return false;
}

std::vector<v1::ChildInfo> SimCluster::Children(const std::string& supervisor) {
  const size_t slash = supervisor.find('/');
  Target target = Target::Named(supervisor);
  if (slash != std::string::npos)
    target.kind = Target::ChildPath{supervisor.substr(0, slash), {supervisor.substr(slash + 1)}};
  absl::StatusOr<v1::ListChildrenResponse> r;
  if (!Ask<v1::ListChildrenResponse>(absl::Seconds(5), &r,
                                     [&](Reply<v1::ListChildrenResponse> done) {
                                       coordinator().ListChildren(target,
                                                                  PageArgs{.page_size = 1000},
                                                                  false, nullptr, std::move(done));
                                     }) ||
      !r.ok()) {
    return {};
  }
  return {r->children().begin(), r->children().end()};
}

}  // namespace banyan::sim
