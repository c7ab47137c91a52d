#include "tests/sim/sim_cluster.h"

#include "fmt/format.h"

#include "banyan/internal/v1/membership.pb.h"
#include "banyan/internal/v1/store.pb.h"
#include "server/behaviours/gen_server.h"

namespace banyan::sim {

// The child that the runs watch: its code runs every 100 ms and says so.
class SimCluster::Probe : public GenServer {
 public:
  Probe(SimCluster* cluster, std::string node) : cluster_(cluster), node_(std::move(node)) {}
  ~Probe() override {
    if (!id_.empty()) cluster_->history_.Ended(id_, fence_);
  }
  Task<InitResult> Init(std::vector<Payload>) override {
    id_ = context().child_id;
    fence_ = context().fence;
    cluster_->history_.Started(id_, fence_, node_, cluster_->AssignmentDurable(id_, fence_));
    Run();
    return Ok();
  }
  Task<CallResult> HandleCall(Payload request, CallFrom) override {
    cluster_->history_.Dispatched(id_, fence_, node_);
    return Reply(std::move(request));
  }
  Task<Result> HandleCast(Payload) override { return NoReply(); }
  Task<Result> HandleInfo(Message) override {
    Run();
    return NoReply();
  }

 private:
  void Run() {
    cluster_->history_.Dispatched(id_, fence_, node_);
    self().StartTimer(absl::Milliseconds(100));
  }
  SimCluster* const cluster_;
  const std::string node_;
  std::string id_;
  uint64_t fence_ = 0;
};

// The watcher process of a node that has ended: reports the end until it is recorded.
class SimCluster::Watcher : public StreamHandler {
 public:
  Watcher(SimCluster* cluster, std::string name, wire::NodeIdentity id, std::string process_id)
      : time_(&cluster->time_),
        transport_(&cluster->network_, std::move(name), time_),
        id_(id),
        process_id_(std::move(process_id)) {
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
    end.mutable_exited()->set_status(9);
    stream_->Write(hello.SerializeAsString());
    stream_->Write(end.SerializeAsString());
  }

  VirtualTime* const time_;
  testing::SimTransport transport_;
  const wire::NodeIdentity id_;
  const std::string process_id_;
  std::unique_ptr<Stream> stream_;
  bool recorded_ = false;
  int tries_ = 0;
};

SimCluster::NodeProcess::NodeProcess(SimCluster* c, int index)
    : host(&c->time_, c->ClockRate(),
           absl::Seconds(1 + static_cast<int64_t>(c->random_.Below(100'000)))),
      random(c->random_.Next()),
      transport(std::make_unique<testing::SimTransport>(&c->network_, NodeName(index), &host)),
      runtime({.clock = &host, .timers = &host, .workers = 0, .executor = &host}) {
  const std::string name = NodeName(index);
  modules.AddBehaviour("probe", [c, name] { return std::make_unique<Probe>(c, name); });
  for (const auto& workload : c->workloads_) workload->AddModules(index, &modules);
  services.modules = &modules;
  services.node = name;
  services.address = name;
  runtime.SetHost(&services);
  NodeOptions options;
  options.name = name;
  options.cluster_name = "sim";
  options.address = name;
  options.coordinators = {"coord"};
  options.machine_id = "machine-" + name;
  options.boot_id = "boot";
  options.process_id = fmt::format("{}-{}", name, c->nodes_[index].lives);
  options.state_lock = true;
  options.has_watcher = true;
  Node::Hooks hooks;
  // The one unary call between the two; here it takes no time.
  hooks.resolve = [c, this](const std::string& wanted, Node::ResolveDone done) {
    if (!c->coordinator_up()) return done(absl::UnavailableError("no coordinator"));
    internal::v1::ResolveRequest request;
    request.set_name(wanted);
    request.set_subscribe(true);
    c->coordinator().Resolve(std::move(request), node->identity().node_id, std::move(done));
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
      c->disk_, MemoryStore::Deps{.executor = &host, .clock = &host, .timers = &host});
  CoordinatorOptions options = c->options_.coordinator;
  options.cluster_name = "sim";
  options.advertise_address = "coord";
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
      network_(&time_),
      nodes_(options_.nodes) {
  network_.set_latency([this](const std::string&, const std::string&) {
    // Mostly a millisecond, now and then long.
    return absl::Microseconds(200 + random_.Below(2000)) +
           (random_.Below(50) == 0 ? absl::Milliseconds(200) : absl::ZeroDuration());
  });
  disk_ = MemoryStore::NewDisk(&random_);
  history_.set_clock([this] { return absl::ToDoubleSeconds(time_.Now() - Instant()); });
}

SimCluster::~SimCluster() {
  for (NodeSlot& n : nodes_) n.process.reset();
  coordinator_.reset();
}

std::unique_ptr<Random> SimCluster::Fork(std::string_view purpose) const {
  uint64_t hash = 0xcbf29ce484222325 ^ (options_.seed * 0x9e3779b97f4a7c15);
  for (unsigned char c : purpose) hash = (hash ^ c) * 0x100000001b3;
  return std::make_unique<SeededRandom>(hash);
}

double SimCluster::ClockRate() { return 1.0 + (random_.Unit() - 0.5) * 0.008; }

void SimCluster::StartCoordinator() { coordinator_ = std::make_unique<CoordinatorProcess>(this); }
void SimCluster::CrashCoordinator() { coordinator_.reset(); }

void SimCluster::StartNode(int i) {
  ++nodes_[i].lives;
  nodes_[i].process = std::make_unique<NodeProcess>(this, i);
  for (const auto& workload : workloads_) workload->OnNodeStarted(i);
}

void SimCluster::EndProcess(int i) {
  for (const auto& workload : workloads_) workload->OnNodeEnding(i);
  nodes_[i].process.reset();
}

void SimCluster::CrashNode(int i, bool watcher) {
  wire::NodeIdentity id = node(i).identity();
  std::string process_id = node(i).options().process_id;
  EndProcess(i);
  if (!watcher || id.node_id == 0) return;
  std::string name = fmt::format("{}-watcher-{}", NodeName(i), nodes_[i].lives);
  time_.ScheduleAt(time_.Now() + absl::Milliseconds(20), [this, name, id, process_id] {
    watchers_.push_back(std::make_unique<Watcher>(this, name, id, process_id));
  });
}

void SimCluster::StopNode(int i) {
  node(i).Stop(absl::Seconds(20), [this, i, life = nodes_[i].lives] {
    // What it had written and not yet sent goes with the process.
    network_.Break(NodeName(i), "coord");
    time_.Post([this, i, life] {
      if (nodes_[i].lives == life && node_up(i)) EndProcess(i);
    });
  });
}

void SimCluster::PauseNode(int i) { nodes_[i].process->host.Pause(); }
void SimCluster::ResumeNode(int i) { nodes_[i].process->host.Resume(); }

bool SimCluster::WaitForNodes(int active, absl::Duration limit) {
  Instant end = time_.Now() + limit;
  while (time_.Now() < end) {
    absl::StatusOr<v1::ListNodesResponse> nodes;
    if (coordinator_up() &&
        Ask<v1::ListNodesResponse>(absl::Seconds(1), &nodes,
                                   [&](Reply<v1::ListNodesResponse> done) {
                                     coordinator().ListNodes({}, false, nullptr, std::move(done));
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
  absl::StatusOr<v1::ListChildrenResponse> r;
  if (!Ask<v1::ListChildrenResponse>(absl::Seconds(5), &r,
                                     [&](Reply<v1::ListChildrenResponse> done) {
                                       coordinator().ListChildren(Target{Target::Name{supervisor}},
                                                                  PageArgs{.page_size = 1000},
                                                                  false, nullptr, std::move(done));
                                     }) ||
      !r.ok()) {
    return {};
  }
  return {r->children().begin(), r->children().end()};
}

void SimCluster::KillSomeChild(int i) {
  std::vector<Pid> probes;
  for (const ProcessSnapshot& p : runtime(i).List()) {
    if (p.module == "probe") probes.push_back(p.pid);
  }
  if (!probes.empty())
    runtime(i).Exit(probes[random_.Below(probes.size())], ExitReason::Error("sim"));
}

bool SimCluster::AssignmentDurable(const std::string& child, uint64_t fence) const {
  for (const auto& [key, value] : disk_->data) {
    if (!key.starts_with("child/") || !key.ends_with("/" + child + "/asg")) continue;
    internal::v1::AssignmentRecord record;
    if (record.ParseFromString(value) && record.fence() == fence) return true;
  }
  return false;
}

}  // namespace banyan::sim
