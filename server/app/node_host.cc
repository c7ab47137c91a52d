#include "server/app/node_host.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <thread>
#include <utility>

#include <unistd.h>

#include "banyan/internal/v1/membership.grpc.pb.h"
#include "common/log/log.h"
#include "common/os/child_process.h"
#include "common/os/file_lock.h"
#include "common/os/random_bytes.h"
#include "common/os/state_dir.h"
#include "common/time/random.h"
#include "common/time/system_clock.h"
#include "common/time/thread_executor.h"
#include "server/app/channels.h"
#include "server/app/crash_handler.h"
#include "server/app/late_backend.h"
#include "server/app/node_reports.h"
#include "server/app/node_state.h"
#include "server/app/os_load.h"
#include "server/app/run_on.h"
#include "server/app/version.h"
#include "server/modules/exec_programs.h"
#include "server/modules/modules.h"
#include "server/node/node.h"
#include "server/rpc/internal_services.h"
#include "server/rpc/node_backend.h"
#include "server/rpc/server.h"
#include "server/rpc/services.h"

namespace banyan::app {
namespace {

// All calls have been answered or cut by then; what is waited for is that clients hang up.
constexpr absl::Duration kShutdownGrace = absl::Milliseconds(300);
constexpr std::chrono::seconds kResolveLimit{5};

int WorkersFor(const Settings& s) {
  if (s.workers > 0) return s.workers;
  const unsigned cpus = std::thread::hardware_concurrency();
  return cpus == 0 ? 2 : static_cast<int>(cpus);
}

void Scale(double factor, NodeOptions* o) {
  for (absl::Duration* d :
       {&o->hello_timeout, &o->stuck_after, &o->peer.ping_every, &o->peer.silence_max,
        &o->peer.connect_timeout, &o->peer.unknown_wait, &o->peer.write_stall_max,
        &o->peer.relay_dials, &o->peer.relay_idle_close}) {
    // Not so short that a busy machine looks like a broken network.
    *d = std::max(*d * factor, std::min(*d, absl::Milliseconds(250)));
  }
}

}  // namespace

struct NodeHost::Parts {
  explicit Parts(const Settings& s)
      : reports(s.name), settings(s), state_writer("state"), executor("node") {}

  SystemClock clock;
  SystemTimers timers;
  SystemRandom random;
  NodeReports reports;
  const Settings settings;
  StateDir state;
  std::unique_ptr<FileLock> lock;
  NodeState remembered;  // on state_writer after the start
  uint64_t start_number = 0;
  ThreadExecutor state_writer;
  std::unique_ptr<PageSink> page_sink;
  WatchPage* page = nullptr;
  Modules modules;
  ProcessSpawner programs;
  ExecPrograms exec_programs;
  Host host;
  std::unique_ptr<Runtime> runtime;
  ThreadExecutor executor;
  rpc::GrpcTransport transport{&executor, ProcessChannels()};
  rpc::Forwarder forwarder{ProcessChannels(), &clock};
  LateBackend gate{&clock};
  rpc::PublicServices services{&gate};
  std::unique_ptr<grpc::Service> peer_service = rpc::MakePeerService(&transport);
  std::unique_ptr<rpc::RpcServer> server;
  std::unique_ptr<Node> node;
  std::unique_ptr<rpc::NodeBackend> backend;
  std::string address;

  absl::Status OpenState();
  bool SaveState();
  absl::Status Serve();
  void MakeRuntime();
  void MakeNode();
  void Resolve(const std::string& name, Node::ResolveDone done);
  void Joined(NodeState state, wire::NodeIdentity self);
  void Remember(std::function<void(NodeState*)> change);
};

absl::Status NodeHost::Parts::OpenState() {
  absl::StatusOr<StateDir> dir = OpenStateDir(settings.state_dir);
  if (!dir.ok()) return dir.status();
  state = *std::move(dir);
  absl::StatusOr<std::unique_ptr<FileLock>> locked = FileLock::Acquire(state.File("lock"));
  if (!locked.ok()) return locked.status();
  lock = *std::move(locked);
  absl::StatusOr<NodeState> loaded = LoadNodeState(state.File("node.state"));
  if (!loaded.ok()) return loaded.status();
  remembered = *std::move(loaded);
  // On the disk before anybody hears of it: no two processes may have the same.
  ++remembered.starts;
  if (SaveState()) start_number = remembered.starts;
  return absl::OkStatus();
}

// False: it could not be written down, which is logged.
bool NodeHost::Parts::SaveState() {
  const std::string path = state.File("node.state");
  const absl::Status saved = SaveNodeState(path, remembered);
  if (!saved.ok()) log::Error("state_not_saved", {{"path", path}, {"why", saved.ToString()}});
  return saved.ok();
}

absl::Status NodeHost::Parts::Serve() {
  rpc::RpcServer::Options options;
  options.listen = settings.listen;
  options.services = services.services();
  options.services.push_back(peer_service.get());
  options.health_names = rpc::PublicServices::names();
  auto started = rpc::RpcServer::Start(std::move(options));
  if (!started.ok()) return started.status();
  server = *std::move(started);
  address = settings.advertise.empty() ? server->address() : settings.advertise;
  return absl::OkStatus();
}

void NodeHost::Parts::MakeRuntime() {
  host.modules = &modules;
  host.supervisor_events = &reports;
  host.reports = &reports;
  host.programs = &programs;
  host.exec_programs = &exec_programs;
  host.allow_exec = settings.allow_exec;
  host.node = settings.name;
  host.address = address;
  Runtime::Options options;
  options.clock = &clock;
  options.timers = &timers;
  options.workers = WorkersFor(settings);
  options.on_thread_start = &UseCrashStack;
  runtime = std::make_unique<Runtime>(options);
  runtime->SetHost(&host);
}

void NodeHost::Parts::Resolve(const std::string& name, Node::ResolveDone done) {
  using internal::v1::ResolveRequest;
  using internal::v1::ResolveResponse;
  struct State {
    grpc::ClientContext context;
    ResolveRequest request;
    ResolveResponse response;
    std::unique_ptr<internal::v1::Membership::Stub> stub;
  };
  const std::vector<std::string> coordinators = node->coordinators();
  if (coordinators.empty())
    return done(MakeError("COORDINATOR_UNAVAILABLE", "no coordinator is known"));
  auto s = std::make_shared<State>();
  s->stub = internal::v1::Membership::NewStub(ProcessChannels()->Get(coordinators.front()));
  s->request.set_name(name);
  s->request.set_subscribe(true);
  s->context.AddMetadata(rpc::kNodeKey, fmt::format("{}", node->identity().node_id));
  s->context.set_deadline(std::chrono::system_clock::now() + kResolveLimit);
  s->stub->async()->Resolve(
      &s->context, &s->request, &s->response,
      [s, address = coordinators.front(), done = std::move(done)](const grpc::Status& status) {
        if (status.ok()) return done(std::move(s->response));
        done(rpc::FromGrpcStatus(
            rpc::ExplainHop(status, rpc::Hop::kCoordinator, address, s->context)));
      });
}

void NodeHost::Parts::Joined(NodeState now, wire::NodeIdentity self) {
  log::Info("joined", {{"cluster", settings.cluster},
                       {"node", settings.name},
                       {"node_id", self.node_id},
                       {"incarnation", self.incarnation},
                       {"epoch", now.epoch}});
  SetCrashIncarnation(self.incarnation);
  if (page != nullptr) page->SetCoordinators(node->coordinators());
  state_writer.Post([this, incarnation = self.incarnation] {
    // An earlier life's crash was told with the hello.
    const std::string crash_file = state.File("crash");
    const auto crash = ReadCrashFile(crash_file);
    if (crash && crash->incarnation() < incarnation) std::remove(crash_file.c_str());
  });
  Remember([now = std::move(now)](NodeState* state) {
    if (state->store_id != now.store_id) state->revision = 0;
    state->cluster_id = now.cluster_id;
    state->store_id = now.store_id;
    state->epoch = now.epoch;
  });
}

// Writes what is remembered down if the change makes a difference.
void NodeHost::Parts::Remember(std::function<void(NodeState*)> change) {
  state_writer.Post([this, change = std::move(change)] {
    const NodeState before = remembered;
    change(&remembered);
    if (remembered != before) SaveState();
  });
}

void NodeHost::Parts::MakeNode() {
  NodeOptions options;
  options.name = settings.name;
  options.cluster_name = settings.cluster;
  options.address = address;
  options.coordinators = settings.coordinators;
  options.labels = settings.labels;
  options.version = kVersion;
  options.machine_id = state.machine_id;
  options.boot_id = state.boot_id;
  options.process_id = RandomBytes(WatchPage::kProcessIdBytes);
  options.state_lock = lock != nullptr;
  options.start_number = start_number;
  options.cluster_id = remembered.cluster_id;
  options.store_id = remembered.store_id;
  options.epoch_seen = remembered.epoch;
  options.store_revision = remembered.revision;
  options.rejoin_when_dead = settings.rejoin_when_dead;
  options.last_crash = ReadCrashFile(state.File("crash"));
  options.has_watcher = page != nullptr && page->WatcherAlive();
  options.schedulers = static_cast<uint32_t>(WorkersFor(settings));
  Scale(settings.lease_scale, &options);
  if (page != nullptr) {
    page->SetProcessId(options.process_id);
    page->SetCoordinators(options.coordinators);
    page_sink = std::make_unique<PageSink>(page);
  }

  Node::Deps deps;
  deps.runtime = runtime.get();
  deps.clock = &clock;
  deps.timers = &timers;
  deps.executor = &executor;
  deps.random = &random;
  deps.transport = &transport;
  deps.watch_page = page_sink.get();
  Node::Hooks hooks;
  hooks.resolve = [this](const std::string& name, Node::ResolveDone done) {
    Resolve(name, std::move(done));
  };
  hooks.joined = [this](const std::string& cluster_id, const std::string& store_id, uint32_t epoch,
                        wire::NodeIdentity self) { Joined({cluster_id, store_id, epoch}, self); };
  hooks.store_seen = [this](uint64_t revision, uint32_t epoch) {
    Remember([revision, epoch](NodeState* now) {
      now->revision = std::max(now->revision, revision);
      now->epoch = std::max(now->epoch, epoch);
    });
  };
  hooks.overrun = [this](std::vector<Pid> pids) {
    // Another life of these children may begin any moment: only the end of this process is sure.
    for (Pid pid : pids) log::Error("lease_overrun", {{"pid", FormatPid(pid, settings.name)}});
    log::Flush();
    std::abort();
  };
  hooks.frozen = [this](bool frozen) { exec_programs.SetFrozen(frozen); };
  hooks.dead = [this] {
    log::Warn("declared_dead");
    // It ends as if it were told to; its children are being killed already.
    if (!settings.rejoin_when_dead) kill(getpid(), SIGTERM);
  };
  hooks.left = [] { log::Info("left"); };
  hooks.refused = [](absl::Status why) {
    log::Warn("join_refused", {{"reason", ErrorReason(why)}, {"why", std::string(why.message())}});
  };
  hooks.fill_load = FillOsLoad;
  node = std::make_unique<Node>(deps, std::move(options), std::move(hooks));
  reports.SetNode(node.get());

  rpc::NodeBackend::Deps b;
  b.runtime = runtime.get();
  b.node = node.get();
  b.forwarder = &forwarder;
  b.modules = &modules;
  b.clock = &clock;
  b.timers = &timers;
  b.info = {settings.name, settings.cluster, kVersion, kBuild};
  backend = std::make_unique<rpc::NodeBackend>(std::move(b));
}

absl::StatusOr<std::unique_ptr<NodeHost>> NodeHost::Start(
    const Settings& settings, WatchPage* page, const std::function<void(Modules*)>& add_modules) {
  auto host = std::unique_ptr<NodeHost>(new NodeHost(std::make_unique<Parts>(settings)));
  Parts& p = *host->parts_;
  p.page = page;
  AddShippedModules(&p.modules);
  if (add_modules) add_modules(&p.modules);
  if (absl::Status status = p.OpenState(); !status.ok()) return status;
  if (absl::Status status = p.Serve(); !status.ok()) return status;
  InstallCrashHandler(p.state.File("crash"), page);
  p.MakeRuntime();
  p.MakeNode();
  p.node->Start();
  p.gate.Set(p.backend.get());
  p.server->SetServing(true);
  return host;
}

NodeHost::NodeHost(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

void NodeHost::Drain(absl::Duration limit) {
  parts_->server->SetServing(false);
  std::promise<void> done;
  parts_->node->Stop(limit, [&done] { done.set_value(); });
  done.get_future().wait();
}

// What answers goes before what asks: no new requests, then the processes, whose callers get their
// answers by that, then the streams, then the node, and at last the server, which waits for its
// calls.
NodeHost::~NodeHost() {
  Parts& p = *parts_;
  p.gate.Set(nullptr);
  if (p.backend != nullptr) p.backend->Stop();
  if (p.runtime != nullptr) p.runtime->Shutdown();
  p.reports.SetNode(nullptr);
  p.transport.Stop();
  if (p.node != nullptr) {
    p.runtime->SetRouter(nullptr);
    RunOn(&p.executor, [&p] { p.node.reset(); });
  }
  if (p.server != nullptr) p.server->Shutdown(kShutdownGrace);
}

const std::string& NodeHost::address() const { return parts_->address; }
const std::string& NodeHost::state_dir() const { return parts_->state.path; }

}  // namespace banyan::app
