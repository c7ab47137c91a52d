#include "server/behaviours/behaviour.h"

#include <utility>

#include "common/base/error.h"
#include "server/behaviours/module.h"
#include "server/behaviours/sys.h"
#include "server/runtime/crash_reason.h"

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

namespace {

// What the loop of one process keeps beside the behaviour itself.
struct Loop {
  Self& self;
  Behaviour& behaviour;
  const StartContext& context;
  const Pid parent;
  bool suspended = false;

  bool IsParentExit(const Message& m) const {
    return m.is_exit() && parent && (m.from() == parent || m.from() == self.parent());
  }
  void ReportCrash(const ExitReason& reason) const {
    ProcessReports* reports = HostOf(self.runtime()).reports;
    if (reports && reason.abnormal()) reports->OnCrash(self.pid(), context.module, reason);
  }
};

absl::StatusOr<Payload> ReplaceState(Loop& loop, const SysRequest& request) {
  absl::StatusOr<Payload> state = loop.behaviour.GetState();
  if (!state.ok()) return state.status();
  absl::StatusOr<Payload> changed = Payload();
  try {
    changed = request.replace ? request.replace(*state) : request.payload;
  } catch (...) {
    ExitReason why = CrashReason(std::current_exception());
    return MakeError("STATE_INVALID", "the replacing function failed: " + why.ToString(), {}, why);
  }
  if (!changed.ok()) return changed.status();
  absl::Status status = loop.behaviour.ReplaceState(*changed);
  if (!status.ok()) return status;
  return changed;
}

Task<absl::StatusOr<Payload>> ChangeCode(Loop& loop, Payload extra) {
  if (!loop.suspended) {
    co_return MakeError("NOT_SUSPENDED",
                        "code is changed only while the process is suspended: suspend it first");
  }
  try {
    absl::Status status = co_await loop.behaviour.OnCodeChange({.extra = std::move(extra)});
    if (!status.ok()) co_return status;
    co_return Payload();
  } catch (...) {
    ExitReason why = CrashReason(std::current_exception());
    co_return MakeError("CODE_CHANGE_FAILED", "the code change failed: " + why.ToString(), {}, why);
  }
}

absl::StatusOr<Payload> Status(Loop& loop) {
  SysStatus status;
  status.pid = loop.self.pid();
  status.module = loop.context.module;
  status.suspended = loop.suspended;
  status.parent = loop.parent;
  try {
    if (absl::StatusOr<Payload> state = loop.behaviour.GetState(); state.ok())
      status.view.state = *std::move(state);
    loop.behaviour.FormatStatus(status.view);
  } catch (...) {
    status.note = "format_status failed";
  }
  status.state = status.view.state;
  return Payload::Local(std::move(status));
}

absl::StatusOr<Payload> State(Loop& loop) {
  try {
    return loop.behaviour.GetState();
  } catch (...) {
    ExitReason why = CrashReason(std::current_exception());
    return MakeError("STATE_NOT_ACCESSIBLE", "get_state failed: " + why.ToString(), {}, why);
  }
}

// Serves one system request. Returns a reason if the process must end.
Task<std::optional<ExitReason>> ServeOne(Loop& loop, Message message) {
  const CallFrom from = message.call_from();
  const SysRequest* request = message.payload().As<SysRequest>();
  absl::StatusOr<Payload> answer = Payload();
  std::optional<ExitReason> stop;
  if (!request) {
    answer = MakeError("CALL_NOT_HANDLED", "not a system request",
                       {{"type", std::string(message.payload().type_name())}});
  } else {
    switch (request->op) {
      case SysRequest::Op::kGetState:
        answer = State(loop);
        break;
      case SysRequest::Op::kReplaceState:
        answer = ReplaceState(loop, *request);
        break;
      case SysRequest::Op::kGetStatus:
        answer = Status(loop);
        break;
      case SysRequest::Op::kSuspend:
        loop.suspended = true;
        break;
      case SysRequest::Op::kResume:
        loop.suspended = false;
        break;
      case SysRequest::Op::kChangeCode:
        answer = co_await ChangeCode(loop, request->payload);
        break;
      case SysRequest::Op::kTerminate:
        stop = request->reason;
        break;
    }
  }
  if (answer.ok()) {
    loop.self.Answer(from, *std::move(answer));
  } else {
    loop.self.AnswerError(from, answer.status());
  }
  co_return stop;
}

// Serves `message` and, while the process is suspended, what else is served then.
Task<std::optional<ExitReason>> ServeSystem(Loop& loop, Message message) {
  std::optional<ExitReason> stop = co_await ServeOne(loop, std::move(message));
  while (loop.suspended && !stop) {
    std::optional<Message> next = co_await loop.self.ReceiveIf(
        [&loop](const Message& m) { return m.is_system() || loop.IsParentExit(m); });
    if (next->is_system()) {
      stop = co_await ServeOne(loop, *std::move(next));
    } else {
      stop = next->reason();
    }
  }
  co_return stop;
}

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
                              std::shared_ptr<const StartContext> context, StartAck ack,
                              Pid parent, std::optional<Next> entered) {
  behaviour->Attach(&self, context.get());
  Loop loop{self, *behaviour, *context, parent};
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
        next = co_await behaviour->OnContinue(std::move(argument));
        continue;
      }
      const Instant deadline = next.timeout == absl::InfiniteDuration() ? Instant::Infinite()
                                                                        : self.Now() + next.timeout;
      std::optional<Message> message = co_await self.Receive(deadline);
      if (!message) {
        next = co_await behaviour->OnTimeout();
      } else if (message->is_system()) {
        // `next` stays, so a timeout starts again in full.
        next.stop = co_await ServeSystem(loop, *std::move(message));
      } else if (loop.IsParentExit(*message)) {
        next.stop = message->reason();
      } else if (Expired(loop, *message)) {
        self.AnswerError(message->call_from(),
                         MakeError("CALL_EXPIRED", "the caller's deadline has passed"));
      } else {
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
