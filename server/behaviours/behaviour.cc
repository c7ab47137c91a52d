#include "server/behaviours/behaviour.h"

#include <utility>

#include "common/base/error.h"
#include "common/base/mutant.h"
#include "common/base/slab.h"
#include "server/behaviours/crash_report.h"
#include "server/behaviours/module.h"
#include "server/behaviours/sys_debug_state.h"
#include "server/behaviours/sys_server.h"
#include "server/runtime/crash_reason.h"
#include "server/runtime/process.h"

namespace banyan {

Behaviour::Behaviour() = default;
Behaviour::~Behaviour() = default;

const Host& Behaviour::host() const { return HostOf(self_->runtime()); }

absl::StatusOr<Payload> Behaviour::GetState() {
  return MakeError("STATE_NOT_ACCESSIBLE", "this module does not show its state");
}
absl::Status Behaviour::ReplaceState(const Payload& state) {
  return MakeError("STATE_NOT_ACCESSIBLE", "this module does not let its state be replaced");
}
Task<absl::Status> Behaviour::OnCodeChange(CodeChange change) {
  return MakeError("CODE_CHANGE_UNSUPPORTED", "this module does not support code changes");
}

std::string Behaviour::DisplayName() const {
  return context_->name.empty() ? FormatPid(self_->pid()) : context_->name;
}

void Behaviour::Debug(const SysEvent& event) {
  debug_->Handle(event, DebugInfo{self_->pid(), context_->name, *this});
  if (!debug_->any()) debug_ = nullptr;
}

absl::Status Behaviour::SetDebug(const DebugOption& option) {
  if (!debug_) debug_ = std::make_unique<SysDebug>();
  absl::Status status = debug_->Set(option, self_->runtime().clock().WallNow(),
                                    self_->process()->handled_.load(std::memory_order_relaxed));
  if (!debug_->any()) debug_ = nullptr;
  return status;
}

void Behaviour::StartDebug(const DebugOption& option) {
  absl::Status status = SetDebug(option);
  ProcessReports* reports = host().reports;
  if (status.ok() || !reports) return;
  reports->OnWarning(self_->pid(), context_->module,
                     "debug option ignored: " + std::string(status.message()));
}

namespace {

// What the loop of one process keeps while it waits, which is most of the memory of an idle
// process: what is needed for one step only is in functions that are no coroutines, or have ended.
struct Loop : InSlab {
  Loop(Self& s, std::unique_ptr<Behaviour> b, std::shared_ptr<const StartContext> c, Pid p)
      : self(s),
        context(std::move(c)),
        parent(p),
        behaviour(std::move(b)),
        sys(self, *behaviour, *context, parent) {}

  Self& self;
  const std::shared_ptr<const StartContext> context;
  const Pid parent;
  const std::unique_ptr<Behaviour> behaviour;
  SysServer sys;
  std::optional<Message> message;
  Next next;
  ExitReason end;  // when nothing is left to be done

  Instant Deadline() const {
    return next.timeout == absl::InfiniteDuration() ? Instant::Infinite()
                                                    : self.Now() + next.timeout;
  }
  ProcessReports* reports() const { return HostOf(self.runtime()).reports; }
  // What the report of the end will show, if there will be one.
  StatusView ViewForReport() const {
    if (!reports() || end.clean()) return {};
    StatusView view;
    view.reason = end;
    std::string note;
    view = SysServer::ViewOf(*behaviour, std::move(view), &note);
    if (!note.empty()) view.items["note"] = std::move(note);
    return view;
  }
  void ReportCrash(StatusView view = {}) const {
    if (!reports() || end.clean()) return;
    reports()->OnCrashReport(
        {self.pid(), context->module, context->name, behaviour->engine(), end, std::move(view)});
  }
};

Task<void> Terminate(Loop& loop) {
  loop.end = *std::move(loop.next.stop);
  // Now, for OnTerminate may give away what GetState() needs.
  StatusView view = loop.ViewForReport();
  try {
    co_await loop.behaviour->OnTerminate(loop.end);
  } catch (...) {
    loop.end = CrashReason(std::current_exception());
  }
  loop.behaviour->OnTerminated();
  loop.ReportCrash(std::move(view));
}

// Whether the process runs; `next` is then what comes first, else `end` is the reason to end with.
Task<bool> Initialise(Loop& loop, std::vector<Payload> args, StartAck ack) {
  std::optional<ExitReason> failure;
  try {
    Initialised init = co_await loop.behaviour->OnInit(std::move(args));
    switch (init.kind) {
      case Initialised::Kind::kOk:
        ack.Started(std::move(init.info));
        loop.next = std::move(init.next);
        co_return true;
      case Initialised::Kind::kIgnore:
        ack.Ignored();
        loop.end = ExitReason::Normal();
        co_return false;
      case Initialised::Kind::kStop:
        failure = std::move(init.reason);
        break;
    }
  } catch (...) {
    failure = CrashReason(std::current_exception());
  }
  loop.end = *std::move(failure);
  loop.ReportCrash();
  ack.Failed(loop.end);
  co_return false;
}

Task<Next> ServeSystem(Loop& loop, Message request) {
  loop.next.stop = co_await loop.sys.Serve(std::move(request));
  co_return std::move(loop.next);
}

// The callback for what has come: a message or, without one, the end of the wait.
Task<Next> OnMessage(Loop& loop, std::optional<Message> message) {
  Behaviour& behaviour = *loop.behaviour;
  if (!message) {
    if (behaviour.debugging()) [[unlikely]]
      behaviour.Debug(behaviour.InEvent(Message(std::make_unique<Signal>(SignalKind::kTimeout))));
    return behaviour.OnTimeout();
  }
  // After a system request `next` stays, so a timeout starts again in full.
  if (message->is_system()) return ServeSystem(loop, *std::move(message));
  if (loop.sys.IsParentExit(*message)) return Next::Stop(message->reason());
  if (message->is_call() && loop.self.TakeCancelled(*message)) return std::move(loop.next);
  if (message->expires() && loop.self.Now() > message->deadline() && !Mutant("late-call-runs")) {
    loop.self.Refuse(message->call_from(),
                     MakeError("CALL_EXPIRED", "the caller's deadline has passed"));
    return std::move(loop.next);
  }
  if (behaviour.debugging()) [[unlikely]]
    behaviour.Debug(behaviour.InEvent(*message));
  return behaviour.OnMessage(*std::move(message));
}

Task<Next> OnContinue(Behaviour& behaviour, Payload argument) {
  if (behaviour.debugging() && behaviour.continue_is_event()) [[unlikely]] {
    SysEvent event = SysEvent::Of(SysEvent::Kind::kContinue);
    event.content = argument;
    behaviour.Debug(event);
  }
  return behaviour.OnContinue(std::move(argument));
}

[[gnu::noinline]] Task<Next> Step(Loop& loop) {
  if (loop.next.continuation)
    return OnContinue(*loop.behaviour, *std::exchange(loop.next.continuation, std::nullopt));
  return OnMessage(loop, std::exchange(loop.message, std::nullopt));
}

Task<ExitReason> Serve(std::unique_ptr<Loop> loop, Task<bool> initialise) {
  if (!co_await std::move(initialise)) co_return std::move(loop->end);
  while (!loop->next.stop) {
    try {
      if (!loop->next.continuation) loop->message = co_await loop->self.Receive(loop->Deadline());
      loop->next = co_await Step(*loop);
    } catch (...) {
      loop->next.stop = CrashReason(std::current_exception());
    }
  }
  co_await Terminate(*loop);
  co_return std::move(loop->end);
}

}  // namespace

Task<ExitReason> RunBehaviour(Self& self, std::unique_ptr<Behaviour> behaviour,
                              std::vector<Payload> args,
                              std::shared_ptr<const StartContext> context, StartAck ack, Pid parent,
                              std::optional<Next> entered) {
  behaviour->Attach(&self, context.get());
  auto loop = std::make_unique<Loop>(self, std::move(behaviour), std::move(context), parent);
  Task<bool> initialise = true;
  if (entered) {
    loop->next = *std::move(entered);
  } else {
    initialise = Initialise(*loop, std::move(args), std::move(ack));
  }
  return Serve(std::move(loop), std::move(initialise));
}

}  // namespace banyan
