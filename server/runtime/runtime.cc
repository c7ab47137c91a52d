#include "server/runtime/runtime.h"

#include <condition_variable>
#include <deque>
#include <thread>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/base/mutex.h"
#include "common/base/named_pid.h"
#include "server/runtime/external_calls.h"
#include "server/runtime/local_registry.h"
#include "server/runtime/process.h"
#include "server/runtime/process_table.h"
#include "server/runtime/scheduler.h"
#include "server/runtime/undeliverable.h"

namespace banyan {

// The pool for Blocking(): grows to its bound as jobs wait, never shrinks.
struct Runtime::Blocking {
  Mutex mu;
  std::condition_variable_any cv;
  std::deque<std::function<void()>> jobs ABSL_GUARDED_BY(mu);
  std::vector<std::thread> threads ABSL_GUARDED_BY(mu);
  size_t idle ABSL_GUARDED_BY(mu) = 0;
  bool stop ABSL_GUARDED_BY(mu) = false;

  void Loop() {
    mu.Lock();
    for (;;) {
      ++idle;
      while (jobs.empty() && !stop) cv.wait(mu);
      --idle;
      if (jobs.empty()) break;
      std::function<void()> job = std::move(jobs.front());
      jobs.pop_front();
      mu.Unlock();
      job();
      mu.Lock();
    }
    mu.Unlock();
  }
};

struct Runtime::Frozen {
  Mutex mu;
  std::vector<Pid> parked ABSL_GUARDED_BY(mu);
};

Runtime::Runtime(Options options)
    : options_(options),
      table_(std::make_unique<ProcessTable>(this, options.max_processes)),
      registry_(std::make_unique<LocalRegistry>(table_.get())),
      external_(std::make_unique<ExternalCalls>(this)),
      monitor_(std::make_unique<SystemMonitor>(this)),
      scheduler_(std::make_unique<Scheduler>(options.workers, options.executor, monitor_.get(),
                                             options.on_thread_start)),
      blocking_(std::make_unique<Blocking>()),
      lease_until_ns_(Instant::Infinite().nanos()),
      frozen_(std::make_unique<Frozen>()) {
  BANYAN_CHECK(options.clock && options.timers);
  BANYAN_CHECK(options.workers > 0 || options.executor);
  scheduler_->Start();
}

Runtime::~Runtime() { Shutdown(); }

void Runtime::Shutdown() {
  if (std::exchange(shut_down_, true)) return;
  SetLeaseUntil(Instant::Infinite());
  // Processes may still spawn others while they are killed, so look again until none is left.
  while (process_count() > 0) {
    for (uint32_t i = 1; i < table_->high_water(); ++i) {
      Process* p = table_->Get(i);
      uint64_t life = p->life_.load(std::memory_order_acquire);
      if (life & 1) Exit(Pid::Local(i, static_cast<uint32_t>(life >> 1)), ExitReason::Kill());
    }
    if (options_.workers == 0) {
      scheduler_->RunInline();
    } else {
      std::this_thread::yield();  // seam: the scheduler's own threads end
    }
  }
  external_->Shutdown();
  {
    MutexLock lock(&blocking_->mu);
    blocking_->stop = true;
    blocking_->cv.notify_all();
  }
  std::vector<std::thread> threads;
  {
    MutexLock lock(&blocking_->mu);
    threads.swap(blocking_->threads);
  }
  for (std::thread& t : threads) t.join();
  scheduler_->Stop();
}

// ------------------------------------------------------------------- spawn

absl::StatusOr<Pid> Runtime::Spawn(ProcessMain main, SpawnOptions options) {
  BANYAN_ASSIGN_OR_RETURN(SpawnResult r, SpawnFrom(nullptr, std::move(main), std::move(options)));
  return r.pid;
}

absl::StatusOr<SpawnResult> Runtime::SpawnFrom(Process* spawner, ProcessMain main, SpawnOptions o) {
  Process* p = table_->Acquire();
  if (!p) {
    return MakeError(
        "NODE_OVERLOADED",
        fmt::format("this node hosts its maximum of {} processes", options_.max_processes),
        {{"limit", fmt::format("{}", options_.max_processes)}});
  }
  const uint32_t generation = p->generation() + 1;
  p->main_ = std::move(main);
  p->started_ = false;
  p->trap_exit_ = o.trap_exit;
  p->exclusive_ = o.exclusive || (spawner && spawner->exclusive_);
  const bool inherits =
      spawner && spawner->origin_ && (!o.fence || o.fence == spawner->origin_->fence.load());
  if (o.origin) {
    p->origin_ = std::move(o.origin);
  } else if (inherits) {
    p->origin_ = spawner->origin_;
  } else if (o.fence) {
    p->origin_ = std::make_shared<ProcessOrigin>(o.fence, o.child_id);
  }
  p->max_messages_ = o.max_messages ? o.max_messages : options_.mailbox_max_messages;
  Process::Label label;
  if (!o.module.empty()) label.module = table_->Intern(o.module);
  if (!o.child_id.empty()) label.child_id = std::make_unique<std::string>(std::move(o.child_id));
  label.parent = o.parent ? o.parent : (spawner ? spawner->pid() : Pid{});
  label.start_unix_ns = absl::ToUnixNanos(clock().WallNow());
  table_->set_label(*p, std::move(label));
  p->life_.store((uint64_t{generation} << 1) | 1, std::memory_order_seq_cst);
  SpawnResult result{Pid::Local(p->slot_, generation), 0};
  counters_.spawned.fetch_add(1, std::memory_order_relaxed);
  if (!o.name.empty() && !registry_->Register(o.name, result.pid)) {
    std::optional<Pid> holder = registry_->Whereis(o.name);
    p->SetPendingExit(ExitReason::Normal());
    scheduler_->Ready(p);
    return MakeError("NAME_TAKEN", fmt::format("the name \"{}\" is taken", o.name),
                     {{"name", o.name}, {"pid", holder ? FormatPid(*holder) : ""}});
  }
  if (spawner && o.link) {
    spawner->tables().links[result.pid] = Process::Link{};
    p->tables().links[spawner->pid()] = Process::Link{};
  }
  if (o.link_to && o.link_to != result.pid && !p->tables().links.Find(o.link_to)) {
    p->tables().links[o.link_to] = Process::Link{};
    p->SendSignal(SignalKind::kLink, o.link_to, 0);
  }
  if (spawner && o.monitor) {
    result.monitor = NextRef();
    spawner->tables().monitors[result.monitor] = result.pid;
    p->tables().watchers[{spawner->pid(), result.monitor}] = true;
  }
  if (spawner && o.alias) {
    if (Process::Alias* alias = spawner->tables().aliases.Find(o.alias))
      alias->watched = result.pid;
    p->tables().watchers[{spawner->pid(), o.alias}] = true;
  }
  scheduler_->Ready(p);
  return result;
}

// ----------------------------------------------------------------- signals

void Runtime::Enqueue(SignalPtr s) {
  if (!s->to.local()) {
    if (RemoteRouter* router = router_.load(std::memory_order_acquire))
      return router->Route(std::move(s));
    // Not in a cluster: every other node is unreachable.
    return Bounce(std::move(s), ExitReason::NoConnection());
  }
  if (!s->to.valid()) return external_->Deliver(std::move(s));
  Process* p = table_->Get(s->to);
  if (!p) return Bounce(std::move(s), ExitReason::NoProc());  // a pid that was never given out
  if (s->kind <= SignalKind::kSystem && !TakeRoom(p, s->to)) {
    if (s->kind == SignalKind::kCall || s->kind == SignalKind::kSystem) {
      auto a = std::make_unique<Signal>(SignalKind::kReply);
      a->from = s->to;
      a->to = s->from;
      a->ref = s->ref;
      a->status = MailboxFull(s->to, p->max_messages_.load(std::memory_order_relaxed), "messages");
      Enqueue(std::move(a));
    }
    return;
  }
  p->Push(std::move(s));
}

void Runtime::Bounce(SignalPtr s, ExitReason reason) {
  if (s->kind <= SignalKind::kCast) {
    counters_.dropped_messages.fetch_add(1, std::memory_order_relaxed);
  }
  if (SignalPtr answer = Undeliverable(*s, reason)) Enqueue(std::move(answer));
}

Pid Runtime::AddressOf(const NameAt& at) const {
  std::optional<Pid> node = Pid();
  if (!at.node.empty()) {
    const RemoteRouter* router = router_.load(std::memory_order_acquire);
    node = router != nullptr ? router->FindNode(at.node) : std::nullopt;
    if (!node) return NamedPid(kNoNodeId, 0, fmt::format("{}@{}", at.name, at.node));
  }
  if (!node->local()) return NamedPid(node->node_id, node->incarnation, at.name);
  if (std::optional<Pid> pid = Whereis(at.name)) return *pid;
  return NamedPid(0, 0, at.name);
}

void Runtime::Deliver(SignalPtr s) { Enqueue(std::move(s)); }

void Runtime::Send(Pid to, Payload payload) {
  auto s = std::make_unique<Signal>(SignalKind::kMessage);
  s->to = to;
  s->payload = std::move(payload);
  Enqueue(std::move(s));
}

void Runtime::Cast(Pid to, Payload payload) {
  auto s = std::make_unique<Signal>(SignalKind::kCast);
  s->to = to;
  s->payload = std::move(payload);
  Enqueue(std::move(s));
}

void Runtime::Exit(Pid to, ExitReason reason, Pid from) {
  auto s = std::make_unique<Signal>(SignalKind::kExit);
  s->from = from;
  s->to = to;
  s->reason = std::move(reason);
  Enqueue(std::move(s));
}

Ref Runtime::Call(Pid to, Payload payload, Instant deadline, CallDone done, CallOptions options) {
  auto s = std::make_unique<Signal>(options.kind);
  s->to = to;
  s->ref = options.ref;
  s->payload = std::move(payload);
  s->deadline = deadline;
  s->reg_version = options.reg_version;
  return external_->Call(std::move(s), deadline, std::move(done));
}
bool Runtime::CancelCall(Ref call) { return external_->Cancel(call); }

Ref Runtime::Monitor(Pid target, std::function<void(Pid, ExitReason)> down) {
  return external_->Monitor(target, std::move(down));
}
bool Runtime::Demonitor(Ref ref) { return external_->Demonitor(ref); }

Runtime::DeliverBatch::DeliverBatch(Runtime* rt) : rt_(rt) { rt_->scheduler().BeginBatch(); }
Runtime::DeliverBatch::~DeliverBatch() { rt_->scheduler().EndBatch(); }

void Runtime::ConnectionLost(uint32_t node_id, uint32_t incarnation,
                             const std::vector<uint64_t>& pids) {
  DeliverBatch batch(this);
  for (uint64_t id : pids) {
    auto s = std::make_unique<Signal>(SignalKind::kConnectionLost);
    s->from = Pid{node_id, incarnation, 0};
    s->to = Pid{0, 0, id};
    Enqueue(std::move(s));
  }
  external_->ConnectionLost(node_id, incarnation);
}

namespace {
void ChangeHeld(Runtime* rt, Pid pid, int by) {
  if (!pid.local() || !pid.valid()) return;
  auto s = std::make_unique<Signal>(SignalKind::kWake);
  s->to = pid;
  s->payload = Payload::Local(std::function<void(Process&)>([pid, by](Process& p) {
    if (p.Alive(pid.generation())) p.held_ += by;
  }));
  rt->Enqueue(std::move(s));
}
}  // namespace

void Runtime::HoldSender(Pid pid) { ChangeHeld(this, pid, 1); }
void Runtime::ReleaseSender(Pid pid) { ChangeHeld(this, pid, -1); }

bool Runtime::Busy(Pid to) const {
  if (!to.local()) {
    const RemoteRouter* router = router_.load(std::memory_order_acquire);
    return router && router->Busy(to.node_id);
  }
  const Process* p = table_->Get(to);
  return p && p->queued_.load(std::memory_order_relaxed) >=
                  p->max_messages_.load(std::memory_order_relaxed);
}

// --------------------------------------------------------- names and views

bool Runtime::IsAlive(Pid pid) const {
  Process* p = pid.local() ? table_->Get(pid) : nullptr;
  return p && p->Alive(pid.generation());
}
std::optional<Pid> Runtime::Whereis(const std::string& name) const {
  return registry_->Whereis(name);
}
std::vector<std::pair<std::string, Pid>> Runtime::ListNames() const { return registry_->List(); }
bool Runtime::Register(const std::string& name, Pid pid) { return registry_->Register(name, pid); }
bool Runtime::Unregister(const std::string& name) { return registry_->Unregister(name); }
void Runtime::SetNameObserver(std::function<void(const std::string&, Pid, bool)> observer) {
  registry_->SetObserver(std::move(observer));
}
size_t Runtime::process_count() const { return table_->live(); }

uint64_t Runtime::queued_messages() const {
  uint64_t sum = 0;
  for (uint32_t i = 1; i < table_->high_water(); ++i) {
    sum += table_->Get(i)->queued_.load(std::memory_order_relaxed);
  }
  return sum;
}

namespace {
std::optional<ProcessSnapshot> Snapshot(const ProcessTable& table, const LocalRegistry& registry,
                                        Process& p) {
  uint64_t life = p.life_.load(std::memory_order_acquire);
  if (!(life & 1)) return std::nullopt;
  ProcessTable::LabelView label = table.label(p);
  ProcessSnapshot s;
  s.pid = Pid::Local(p.slot_, static_cast<uint32_t>(life >> 1));
  s.module = std::move(label.module);
  s.child_id = std::move(label.child_id);
  s.parent = label.parent;
  s.start_time = label.start_time;
  s.state = static_cast<ProcessSnapshot::State>(p.state_.load(std::memory_order_relaxed));
  s.mailbox_length = p.queued_.load(std::memory_order_relaxed);
  s.messages_handled = p.handled_.load(std::memory_order_relaxed);
  if (p.has_name_.load(std::memory_order_relaxed)) s.names = registry.NamesOf(s.pid);
  return s;
}
}  // namespace

std::vector<Pid> Runtime::AncestorsOf(Pid pid) const {
  constexpr size_t kMax = 100;
  std::vector<Pid> out;
  while (out.size() < kMax && IsAlive(pid)) {
    pid = table_->label(*table_->Get(pid)).parent;
    if (!pid) break;
    out.push_back(pid);
  }
  return out;
}

std::vector<ProcessSnapshot> Runtime::List() const {
  std::vector<ProcessSnapshot> out;
  for (uint32_t i = 1; i < table_->high_water(); ++i) {
    if (auto s = Snapshot(*table_, *registry_, *table_->Get(i))) out.push_back(*std::move(s));
  }
  return out;
}

std::optional<ProcessSnapshot> Runtime::Look(Pid pid) const {
  Process* p = pid.local() ? table_->Get(pid) : nullptr;
  if (!p) return std::nullopt;
  std::optional<ProcessSnapshot> s = Snapshot(*table_, *registry_, *p);
  if (s && s->pid != pid) return std::nullopt;  // a later life of the slot
  return s;
}

// Most entries of a table that Inspect() shows.
static constexpr size_t kShown = 100;

void Runtime::Inspect(Pid pid, std::function<void(std::optional<ProcessSnapshot>)> done) {
  Process* target = pid.local() ? table_->Get(pid) : nullptr;
  if (!target) return done(std::nullopt);
  auto s = std::make_unique<Signal>(SignalKind::kWake);
  s->to = pid;
  s->payload =
      Payload::Local(std::function<void(Process&)>([this, pid, done = std::move(done)](Process& p) {
        if (!p.Alive(pid.generation()) || p.pending_exit_) return done(std::nullopt);
        std::optional<ProcessSnapshot> out = Snapshot(*table_, *registry_, p);
        if (out) {
          out->mailbox_length = p.mailbox_length();
          out->trap_exit = p.trap_exit_;
          out->exclusive = p.exclusive_;
          out->fence = p.origin_ ? p.origin_->fence.load() : 0;
          auto add = [](std::vector<Pid>& to, const Pid& pid) {
            if (to.size() < kShown) to.push_back(pid);
          };
          p.tables().links.ForEach([&](const Pid& to, Process::Link& link) {
            if (link.active()) add(out->links, to);
          });
          // Of a name of another node: who has it is not known here.
          p.tables().monitors.ForEach([&](Ref, const Pid& of) {
            add(out->monitors, NameOf(of) ? Pid{of.node_id, of.incarnation, 0} : of);
          });
          p.tables().watchers.ForEach(
              [&](const Process::WatcherKey& w, bool) { add(out->watchers, w.first); });
          out->monitored_by = p.tables().watchers.size();
        }
        done(std::move(out));
      }));
  Enqueue(std::move(s));
}

void Runtime::AskWhetherHanging(Pid pid, uint32_t node_id, uint32_t incarnation,
                                std::function<void(bool)> done) {
  Process* target = pid.local() ? table_->Get(pid) : nullptr;
  if (!target) return done(false);
  auto s = std::make_unique<Signal>(SignalKind::kWake);
  s->to = pid;
  s->payload = Payload::Local(std::function<void(Process&)>(
      [pid, node_id, incarnation, done = std::move(done)](Process& p) {
        done(p.Alive(pid.generation()) && p.HangsOn(node_id, incarnation));
      }));
  Enqueue(std::move(s));
}

bool Runtime::WaitsOutside(uint32_t node_id, uint32_t incarnation) {
  return external_->WaitsFor(node_id, incarnation);
}

// ------------------------------------------------------------------- lease

bool Runtime::LeaseValid() const {
  int64_t until = lease_until_ns_.load(std::memory_order_relaxed);
  if (until == Instant::Infinite().nanos()) return true;
  return clock().Now().nanos() < until;
}

bool Runtime::frozen() const { return !LeaseValid(); }

void Runtime::SetLeaseUntil(Instant until) {
  lease_until_ns_.store(until.nanos(), std::memory_order_relaxed);
  if (!LeaseValid()) return;
  std::vector<Pid> thawed;
  {
    MutexLock lock(&frozen_->mu);
    thawed.swap(frozen_->parked);
  }
  for (Pid pid : thawed) {
    auto s = std::make_unique<Signal>(SignalKind::kWake);
    s->to = pid;
    Enqueue(std::move(s));
  }
}

// On the process's own turn, since the flag is its own.
void Runtime::MakeExclusive(Pid pid) {
  auto s = std::make_unique<Signal>(SignalKind::kWake);
  s->to = pid;
  s->payload = Payload::Local(std::function<void(Process&)>([pid](Process& p) {
    if (p.Alive(pid.generation())) p.exclusive_ = true;
  }));
  Enqueue(std::move(s));
}

void Runtime::ParkFrozen(Process* p) {
  {
    MutexLock lock(&frozen_->mu);
    frozen_->parked.push_back(p->pid());
  }
  // The lease may have come back between the look at it and this.
  if (LeaseValid())
    SetLeaseUntil(Instant::FromNanos(lease_until_ns_.load(std::memory_order_relaxed)));
}

std::vector<Pid> Runtime::RunningExclusive() const {
  std::vector<Pid> out;
  for (Process* p : scheduler_->Running()) {
    if (p->exclusive_) out.push_back(p->pid());
  }
  return out;
}

// ---------------------------------------------------------------- blocking

void Runtime::RunBlocking(std::function<void()> fn) {
  if (options_.workers == 0) return options_.executor->Post(std::move(fn));
  Blocking& b = *blocking_;
  MutexLock lock(&b.mu);
  b.jobs.push_back(std::move(fn));
  if (b.idle < b.jobs.size() && b.threads.size() < static_cast<size_t>(options_.blocking_threads)) {
    b.threads.emplace_back([this, &b] {
      if (options_.on_thread_start) options_.on_thread_start();
      b.Loop();
    });
  }
  b.cv.notify_one();
}

}  // namespace banyan
