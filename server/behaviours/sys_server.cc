#include "server/behaviours/sys_server.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/behaviours/module.h"
#include "server/behaviours/sys_debug_state.h"
#include "server/runtime/crash_reason.h"
#include "server/runtime/process.h"

namespace banyan {
namespace {

uint64_t Reductions(const Self& self) {
  return self.process()->handled_.load(std::memory_order_relaxed);
}
absl::Time WallNow(const Self& self) { return self.runtime().clock().WallNow(); }

absl::Status Failed(const char* word, const char* what) {
  ExitReason why = CrashReason(std::current_exception());
  return MakeError(word, fmt::format("{} failed: {}", what, why.ToString()), {}, why);
}

}  // namespace

absl::StatusOr<Payload> SysServer::State() {
  try {
    return behaviour_.GetState();
  } catch (...) {
    return Failed("STATE_NOT_ACCESSIBLE", "get_state");
  }
}

absl::StatusOr<Payload> SysServer::ReplaceState(const SysRequest& request) {
  absl::StatusOr<Payload> state = State();
  if (!state.ok()) return state.status();
  absl::StatusOr<Payload> changed = request.payload;
  try {
    if (request.replace) changed = request.replace(*state);
    if (!changed.ok()) return changed.status();
    absl::Status status = behaviour_.ReplaceState(*changed);
    if (!status.ok()) return status;
  } catch (...) {
    return Failed("STATE_INVALID", "replacing the state");
  }
  return changed;
}

Task<absl::StatusOr<Payload>> SysServer::ChangeCode(CodeChange change) {
  if (!suspended_) {
    co_return MakeError("NOT_SUSPENDED",
                        "code is changed only while the process is suspended: suspend it first");
  }
  try {
    absl::Status status = co_await behaviour_.OnCodeChange(std::move(change));
    if (!status.ok()) co_return status;
    co_return Payload();
  } catch (...) {
    co_return Failed("CODE_CHANGE_FAILED", "the code change");
  }
}

StatusView SysServer::ViewOf(Behaviour& behaviour, StatusView view, std::string* note) {
  if (behaviour.debug_) view.log = behaviour.debug_->Logged();
  auto last = std::find_if(view.log.rbegin(), view.log.rend(),
                           [](const SysEvent& e) { return e.kind == SysEvent::Kind::kIn; });
  if (view.reason && last != view.log.rend()) view.message = last->content;
  try {
    if (absl::StatusOr<Payload> state = behaviour.GetState(); state.ok())
      view.state = *std::move(state);
    StatusView formatted = view;
    behaviour.FormatStatus(formatted);
    return formatted;
  } catch (...) {
    *note = "format_status failed: " + CrashReason(std::current_exception()).ToString();
    StatusView hidden;  // FormatStatus may be there to hide secrets
    hidden.reason = std::move(view.reason);
    return hidden;
  }
}

SysStatus SysServer::Status() {
  SysStatus status;
  status.pid = self_.pid();
  status.engine = behaviour_.engine();
  status.module = context_.module;
  status.name = context_.name;
  status.suspended = suspended_;
  status.parent = parent_;
  status.ancestors = self_.runtime().AncestorsOf(self_.pid());
  status.header = fmt::format("Status for {} {}", behaviour_.engine(), behaviour_.DisplayName());
  if (behaviour_.debug_) status.debug = behaviour_.debug_->Describe();
  status.view = ViewOf(behaviour_, {}, &status.note);
  status.state = status.view.state;
  return status;
}

absl::StatusOr<Payload> SysServer::Debug(const DebugOption& option) {
  SysDebug* on = behaviour_.debug_.get();
  switch (option.kind) {
    case DebugOption::Kind::kLogGet:
      return Payload::Local(on ? on->Logged() : std::vector<SysEvent>());
    case DebugOption::Kind::kLogPrint:
      for (const SysEvent& event : on ? on->Logged() : std::vector<SysEvent>())
        PrintEvent(event, {self_.pid(), context_.name, behaviour_});
      return Payload();
    case DebugOption::Kind::kStatisticsGet: {
      std::optional<SysStatistics> out;
      if (on && on->statistics()) {
        const SysDebug::Statistics& s = *on->statistics();
        out = SysStatistics{s.start, WallNow(self_), Reductions(self_) - s.reductions_at_start,
                            s.messages_in, s.messages_out};
      }
      return Payload::Local(std::move(out));
    }
    default:
      break;
  }
  absl::Status status = behaviour_.SetDebug(option);
  if (!status.ok()) return status;
  return Payload();
}

Task<std::optional<ExitReason>> SysServer::ServeOne(Message message) {
  const CallFrom from = message.call_from();
  const SysRequest* request = message.payload().As<SysRequest>();
  absl::StatusOr<Payload> answer = Payload();
  std::optional<ExitReason> stop;
  if (!request) {
    answer = MakeError("CALL_NOT_HANDLED", "unknown system request",
                       {{"type", std::string(message.payload().type_name())}});
  } else {
    switch (request->op) {
      case SysRequest::Op::kGetState:
        answer = State();
        break;
      case SysRequest::Op::kReplaceState:
        answer = ReplaceState(*request);
        break;
      case SysRequest::Op::kGetStatus:
        answer = Payload::Local(Status());
        break;
      case SysRequest::Op::kSuspend:
      case SysRequest::Op::kResume:
        suspended_ = request->op == SysRequest::Op::kSuspend;
        self_.ShowSuspended(suspended_);
        break;
      case SysRequest::Op::kChangeCode:
        answer = co_await ChangeCode(request->change);
        break;
      case SysRequest::Op::kTerminate:
        stop = request->reason;
        break;
      case SysRequest::Op::kDebug:
        answer = Debug(request->debug);
        break;
    }
  }
  if (answer.ok()) {
    self_.Answer(from, *std::move(answer));
  } else {
    self_.Refuse(from, answer.status());
  }
  co_return stop;
}

Task<std::optional<ExitReason>> SysServer::Serve(Message message) {
  std::optional<ExitReason> stop = co_await ServeOne(std::move(message));
  while (suspended_ && !stop) {
    std::optional<Message> next = co_await self_.ReceiveIf(
        [this](const Message& m) { return m.is_system() || IsParentExit(m); });
    if (next->is_system()) {
      stop = co_await ServeOne(*std::move(next));
    } else {
      stop = next->reason();
    }
  }
  co_return stop;
}

}  // namespace banyan
