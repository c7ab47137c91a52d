#include "server/runtime/process.h"

#include "common/base/check.h"
#include "common/base/error.h"
#include "server/runtime/call_error.h"
#include "server/runtime/crash_reason.h"
#include "server/runtime/local_registry.h"
#include "server/runtime/process_table.h"
#include "server/runtime/scheduler.h"
#include "server/runtime/undeliverable.h"

namespace banyan {
namespace {

void SetState(Process& p, ProcessSnapshot::State s) {
  p.state_.store(static_cast<uint8_t>(s), std::memory_order_relaxed);
}

// Of messages of other nodes in one mailbox; more are refused like those that a full one gets. An
// eighth of what a node reads before its peers must wait (server/cluster/options.h): one process
// that does not read does not stop the others' messages.
constexpr int64_t kInboundBytesMax = 32 * 1024 * 1024;

// Shows a queued signal as the message that it will be, without taking it.
bool Matches(const std::function<bool(const Message&)>& want, Signal* s) {
  Message view{SignalPtr(s)};
  bool ok = want(view);
  std::move(view).Release().release();
  return ok;
}

}  // namespace

// ------------------------------------------------------------------ inbox

Process::~Process() {
  Signal* s = inbox_.load(std::memory_order_relaxed);
  while (s && s != kIdle()) delete std::exchange(s, s->next);
}

void Process::Push(SignalPtr signal) {
  Signal* s = signal.release();
  Signal* old = inbox_.load(std::memory_order_relaxed);
  do {
    s->next = old == kIdle() ? nullptr : old;
  } while (
      !inbox_.compare_exchange_weak(old, s, std::memory_order_acq_rel, std::memory_order_relaxed));
  if (old == kIdle()) rt_->scheduler().Ready(this);
}

bool Process::Acquire() {
  Signal* idle = kIdle();
  return inbox_.compare_exchange_strong(idle, nullptr, std::memory_order_acq_rel);
}

bool Process::TryIdle() {
  Signal* empty = nullptr;
  return inbox_.compare_exchange_strong(empty, kIdle(), std::memory_order_acq_rel);
}

void Process::DrainInbox() {
  Signal* newest = inbox_.exchange(nullptr, std::memory_order_acq_rel);
  BANYAN_CHECK(newest != kIdle());
  Signal* oldest = OldestFirst(newest);
  while (oldest) {
    SignalPtr s(oldest);
    oldest = oldest->next;
    s->next = nullptr;
    Handle(std::move(s));
  }
}

// ---------------------------------------------------------------- mailbox

bool Process::AdmitInbound(SignalPtr& s) {
  const auto bytes = static_cast<int64_t>(s->payload.size());
  if (inbound_bytes_ == 0 || inbound_bytes_ + bytes <= kInboundBytesMax) {
    inbound_bytes_ += bytes;
    rt_->CountInbound(bytes);
    return true;
  }
  queued_.fetch_sub(1, std::memory_order_relaxed);
  rt_->mutable_counters().mailbox_full.fetch_add(1, std::memory_order_relaxed);
  tables_.watchers.Erase({s->from, s->ref});
  if (SignalPtr answer = Undeliverable(*s, {}, MailboxFull(pid(), kInboundBytesMax, "bytes")))
    rt_->Enqueue(std::move(answer));
  return false;
}

void Process::AppendMessage(SignalPtr signal) {
  if (signal->from.node_id != 0 && signal->kind <= SignalKind::kCall) [[unlikely]] {
    if (!AdmitInbound(signal)) return;
  }
  Signal* s = signal.release();
  s->next = nullptr;
  if (mailbox_tail_) {
    mailbox_tail_->next = s;
  } else {
    mailbox_head_ = s;
  }
  mailbox_tail_ = s;
}

size_t Process::mailbox_length() const {
  size_t n = 0;
  for (const Signal* s = mailbox_head_; s; s = s->next) ++n;
  return n;
}

SignalPtr Process::TakeMessage(const std::function<bool(const Message&)>* want) {
  Signal* before = nullptr;
  for (Signal* s = mailbox_head_; s; before = s, s = s->next) {
    if (want) {
      if (!Matches(*want, s)) continue;
    }
    (before ? before->next : mailbox_head_) = s->next;
    if (mailbox_tail_ == s) mailbox_tail_ = before;
    if (scanned_ == s) scanned_ = before;
    s->next = nullptr;
    if (s->kind <= SignalKind::kSystem) queued_.fetch_sub(1, std::memory_order_relaxed);
    if (s->from.node_id != 0 && s->kind <= SignalKind::kCall) [[unlikely]] {
      const auto bytes = static_cast<int64_t>(s->payload.size());
      inbound_bytes_ -= bytes;
      rt_->CountInbound(-bytes);
    }
    return SignalPtr(s);
  }
  return nullptr;
}

bool Process::HasMatch(const std::function<bool(const Message&)>& want) {
  for (Signal* s = scanned_ ? scanned_->next : mailbox_head_; s; s = s->next) {
    if (Matches(want, s)) return true;
    scanned_ = s;
  }
  return false;
}

void Process::CountHandled() {
  handled_.store(handled_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  --budget_;
}

// -------------------------------------------------------------------- run

bool Process::MayGoOn() {
  if (pending_exit_ || budget_ <= 0 || held_ > 0) return false;
  return !exclusive_ || rt_->LeaseValid();
}

bool Process::Satisfied() {
  if (timed_out_) return true;
  switch (wait_) {
    case Wait::kNone:
      return false;
    case Wait::kYield:
      return true;
    case Wait::kReceive:
      return mailbox_head_ != nullptr;
    case Wait::kReceiveIf:
      return HasMatch(*want_);
    case Wait::kReply: {
      Alias* alias = tables_.aliases.Find(wait_ref_);
      return !alias || alias->done;
    }
    case Wait::kTimer:
      return false;
    case Wait::kBlocking:
      return blocking_done_;
  }
  return false;
}

bool Process::Run() {
  budget_ = rt_->options().budget_messages;
  for (;;) {
    DrainInbox();
    const bool alive = life_.load(std::memory_order_relaxed) & 1;
    if (alive && pending_exit_) {
      std::unique_ptr<ExitReason> reason = std::move(pending_exit_);
      Die(*reason);
      continue;  // answers what came meanwhile; TryIdle() below frees the slot
    }
    if (!alive) {
      bool free_slot = std::exchange(started_, false);
      uint32_t slot = slot_;
      ProcessTable& table = rt_->table();
      if (!TryIdle()) {
        started_ = free_slot;
        continue;
      }
      if (free_slot) table.Free(slot);
      return false;
    }
    if (exclusive_ && !rt_->LeaseValid()) {
      SetState(*this, ProcessSnapshot::State::kFrozen);
      if (!std::exchange(frozen_, true)) rt_->ParkFrozen(this);
      if (TryIdle()) return false;
      continue;
    }
    frozen_ = false;
    if (started_ && (held_ > 0 || !Satisfied())) {
      SetState(*this,
               suspended_ ? ProcessSnapshot::State::kSuspended : ProcessSnapshot::State::kWaiting);
      if (TryIdle()) return false;
      continue;
    }
    if (budget_ <= 0) return true;
    --budget_;
    SetState(*this, ProcessSnapshot::State::kRunning);
    if (!started_) {
      Start();
    } else {
      DisarmWait();
      std::exchange(resume_, nullptr).resume();
    }
    if (!root_ || root_.done()) FinishRoot();
  }
}

void Process::Start() {
  started_ = true;
  Task<ExitReason> task = [this]() -> Task<ExitReason> {
    try {
      return main_(self_);
    } catch (...) {
      return CrashReason(std::current_exception());
    }
  }();
  if (task.ready()) {
    SetPendingExit(task.Result());
    return;
  }
  // The frame is ours now: Die() destroys it.
  root_ = task.Release();
  root_.resume();
}

void Process::FinishRoot() {
  if (!root_) return;  // ended at once: Start() has set the reason
  std::exception_ptr error = root_.promise().error;
  ExitReason reason = error ? CrashReason(error) : std::move(*root_.promise().value);
  // Also when an exit signal came with the last turn: the body had ended before it was acted on.
  pending_exit_ = std::make_unique<ExitReason>(std::move(reason));
}

void Process::Die(const ExitReason& reason) {
  SetState(*this, ProcessSnapshot::State::kTerminating);
  DisarmWait();
  resume_ = nullptr;
  pending_exit_.reset();
  if (root_) std::exchange(root_, nullptr).destroy();
  main_ = nullptr;
  const Pid me = pid();
  life_.store(uint64_t{generation()} << 1, std::memory_order_seq_cst);
  if (has_name_.exchange(false)) rt_->registry().Release(me);
  Tables t = std::exchange(tables_, Tables());
  t.timers.ForEach([&](Ref, Timers::Id id) { rt_->timers().Cancel(id); });
  t.links.ForEach([&](const Pid& to, Link& link) {
    if (link.active()) SendSignal(SignalKind::kLinkExit, to, 0, reason);
  });
  // Calls from elsewhere that it never looked at are told so: they may be made again. Local callers
  // hear what OTP's hear.
  std::vector<SignalPtr> unheard, left;
  while (SignalPtr s = TakeMessage(nullptr)) {
    const bool elsewhere = !s->from.valid() || s->from.node_id != 0;
    const bool call =
        s->kind == SignalKind::kCall && elsewhere && t.watchers.Erase({s->from, s->ref});
    (call ? unheard : left).push_back(std::move(s));
  }
  t.watchers.ForEach([&](const WatcherKey& w, bool watching) {
    if (watching) SendSignal(SignalKind::kDown, w.first, w.second, reason);
  });
  t.monitors.ForEach([&](Ref ref, const Pid& to) { SendSignal(SignalKind::kDemonitor, to, ref); });
  t.aliases.ForEach([&](Ref ref, const Alias& a) {
    if (!a.done && a.watched) SendSignal(SignalKind::kDemonitor, a.watched, ref);
  });
  for (const SignalPtr& s : unheard)
    SendSignal(Undeliverable(*s, reason, EndedUnheard(me, reason)));
  for (SignalPtr& s : left) {
    // What came behind the exit: links, monitors and calls that are in no table.
    const bool call = s->kind == SignalKind::kCall || s->kind == SignalKind::kSystem;
    if (s->kind == SignalKind::kLink || s->kind == SignalKind::kMonitor ||
        (call && !t.watchers.Find({s->from, s->ref}))) {
      rt_->Bounce(std::move(s), ExitReason::NoProc());
    }
  }
  rt_->table().set_label(*this, {});
  trap_exit_ = frozen_ = timed_out_ = blocking_done_ = suspended_ = false;
  has_cancelled_ = false;
  exclusive_ = false;
  held_ = 0;
  origin_.reset();
  max_messages_ = 0;
  handled_.store(0, std::memory_order_relaxed);
  started_ = true;  // tells Run() to free the slot once it is idle
}

// ------------------------------------------------------------------- wait

void Process::ArmWait(Wait wait, Ref ref, Instant deadline, std::coroutine_handle<> h) {
  wait_ = wait;
  wait_ref_ = ref;
  resume_ = h;
  timed_out_ = false;
  if (deadline.infinite()) return;
  if (deadline <= rt_->clock().Now()) {
    timed_out_ = true;
    return;
  }
  wait_timer_ref_ = rt_->NextRef();
  wait_timer_ = rt_->timers().ScheduleAt(deadline, [rt = rt_, to = pid(), ref = wait_timer_ref_] {
    auto s = std::make_unique<Signal>(SignalKind::kWake);
    s->to = to;
    s->ref = ref;
    rt->Enqueue(std::move(s));
  });
}

// `timed_out_` stays for await_resume() to read.
void Process::DisarmWait() {
  if (wait_timer_) rt_->timers().Cancel(wait_timer_);
  wait_timer_ = 0;
  wait_timer_ref_ = 0;
  wait_ = Wait::kNone;
  want_ = nullptr;
  scanned_ = nullptr;
}

void Process::SetPendingExit(ExitReason reason) {
  if (!pending_exit_) pending_exit_ = std::make_unique<ExitReason>(std::move(reason));
}

Ref Process::OpenAlias(Pid watched, bool to_mailbox) {
  Ref ref = rt_->NextRef();
  Alias& alias = tables().aliases[ref];
  alias.watched = watched;
  alias.to_mailbox = to_mailbox;
  return ref;
}

void Process::SendSignal(SignalKind kind, Pid to, Ref ref, ExitReason reason) {
  auto s = std::make_unique<Signal>(kind);
  s->to = to;
  s->ref = ref;
  s->reason = std::move(reason);
  SendSignal(std::move(s));
}

void Process::SendSignal(SignalPtr signal) {
  signal->from = pid();
  rt_->Enqueue(std::move(signal));
}

}  // namespace banyan
