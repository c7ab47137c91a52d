#include "server/runtime/self.h"

#include "common/base/error.h"
#include "common/base/mutant.h"
#include "common/base/named_pid.h"
#include "server/runtime/call_error.h"
#include "server/runtime/local_registry.h"
#include "server/runtime/process.h"
#include "server/runtime/process_table.h"
#include "server/runtime/runtime.h"

namespace banyan {

Pid Self::pid() const { return p_->pid(); }
Pid Self::parent() const { return p_->label_.parent; }
Runtime& Self::runtime() const { return *p_->rt_; }
Instant Self::Now() const { return p_->rt_->clock().Now(); }
uint64_t Self::fence() const { return p_->origin_ ? p_->origin_->fence.load() : 0; }
const std::string& Self::child_path() const {
  static const std::string kNone;
  return p_->origin_ ? p_->origin_->path : kNone;
}
absl::Duration Self::LeaseLeft() const {
  if (!p_->exclusive_) return absl::InfiniteDuration();
  const Instant until = p_->rt_->lease_until();
  if (until.infinite()) return absl::InfiniteDuration();
  return std::max(absl::ZeroDuration(), until - Now());
}
bool Self::exclusive() const { return p_->exclusive_; }
const std::string& Self::child_id() const {
  static const std::string kNone;
  return p_->label_.child_id ? *p_->label_.child_id : kNone;
}
bool Self::trap_exit() const { return p_->trap_exit_; }
bool Self::SetTrapExit(bool on) { return std::exchange(p_->trap_exit_, on); }
size_t Self::mailbox_length() const { return p_->queued_.load(std::memory_order_relaxed); }

void Self::SetModule(const std::string& module) { p_->rt_->table().set_module(*p_, module); }
void Self::ShowSuspended(bool on) { p_->suspended_ = on; }

// ---------------------------------------------------------------- messages

namespace {
SignalPtr MakeSignal(SignalKind kind, Pid to, Payload payload) {
  auto s = std::make_unique<Signal>(kind);
  s->to = to;
  s->payload = std::move(payload);
  return s;
}
}  // namespace

Self::ReceiveAwaiter Self::Receive() { return ReceiveAwaiter(p_, Instant::Infinite()); }
Self::ReceiveAwaiter Self::Receive(Instant deadline) { return ReceiveAwaiter(p_, deadline); }
Self::ReceiveAwaiter Self::ReceiveIf(std::function<bool(const Message&)> want, Instant deadline) {
  return ReceiveAwaiter(p_, deadline, std::move(want));
}

std::optional<Message> Self::TakeIf(const std::function<bool(const Message&)>& want) {
  p_->DrainInbox();
  if (p_->pending_exit_) return std::nullopt;
  SignalPtr s = p_->TakeMessage(&want);
  if (!s) return std::nullopt;
  return Message(std::move(s));
}

bool Self::ReceiveAwaiter::await_ready() {
  if (!p_->MayGoOn()) return false;
  taken_ = p_->TakeMessage(want_ ? &want_ : nullptr);
  if (taken_) return true;
  p_->DrainInbox();
  // An exit signal that has just come ends the process at the suspension, not here.
  if (p_->pending_exit_ || p_->held_ > 0) return false;
  taken_ = p_->TakeMessage(want_ ? &want_ : nullptr);
  return taken_ != nullptr;
}

void Self::ReceiveAwaiter::await_suspend(std::coroutine_handle<> h) {
  p_->want_ = want_ ? &want_ : nullptr;
  p_->scanned_ = nullptr;
  p_->ArmWait(want_ ? Process::Wait::kReceiveIf : Process::Wait::kReceive, 0, deadline_, h);
}

std::optional<Message> Self::ReceiveAwaiter::await_resume() {
  if (!taken_) taken_ = p_->TakeMessage(want_ ? &want_ : nullptr);
  p_->timed_out_ = false;
  if (!taken_) return std::nullopt;
  p_->CountHandled();
  return Message(std::move(taken_));
}

void Self::Send(Pid to, Payload payload) {
  p_->SendSignal(MakeSignal(SignalKind::kMessage, to, std::move(payload)));
}
void Self::Cast(Pid to, Payload payload) {
  p_->SendSignal(MakeSignal(SignalKind::kCast, to, std::move(payload)));
}
bool Self::TrySend(Pid to, Payload payload) {
  if (p_->rt_->Busy(to)) return false;
  Send(to, std::move(payload));
  return true;
}
bool Self::SendName(const std::string& name, Payload payload) {
  std::optional<Pid> to = p_->rt_->Whereis(name);
  if (to) Send(*to, std::move(payload));
  return to.has_value();
}

// ------------------------------------------------------------------- calls

Ref Self::SendRequest(Pid to, Payload payload, SignalKind kind) {
  SignalPtr s = MakeSignal(kind, to, std::move(payload));
  Ref ref = s->ref = p_->OpenAlias(to);
  p_->SendSignal(std::move(s));
  return ref;
}

Ref Self::SendRequestToMailbox(Pid to, Payload payload, SignalKind kind) {
  SignalPtr s = MakeSignal(kind, to, std::move(payload));
  Ref ref = s->ref = p_->OpenAlias(to, true);
  p_->SendSignal(std::move(s));
  return ref;
}

Self::ReplyAwaiter Self::AwaitReply(Ref alias, Instant deadline) {
  return ReplyAwaiter(p_, alias, deadline);
}

Ref Self::OpenAlias(Pid watched) { return p_->OpenAlias(watched); }
Ref Self::OpenAliasToMailbox() { return p_->OpenAlias({}, true); }

void Self::CloseAlias(Ref ref) {
  Process::Alias* alias = p_->tables().aliases.Find(ref);
  if (!alias) return;
  if (!alias->done && alias->watched) {
    p_->SendSignal(alias->cancels ? SignalKind::kCancel : SignalKind::kDemonitor, alias->watched,
                   ref);
  }
  p_->tables().aliases.Erase(ref);
}

bool Self::TakeCancelled(const Message& call) { return p_->TakeCancelled(call); }

bool Self::ReplyAwaiter::await_ready() { return false; }

void Self::ReplyAwaiter::await_suspend(std::coroutine_handle<> h) {
  p_->ArmWait(Process::Wait::kReply, alias_, deadline_, h);
}

CallReply Self::ReplyAwaiter::await_resume() {
  p_->timed_out_ = false;
  Process::Alias* alias = p_->tables().aliases.Find(alias_);
  if (!alias || !alias->done) {
    p_->self_.CloseAlias(alias_);
    return {CallReply::Outcome::kTimeout, {}, {}, {}, {}};
  }
  CallReply reply = std::move(alias->reply);
  p_->tables().aliases.Erase(alias_);
  return reply;
}

Task<absl::StatusOr<Payload>> Self::Call(Pid to, Payload payload, absl::Duration timeout) {
  if (to == pid())
    co_return MakeError("CALLING_SELF", "a process cannot call itself: it would wait for ever");
  Instant deadline = Now() + timeout;
  SignalPtr s = MakeSignal(SignalKind::kCall, to, std::move(payload));
  const Ref alias = s->ref = p_->OpenAlias(to);
  // The other node must not run it when nobody waits any more (cluster.md 4.2). Who never waits
  // wants it to run, as in OTP.
  if (timeout > absl::ZeroDuration()) s->deadline = deadline;
  s->expires = p_->tables().aliases.Find(alias)->cancels = !to.local() && !s->deadline.infinite();
  p_->SendSignal(std::move(s));
  CallReply reply = co_await AwaitReply(alias, deadline);
  co_return ToCallResult(std::move(reply), to, timeout);
}

Task<absl::StatusOr<Payload>> Self::CallUntil(Instant deadline, Pid to, Payload payload) {
  if (deadline.infinite())
    co_return co_await Call(to, std::move(payload), absl::InfiniteDuration());
  const absl::Duration left = deadline - Now();
  if (left <= absl::ZeroDuration()) {
    co_return MakeError("CALL_EXPIRED", "the time for the call was over before it was made",
                        {{"target", FormatPid(to)}});
  }
  co_return co_await Call(to, std::move(payload), left);
}

Task<absl::StatusOr<Payload>> Self::Call(NameAt to, Payload payload, absl::Duration timeout) {
  co_return co_await Call(AddressOf(to), std::move(payload), timeout);
}

Task<absl::StatusOr<Payload>> Self::CallName(std::string name, Payload payload,
                                             absl::Duration timeout) {
  std::optional<Pid> to = p_->rt_->Whereis(name);
  if (!to) {
    co_return MakeError("NAME_NOT_REGISTERED", "no process is registered as \"" + name + "\"",
                        {{"name", name}});
  }
  co_return co_await Call(*to, std::move(payload), timeout);
}

namespace {
void SendAnswer(Process* p, const CallFrom& to, SignalPtr s) {
  s->ref = to.ref;
  p->SendSignal(std::move(s));
  if (to.callee == p->pid()) {
    p->tables().watchers.Erase({to.caller, to.ref});
  } else if (to.callee) {
    // Answered on its behalf: it forgets the caller's monitor.
    auto done = std::make_unique<Signal>(SignalKind::kDemonitor);
    done->from = to.caller;
    done->to = to.callee;
    done->ref = to.ref;
    p->rt_->Enqueue(std::move(done));
  }
}
}  // namespace

void Self::Answer(const CallFrom& to, Payload payload) {
  SendAnswer(p_, to, MakeSignal(SignalKind::kReply, to.caller, std::move(payload)));
}

void Self::AnswerError(const CallFrom& to, absl::Status status) {
  Refuse(to, MarkAnswered(std::move(status)));
}

void Self::Refuse(const CallFrom& to, absl::Status status) {
  SignalPtr s = MakeSignal(SignalKind::kReply, to.caller, {});
  s->status = std::move(status);
  SendAnswer(p_, to, std::move(s));
}

// -------------------------------------------------- links, monitors, exits

bool Self::Link(Pid to) {
  if (to == pid() || !to) return true;
  // Links are between processes: a name is no party to one.
  if (NameOf(to) != nullptr) to = Pid{0, 0, to.id};
  Process::Link* link = p_->tables().links.Find(to);
  if (link && link->active()) return true;
  if (to.local() && !p_->rt_->IsAlive(to)) {
    if (!p_->trap_exit_) return false;
    auto s = std::make_unique<Signal>(SignalKind::kExit);
    s->from = to;
    s->to = pid();
    s->reason = ExitReason::NoProc();
    p_->rt_->Enqueue(std::move(s));
    // At once: it is this call's answer, whatever becomes of the flag.
    p_->DrainInbox();
    return true;
  }
  p_->tables().links[to] = Process::Link{};
  p_->SendSignal(SignalKind::kLink, to, 0);
  return true;
}

void Self::Unlink(Pid to) {
  Process::Link* link = p_->tables().links.Find(to);
  if (!link || !link->active()) return;
  link->unlink_id = p_->rt_->NextRef();
  p_->SendSignal(SignalKind::kUnlink, to, link->unlink_id);
  if (Mutant("naive-unlink")) p_->tables().links.Erase(to);
}

Ref Self::Monitor(Pid target) {
  Ref ref = p_->rt_->NextRef();
  if (target == pid()) return ref;  // never fires
  p_->tables().monitors[ref] = target;
  p_->SendSignal(SignalKind::kMonitor, target, ref);
  return ref;
}

Ref Self::Monitor(const NameAt& at) {
  const Pid target = AddressOf(at);
  const Ref ref = Monitor(target);
  if (target.local() && target != pid()) p_->tables().names[ref] = NamedPid(0, 0, at.name);
  return ref;
}

bool Self::Demonitor(Ref ref, bool flush) {
  Pid* target = p_->tables().monitors.Find(ref);
  if (target) {
    p_->SendSignal(SignalKind::kDemonitor, *target, ref);
    p_->tables().monitors.Erase(ref);
    p_->tables().names.Erase(ref);
    return true;
  }
  if (flush) TakeIf([ref](const Message& m) { return m.is_down() && m.ref() == ref; });
  return false;
}

void Self::Exit(Pid to, ExitReason reason) {
  p_->SendSignal(SignalKind::kExit, to, 0, std::move(reason));
}

Self::ExitAwaiter Self::ExitSelf(ExitReason reason) { return {p_, std::move(reason)}; }
void Self::ExitAwaiter::await_suspend(std::coroutine_handle<>) {
  p->SetPendingExit(std::move(reason));
}

absl::StatusOr<SpawnResult> Self::Spawn(ProcessMain main, SpawnOptions options) {
  return p_->rt_->SpawnFrom(p_, std::move(main), std::move(options));
}

// -------------------------------------------------------------------- time

Self::SleepAwaiter Self::Sleep(absl::Duration d) { return SleepAwaiter(p_, Now() + d, false); }
Self::SleepAwaiter Self::Yield() { return SleepAwaiter(p_, Instant::Infinite(), true); }

void Self::SleepAwaiter::await_suspend(std::coroutine_handle<> h) {
  p_->ArmWait(yield_ ? Process::Wait::kYield : Process::Wait::kTimer, 0, until_, h);
  if (yield_) p_->budget_ = 0;
}
void Self::SleepAwaiter::await_resume() { p_->timed_out_ = false; }

Ref Self::StartTimer(absl::Duration d, Payload payload) {
  Ref ref = p_->rt_->NextRef();
  p_->tables().timers[ref] = p_->rt_->timers().ScheduleAt(
      Now() + d, [rt = p_->rt_, to = pid(), ref, payload = std::move(payload)] {
        SignalPtr s = MakeSignal(SignalKind::kTimeout, to, payload);
        s->from = to;
        s->ref = ref;
        rt->Enqueue(std::move(s));
      });
  return ref;
}

bool Self::CancelTimer(Ref ref, bool flush) {
  Timers::Id* id = p_->tables().timers.Find(ref);
  if (id) {
    // If it is firing right now its signal finds no entry and is dropped.
    p_->rt_->timers().Cancel(*id);
    p_->tables().timers.Erase(ref);
    return true;
  }
  if (flush) TakeIf([ref](const Message& m) { return m.is_timeout() && m.ref() == ref; });
  return false;
}

// ------------------------------------------------------------------- names

Pid Self::AddressOf(const NameAt& at) const { return p_->rt_->AddressOf(at); }
bool Self::Register(const std::string& name) { return p_->rt_->Register(name, pid()); }
bool Self::Unregister(const std::string& name) { return p_->rt_->Unregister(name); }

// ---------------------------------------------------------------- blocking

namespace internal {

Ref StartBlocking(Process* p, std::function<void()> job) {
  Ref ref = p->rt_->NextRef();
  p->rt_->RunBlocking([job = std::move(job), origin = p->origin_, rt = p->rt_, to = p->pid(), ref] {
    {
      WorkingFor working(origin.get());
      job();
    }
    auto s = std::make_unique<Signal>(SignalKind::kWake);
    s->to = to;
    s->ref = ref;
    rt->Enqueue(std::move(s));
  });
  return ref;
}

// The job's wake-up cannot be handled before this: signals are only taken by the worker that runs
// us.
void BlockingAwaiter::await_suspend(std::coroutine_handle<> h) {
  p->blocking_done_ = false;
  p->ArmWait(Process::Wait::kBlocking, ref, Instant::Infinite(), h);
}
void BlockingAwaiter::await_resume() { p->blocking_done_ = false; }

}  // namespace internal
}  // namespace banyan
