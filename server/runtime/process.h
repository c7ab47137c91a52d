#pragma once

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/coro/task.h"
#include "common/time/clock.h"
#include "server/runtime/origin.h"
#include "server/runtime/runtime.h"
#include "server/runtime/self.h"
#include "server/runtime/signal.h"
#include "server/runtime/small_map.h"

namespace banyan {

// A slot for processes, and the process that lives in it now.
//
//   free -> (Acquire) -> new -> (first Run) -> running <-> suspended -> (Die) -> free
//
// Slots are never freed, so any thread may push signals to one at any time; every signal carries
// the generation it is meant for, and the slot itself answers for the dead (noproc). `inbox_` is
// one word:
//   kIdle     nothing there, nobody runs or will run the slot: whoever pushes must schedule it
//   nullptr   nothing there, the slot is queued or running
//   else      signals, newest first; the slot is queued or running
// All fields below "owner" belong to whoever runs the slot: a worker, or the spawner before it is
// scheduled.
class Process {
 public:
  enum class Wait : uint8_t { kNone, kReceive, kReceiveIf, kReply, kTimer, kBlocking, kYield };
  struct Link {
    Ref unlink_id = 0;  // not 0: inactive, an unlink of ours is outstanding
    bool active() const { return unlink_id == 0; }
  };
  struct Alias {
    KeptPid watched;
    bool done = false;
    bool to_mailbox = false;  // the response becomes a message, and uses the alias up
    bool cancels = false;     // a request that need not begin once this is closed
    CallReply reply;
  };
  using WatcherKey = std::pair<Pid, Ref>;
  // All that a process has to do with others; each table takes a word until it is used.
  struct Tables {
    LazyMap<Pid, Link> links;
    // Of me: monitors and open calls; false: a call whose caller gave up, and it may not have
    // begun.
    LazyMap<WatcherKey, bool> watchers;
    LazyMap<Ref, KeptPid> monitors;   // mine: ref -> target
    LazyMap<Ref, KeptPid> names;      // of monitors by a name of this node: what a DOWN tells
    LazyMap<Ref, Alias> aliases;      // open reply addresses
    LazyMap<Ref, Timers::Id> timers;  // started with StartTimer
  };
  // For people. Set at the spawn under the table's label lock, module also later.
  struct Label {
    const std::string* module = nullptr;    // interned by the table
    std::unique_ptr<std::string> child_id;  // null: none
    Pid parent;
    int64_t start_unix_ns = 0;
  };

  Process() : self_(this) {}
  ~Process();  // drops signals to the dead that nobody ran for

  // --- any thread
  void Push(SignalPtr signal);
  bool Alive(uint32_t generation) const {
    return life_.load(std::memory_order_acquire) == ((uint64_t{generation} << 1) | 1);
  }
  // Takes the slot for a new life; false if a stray signal is being answered right now.
  bool Acquire();
  Pid pid() const { return Pid::Local(slot_, generation()); }
  uint32_t generation() const {
    return static_cast<uint32_t>(life_.load(std::memory_order_relaxed) >> 1);
  }

  // --- scheduler
  // Runs until nothing is left to do or the budget is spent. True: run it again (it is still queued
  // in spirit); false: it is idle and must not be touched.
  bool Run();
  Process* run_next = nullptr;

  // --- owner
  Tables& tables() { return tables_; }
  // Takes what came; control signals act at once, messages go to the mailbox. May set
  // pending_exit_.
  void DrainInbox();
  // May the suspended code go on?
  bool Satisfied();
  // The first message that `want` accepts (null: any), taken out.
  SignalPtr TakeMessage(const std::function<bool(const Message&)>* want);
  bool HasMatch(const std::function<bool(const Message&)>& want);
  // Messages of all kinds; walks the mailbox.
  size_t mailbox_length() const;
  // Called when a message is handed to the code.
  void CountHandled();
  // Something of it must hear when the connection with that life of a node is lost.
  bool HangsOn(uint32_t node_id, uint32_t incarnation) const;
  // Nobody waits for this call any more, which is just about to begin.
  bool TakeCancelled(const Message& call);
  bool MayGoOn();  // within budget, not exiting, not held, not frozen
  void ArmWait(Wait wait, Ref ref, Instant deadline, std::coroutine_handle<> h);
  void DisarmWait();
  void SetPendingExit(ExitReason reason);
  Ref OpenAlias(Pid watched, bool to_mailbox = false);
  void SendSignal(SignalKind kind, Pid to, Ref ref, ExitReason reason = {});
  void SendSignal(SignalPtr signal);

  Runtime* rt_ = nullptr;
  uint32_t slot_ = 0;
  std::atomic<Signal*> inbox_{kIdle()};
  std::atomic<uint64_t> life_{uint64_t{0xFFFFFFFF} << 1};  // generation:32 . alive:1
  std::atomic<uint32_t> queued_{0};
  std::atomic<uint32_t> max_messages_{0};
  std::atomic<uint8_t> state_{0};
  std::atomic<bool> has_name_{false};
  std::atomic<uint64_t> handled_{0};

  // owner
  Self self_;
  bool trap_exit_ = false;
  std::atomic<bool> exclusive_{false};  // written by the owner
  bool frozen_ = false;
  bool started_ = false;
  bool timed_out_ = false;
  bool blocking_done_ = false;
  bool suspended_ = false;      // by sys; for people
  bool has_cancelled_ = false;  // calls in the mailbox may be
  Wait wait_ = Wait::kNone;
  int held_ = 0;               // by what waits to be sent to other nodes
  int64_t inbound_bytes_ = 0;  // of messages of other nodes in the mailbox
  int budget_ = 0;
  Ref wait_ref_ = 0;        // the alias or blocking job waited for
  Ref wait_timer_ref_ = 0;  // names the deadline, so that an old one is not taken for it
  Timers::Id wait_timer_ = 0;
  Signal* mailbox_head_ = nullptr;
  Signal* mailbox_tail_ = nullptr;
  std::coroutine_handle<> resume_;
  Task<ExitReason>::Handle root_ = nullptr;
  ProcessMain main_;
  const std::function<bool(const Message&)>* want_ = nullptr;
  Signal* scanned_ = nullptr;  // the last message that `want_` has refused
  std::unique_ptr<ExitReason> pending_exit_;
  Tables tables_;
  Label label_;
  std::shared_ptr<ProcessOrigin> origin_;  // null: of no child of a cluster-wide supervisor
  static Signal* kIdle() { return reinterpret_cast<Signal*>(uintptr_t{1}); }

 private:
  void Handle(SignalPtr signal);
  void HandleDead(SignalPtr signal);
  void HandleExit(SignalPtr signal);
  void HandleLinkExit(SignalPtr signal);
  void HandleUnlink(const Signal& signal);
  void HandleCancel(const Signal& signal);
  void HandleDown(SignalPtr signal);
  void HandleConnectionLost(uint32_t node_id, uint32_t incarnation);
  void ConfirmConnectionLost(const Signal& signal);
  void ActOnExit(SignalPtr signal);  // trapped: a message; else dies, or not for normal
  // Takes `signal`, an answer or a DOWN, if it is a response that is wanted as a message.
  bool DeliverResponse(SignalPtr& signal);
  void ResolveAlias(Ref ref, CallReply reply);
  void ResolveWatched(Pid watched, const ExitReason& reason);
  void AppendMessage(SignalPtr signal);
  // Takes the account of what came from another node; false: it was refused.
  bool AdmitInbound(SignalPtr& signal);
  void Start();
  void FinishRoot();
  void Die(const ExitReason& reason);
  bool TryIdle();
};

}  // namespace banyan
