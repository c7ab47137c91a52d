#include "server/behaviours/behaviour.h"

#include <utility>

#include "common/base/error.h"
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

// What the loop of one process keeps beside the behaviour itself.
struct Loop {
  Self& self;
  Behaviour& behaviour;
  const StartContext& context;

  void ReportCrash(const ExitReason& reason) const {
    ProcessReports* reports = HostOf(self.runtime()).reports;
    if (reports && reason.abnormal()) reports->OnCrash(self.pid(), context.module, reason);
  }
};

Task<ExitReason> Terminate(Loop& loop, ExitReason reason) {
  try {
    co_await loop.behaviour.OnTerminate(reason);
  } catch (...) {
    reason = CrashReason(std::current_exception());
  }
  loop.behaviour.OnTerminated();
  loop.ReportCrash(reason);
  co_return reason;
}

// Whether the process runs; `next` is then what comes first, else `end` is the reason to end with.
Task<bool> Initialise(Loop& loop, std::vector<Payload> args, StartAck ack, Next* next,
                      ExitReason* end) {
  std::optional<ExitReason> failure;
  try {
    Initialised init = co_await loop.behaviour.OnInit(std::move(args));
    switch (init.kind) {
      case Initialised::Kind::kOk:
        ack.Started(std::move(init.info));
        *next = std::move(init.next);
        co_return true;
      case Initialised::Kind::kIgnore:
        ack.Ignored();
        *end = ExitReason::Normal();
        co_return false;
      case Initialised::Kind::kStop:
        failure = std::move(init.reason);
        break;
    }
  } catch (...) {
    failure = CrashReason(std::current_exception());
  }
  *end = *std::move(failure);
  loop.ReportCrash(*end);
  ack.Failed(*end);
  co_return false;
}

bool Expired(const Loop& loop, const Message& m) {
  return m.is_call() && !m.deadline().infinite() && loop.self.Now() > m.deadline();
}

}  // namespace

Task<ExitReason> RunBehaviour(Self& self, std::unique_ptr<Behaviour> behaviour,
                              std::vector<Payload> args,
                              std::shared_ptr<const StartContext> context, StartAck ack, Pid parent,
                              std::optional<Next> entered) {
  behaviour->Attach(&self, context.get());
  SysServer sys(self, *behaviour, *context, parent);
  Loop loop{self, *behaviour, *context};
  Next next;
  ExitReason end;
  if (entered) {
    next = *std::move(entered);
  } else {
    bool runs = co_await Initialise(loop, std::move(args), std::move(ack), &next, &end);
    if (!runs) co_return end;
  }
  while (!next.stop) {
    try {
      if (next.continuation) {
        Payload argument = *std::move(next.continuation);
        if (behaviour->debugging()) [[unlikely]] {
          SysEvent event = SysEvent::Of(SysEvent::Kind::kContinue);
          event.content = argument;
          behaviour->Debug(event);
        }
        next = co_await behaviour->OnContinue(std::move(argument));
        continue;
      }
      const Instant deadline = next.timeout == absl::InfiniteDuration() ? Instant::Infinite()
                                                                        : self.Now() + next.timeout;
      std::optional<Message> message = co_await self.Receive(deadline);
      if (!message) {
        if (behaviour->debugging()) [[unlikely]]
          behaviour->Debug(
              behaviour->InEvent(Message(std::make_unique<Signal>(SignalKind::kTimeout))));
        next = co_await behaviour->OnTimeout();
      } else if (message->is_system()) {
        // `next` stays, so a timeout starts again in full.
        next.stop = co_await sys.Serve(*std::move(message));
      } else if (sys.IsParentExit(*message)) {
        next.stop = message->reason();
      } else if (Expired(loop, *message)) {
        self.AnswerError(message->call_from(),
                         MakeError("CALL_EXPIRED", "the caller's deadline has passed"));
      } else {
        if (behaviour->debugging()) [[unlikely]]
          behaviour->Debug(behaviour->InEvent(*message));
        next = co_await behaviour->OnMessage(*std::move(message));
      }
    } catch (...) {
      next.stop = CrashReason(std::current_exception());
    }
  }
  end = co_await Terminate(loop, *std::move(next.stop));
  co_return end;
}

}  // namespace banyan
