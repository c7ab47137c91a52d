#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "common/time/clock.h"
#include "server/runtime/self.h"
#include "server/runtime/signal.h"

namespace banyan {

class ExternalCalls;
class LocalRegistry;
class ProcessTable;
class Scheduler;
class SystemMonitor;

// Takes the signals for other nodes (server/cluster). Called from any thread, in sender order; must
// not block and must not call back into the runtime on the same stack except through Deliver().
class RemoteRouter {
 public:
  virtual ~RemoteRouter() = default;
  virtual void Route(SignalPtr signal) = 0;  // signal->to.node_id != 0
  // More waits to be sent there than is good. Any thread.
  virtual bool Busy(uint32_t node_id) const { return false; }
  // The present life of the node of that name, with the id 0: Pid() for this one, nullopt for one
  // that is no member. Any thread.
  virtual std::optional<Pid> FindNode(const std::string& name) const { return std::nullopt; }
};

// What ListActors shows. Read while the process runs, so each field is true of some recent moment.
struct ProcessSnapshot {
  enum class State : uint8_t { kStarting, kWaiting, kRunning, kSuspended, kTerminating, kFrozen };
  Pid pid;
  std::vector<std::string> names;
  std::string module;
  State state = State::kWaiting;
  Pid parent;
  std::string child_id;
  // List(): messages, casts, calls and system requests sent to it. Inspect(): all that it has not
  // received yet, timers, exits and downs too.
  uint64_t mailbox_length = 0;
  uint64_t messages_handled = 0;
  absl::Time start_time;
  bool trap_exit = false;
  bool exclusive = false;
  uint64_t fence = 0;
  // Only from Inspect():
  // at most 100 of each
  std::vector<Pid> links;
  std::vector<Pid> monitors;  // whom it monitors, once a monitor
  std::vector<Pid> watchers;  // who monitors it or waits for its answer, once a monitor or call
  size_t monitored_by = 0;    // how many watchers there are
};

// Hosts processes: M of them on N workers, or on an executor of the caller's with virtual time.
// Knows no behaviour, no strategy and no gRPC.
//
// Life: construct, Spawn and so on from any thread, Shutdown() (kills every process, joins the
// workers), destroy. Pids of this runtime have node_id 0.
class Runtime {
 public:
  struct Options {
    Clock* clock = nullptr;  // outlive the runtime
    Timers* timers = nullptr;
    // Worker threads; 0: no threads, everything runs in turns posted to `executor`.
    int workers = 2;
    Executor* executor = nullptr;      // with workers == 0
    uint32_t max_processes = 1 << 24;  // Spawn answers RESOURCE_EXHAUSTED above it
    uint32_t mailbox_max_messages = 65536;
    int budget_messages = 256;              // a process gives way after so many messages
    int blocking_threads = 4;               // most threads for Blocking()
    std::function<void()> on_thread_start;  // runs first on each thread that runs processes' code
  };
  explicit Runtime(Options options);
  ~Runtime();
  Runtime(const Runtime&) = delete;

  const Clock& clock() const { return *options_.clock; }
  Timers& timers() const { return *options_.timers; }
  const Options& options() const { return options_; }

  // --- from outside (any thread)
  absl::StatusOr<Pid> Spawn(ProcessMain main, SpawnOptions options = {});
  void Send(Pid to, Payload payload);
  void Cast(Pid to, Payload payload);
  // As Send and Cast, for a process of this runtime, and says whether the message got into the
  // mailbox of one that lives, as far as can be told at this moment. Errors: NOPROC, MAILBOX_FULL.
  absl::Status Put(Pid to, Payload payload, SignalKind kind);
  // exit(to, reason). `from` is what a process that traps exits sees; default: nobody.
  void Exit(Pid to, ExitReason reason, Pid from = {});
  // A call from outside any process. `done` runs exactly once, on some worker, timer or router
  // thread, and must not block. Errors as Self::Call.
  using CallDone = std::function<void(absl::StatusOr<Payload> reply, Pid callee)>;
  struct CallOptions {
    SignalKind kind = SignalKind::kCall;
    uint64_t reg_version = 0;  // of the registration of a cluster name that led to `to`; 0: none
    // From NewCall(): one that has failed may be sent again as the same call, under the same ref,
    // and an answer to any of its sends is the answer. 0: a new one.
    Ref ref = 0;
  };
  Ref NewCall() { return NextRef(); }
  Ref Call(Pid to, Payload payload, Instant deadline, CallDone done, CallOptions options);
  Ref Call(Pid to, Payload payload, Instant deadline, CallDone done) {
    return Call(to, std::move(payload), deadline, std::move(done), CallOptions());
  }
  // Nobody waits for its answer any more: true, and `done` will not run. A callee that has not
  // begun it skips it.
  bool CancelCall(Ref call);
  // Fires once when `target` ends: its exit reason, noproc, or noconnection. Returns a ref for
  // Demonitor(), after which (true) `down` will not run.
  Ref Monitor(Pid target, std::function<void(Pid, ExitReason)> down);
  bool Demonitor(Ref ref);
  // `pid`, of this runtime, unlinks `from` before it takes what is sent to it after this.
  void Unlink(Pid pid, Pid from);
  // Puts a signal from another node in its receiver's queue (server/cluster). signal->to is local.
  void Deliver(SignalPtr signal);
  // While one is alive on a thread, signals delivered there wake workers once, at its end: one
  // wake-up a frame, not a message.
  class DeliverBatch {
   public:
    explicit DeliverBatch(Runtime* rt);
    ~DeliverBatch();

   private:
    Runtime* rt_;
  };

  // Where a signal for that name goes now: a process of this node, or a NamedPid.
  Pid AddressOf(const NameAt& at) const;
  bool IsAlive(Pid pid) const;
  std::optional<Pid> Whereis(const std::string& name) const;
  // Names of this runtime, sorted.
  std::vector<std::pair<std::string, Pid>> ListNames() const;
  // False: the name is taken by another live process, or `pid` is not alive.
  bool Register(const std::string& name, Pid pid);
  bool Unregister(const std::string& name);
  // Called on every change of names: (name, pid, registered). Set before the first spawn.
  void SetNameObserver(std::function<void(const std::string&, Pid, bool)> observer);

  // Who started `pid`, who started that one, and so on, nearest first, up to the first that is not
  // alive here; that one is named too. At most 100.
  std::vector<Pid> AncestorsOf(Pid pid) const;
  std::vector<ProcessSnapshot> List() const;
  // One of them; nullopt for a dead process and for one of another node. Does not wait for it.
  std::optional<ProcessSnapshot> Look(Pid pid) const;
  // `done(nullopt)` for a dead process. Runs on a worker.
  void Inspect(Pid pid, std::function<void(std::optional<ProcessSnapshot>)> done);
  SystemMonitor& system_monitor() { return *monitor_; }
  size_t process_count() const;
  uint64_t queued_messages() const;

  struct Counters {
    std::atomic<uint64_t> spawned{0}, late_replies{0}, dropped_messages{0}, mailbox_full{0};
  };
  const Counters& counters() const { return counters_; }

  // --- other nodes
  void SetRouter(RemoteRouter* router) { router_.store(router, std::memory_order_release); }
  // The session with this node is over: fires everything that `pids` (local ids) have on it with
  // noconnection, and calls from outside.
  void ConnectionLost(uint32_t node_id, uint32_t incarnation, const std::vector<uint64_t>& pids);

  // Whether the process has a link, a monitor or an open call with that life of a node, from either
  // side. `done` runs once, on a worker.
  void AskWhetherHanging(Pid pid, uint32_t node_id, uint32_t incarnation,
                         std::function<void(bool)> done);
  // Whether calls or monitors of those who are no process wait for that life of a node.
  bool WaitsOutside(uint32_t node_id, uint32_t incarnation);

  // What waits for another node is too much, or no longer: until it is released, which must follow,
  // the process does not go on from where it waits next (OTP's busy_dist_port). Exit signals act.
  void HoldSender(Pid pid);
  void ReleaseSender(Pid pid);
  // A message for `to` would have to wait: for its node, or behind a full mailbox.
  bool Busy(Pid to) const;
  // Bytes of messages from other nodes that their receivers have not taken yet.
  int64_t inbound_bytes() const { return inbound_bytes_.load(std::memory_order_relaxed); }

  // --- the lease (docs: cluster.md 2.5). Exclusive processes are not dispatched from this moment
  // on; renewing it thaws them, state and mailbox intact. Default: infinite.
  void SetLeaseUntil(Instant until);
  Instant lease_until() const {
    return Instant::FromNanos(lease_until_ns_.load(std::memory_order_relaxed));
  }
  bool frozen() const;
  // From its next dispatch on `pid` is exclusive; what it has spawned before is not.
  void MakeExclusive(Pid pid);
  // Pids of exclusive processes whose code is on a thread right now.
  std::vector<Pid> RunningExclusive() const;

  // Kills every process (reason killed), runs their destructors, stops the workers. Idempotent.
  void Shutdown();

  // Where actors find what hosts them (the node's module registry ...): a typed slot, set before
  // use.
  void SetHost(void* host) { host_ = host; }
  void* host() const { return host_; }

  // --- internal, for server/runtime
  ProcessTable& table() { return *table_; }
  Scheduler& scheduler() { return *scheduler_; }
  LocalRegistry& registry() { return *registry_; }
  Counters& mutable_counters() { return counters_; }
  void Enqueue(SignalPtr signal);  // routes: local queue, another node, or a call from outside
  // Answers for a receiver that cannot be reached: `reason` (noproc, noconnection) to who waits for
  // one.
  void Bounce(SignalPtr signal, ExitReason reason);
  void CountInbound(int64_t bytes) { inbound_bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  Ref NextRef() { return next_ref_.fetch_add(1, std::memory_order_relaxed); }
  bool LeaseValid() const;
  void ParkFrozen(Process* p);
  void RunBlocking(std::function<void()> fn);
  absl::StatusOr<SpawnResult> SpawnFrom(Process* spawner, ProcessMain main, SpawnOptions options);

 private:
  // Counts a message in at its receiver's mailbox; false: there is no room, and it lives.
  bool TakeRoom(Process* p, Pid to);

  struct Blocking;
  Options options_;
  std::unique_ptr<ProcessTable> table_;
  std::unique_ptr<LocalRegistry> registry_;
  std::unique_ptr<ExternalCalls> external_;
  std::unique_ptr<SystemMonitor> monitor_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<Blocking> blocking_;
  std::atomic<RemoteRouter*> router_{nullptr};
  std::atomic<int64_t> inbound_bytes_{0};
  std::atomic<Ref> next_ref_{1};
  std::atomic<int64_t> lease_until_ns_;
  Counters counters_;
  void* host_ = nullptr;
  struct Frozen;
  std::unique_ptr<Frozen> frozen_;
  bool shut_down_ = false;
};

}  // namespace banyan
