#include "server/app/coordinator_host.h"

#include <future>
#include <utility>

#include "common/os/state_dir.h"
#include "common/time/random.h"
#include "common/time/system_clock.h"
#include "common/time/thread_executor.h"
#include "server/app/backups.h"
#include "server/app/channels.h"
#include "server/app/late_backend.h"
#include "server/app/run_on.h"
#include "server/app/version.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/store/sqlite_store.h"
#include "server/rpc/coordinator_backend.h"
#include "server/rpc/internal_services.h"
#include "server/rpc/server.h"
#include "server/rpc/services.h"

namespace banyan::app {
namespace {

// All calls have been answered or cut by then; what is waited for is that clients hang up.
constexpr absl::Duration kShutdownGrace = absl::Milliseconds(300);

CoordinatorOptions OptionsFrom(const Settings& s) {
  CoordinatorOptions o;
  o.name = s.name;
  o.cluster_name = s.cluster;
  o.version = kVersion;
  for (absl::Duration* d :
       {&o.heartbeat, &o.suspect_after, &o.lease_freeze, &o.lease_node, &o.lease_coordinator,
        &o.pause_allowance, &o.one_way_limit, &o.stall_limit, &o.join_timeout,
        &o.unmanageable_after, &o.max_handler, &o.drift_window, &o.mass_loss_window,
        &o.mass_loss_hold, &o.quarantine_first, &o.quarantine_max}) {
    *d *= s.lease_scale;
  }
  const auto given = [](absl::Duration value, absl::Duration* option) {
    if (value > absl::ZeroDuration()) *option = value;
  };
  given(s.heartbeat, &o.heartbeat);
  given(s.suspect_after, &o.suspect_after);
  given(s.lease_freeze, &o.lease_freeze);
  given(s.lease_node, &o.lease_node);
  given(s.lease_coordinator, &o.lease_coordinator);
  o.relays_max = s.relays_max;
  return o;
}

}  // namespace

struct CoordinatorHost::Parts {
  SystemClock clock;
  SystemTimers timers;
  SystemRandom random;
  StateDir state;
  std::unique_ptr<Store> store;
  std::unique_ptr<Backups> backups;
  ThreadExecutor executor{"coordinator"};
  rpc::GrpcTransport transport{&executor, ProcessChannels()};
  LateBackend gate{&clock};
  rpc::Forwarder forwarder{ProcessChannels(), &clock};
  rpc::PublicServices services{&gate};
  std::unique_ptr<grpc::Service> membership;
  std::unique_ptr<rpc::RpcServer> server;
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<rpc::CoordinatorBackend> backend;
  std::string address;
};

absl::StatusOr<std::unique_ptr<CoordinatorHost>> CoordinatorHost::Start(const Settings& s) {
  CoordinatorOptions options = OptionsFrom(s);
  if (std::string problem = options.Validate(); !problem.empty()) {
    return absl::InvalidArgumentError(problem);
  }
  auto parts = std::make_unique<Parts>();
  absl::StatusOr<StateDir> state = OpenStateDir(s.state_dir);
  if (!state.ok()) return state.status();
  parts->state = *std::move(state);
  SqliteStore::Options store;
  store.path = parts->state.File("banyan.db");
  auto opened = SqliteStore::Open(std::move(store));
  if (!opened.ok()) return opened.status();
  parts->store = *std::move(opened);

  Parts* const p = parts.get();
  auto host = std::unique_ptr<CoordinatorHost>(new CoordinatorHost(std::move(parts)));
  p->membership = rpc::MakeMembershipService(
      &p->transport, [p](internal::v1::ResolveRequest request, uint32_t node_id,
                         rpc::Answer<internal::v1::ResolveResponse> answer) {
        if (p->coordinator == nullptr) {
          return answer.Fail(MakeError("COORDINATOR_UNAVAILABLE", "the coordinator is starting"));
        }
        p->coordinator->Resolve(std::move(request), node_id, answer);
      });
  rpc::RpcServer::Options server;
  server.listen = s.listen;
  server.services = p->services.services();
  server.services.push_back(p->membership.get());
  server.health_names = rpc::PublicServices::names();
  auto started = rpc::RpcServer::Start(std::move(server));
  if (!started.ok()) return started.status();
  p->server = *std::move(started);
  p->address = s.advertise.empty() ? p->server->address() : s.advertise;

  options.advertise_address = p->address;
  Coordinator::Deps deps;
  deps.clock = &p->clock;
  deps.timers = &p->timers;
  deps.executor = &p->executor;
  deps.random = &p->random;
  deps.transport = &p->transport;
  deps.store = p->store.get();
  p->coordinator = std::make_unique<Coordinator>(deps, std::move(options));
  rpc::CoordinatorBackend::Deps backend;
  backend.coordinator = p->coordinator.get();
  backend.forwarder = &p->forwarder;
  backend.clock = &p->clock;
  backend.timers = &p->timers;
  backend.info = {s.name, s.cluster, kVersion, kBuild};
  p->backups = std::make_unique<Backups>(p->store.get(), p->state.path);
  backend.open_backup = [p](std::function<void(absl::StatusOr<Backups::Read>)> done) {
    p->backups->Open(std::move(done));
  };
  p->backend = std::make_unique<rpc::CoordinatorBackend>(std::move(backend));

  std::promise<absl::Status> ready;
  p->coordinator->Start([&ready](absl::Status status) { ready.set_value(std::move(status)); });
  if (absl::Status status = ready.get_future().get(); !status.ok()) return status;
  p->gate.Set(p->backend.get());
  p->server->SetServing(true);
  return host;
}

CoordinatorHost::CoordinatorHost(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

CoordinatorHost::~CoordinatorHost() {
  Parts& p = *parts_;
  p.gate.Set(nullptr);
  if (p.backend != nullptr) p.backend->Stop();
  if (p.server != nullptr) p.server->SetServing(false);
  p.transport.Stop();
  if (p.coordinator != nullptr) {
    RunOn(&p.executor, [&p] { p.coordinator.reset(); });
  }
  p.backups.reset();
  p.store.reset();  // what is queued is written, and told to the executor, which still runs
  if (p.server != nullptr) p.server->Shutdown(kShutdownGrace);
}

const std::string& CoordinatorHost::address() const { return parts_->address; }
const std::string& CoordinatorHost::state_dir() const { return parts_->state.path; }

}  // namespace banyan::app
