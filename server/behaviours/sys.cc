#include "server/behaviours/sys.h"

#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/runtime/call_error.h"

namespace banyan {

SysRequest SysRequest::Of(Op op) {
  SysRequest request;
  request.op = op;
  return request;
}

SysRequest SysRequest::Of(DebugOption option) {
  SysRequest request = Of(Op::kDebug);
  request.debug = std::move(option);
  return request;
}

}  // namespace banyan

namespace banyan::sys {
namespace {

absl::Status CallingSelf() {
  return MakeError("CALLING_SELF",
                   "a process cannot send itself a system request: it would wait for ever");
}

Task<absl::StatusOr<Payload>> Ask(Self& self, Pid target, SysRequest request,
                                  absl::Duration timeout) {
  if (target == self.pid()) co_return CallingSelf();
  Ref alias = self.SendRequest(target, Payload::Local(std::move(request)), SignalKind::kSystem);
  CallReply reply = co_await self.AwaitReply(alias, self.Now() + timeout);
  co_return ToCallResult(std::move(reply), target, timeout);
}

Task<absl::Status> AskOk(Self& self, Pid target, SysRequest request, absl::Duration timeout) {
  absl::StatusOr<Payload> answer = co_await Ask(self, target, std::move(request), timeout);
  co_return answer.status();
}

// An answer that is a local value.
template <typename T>
Task<absl::StatusOr<T>> AskFor(Self& self, Pid target, SysRequest request, absl::Duration timeout) {
  absl::StatusOr<Payload> answer = co_await Ask(self, target, std::move(request), timeout);
  if (!answer.ok()) co_return answer.status();
  const T* value = answer->As<T>();
  if (!value) {
    co_return MakeError("CALL_NOT_HANDLED", "not a process that answers system requests",
                        {{"type", ""}});
  }
  co_return *value;
}

}  // namespace

Task<absl::StatusOr<Payload>> GetState(Self& self, Pid target, absl::Duration timeout) {
  return Ask(self, target, SysRequest::Of(SysRequest::Op::kGetState), timeout);
}

Task<absl::StatusOr<Payload>> ReplaceState(
    Self& self, Pid target, std::function<absl::StatusOr<Payload>(const Payload&)> replace,
    absl::Duration timeout) {
  SysRequest request = SysRequest::Of(SysRequest::Op::kReplaceState);
  request.replace = std::move(replace);
  return Ask(self, target, std::move(request), timeout);
}

Task<absl::StatusOr<SysStatus>> GetStatus(Self& self, Pid target, absl::Duration timeout) {
  return AskFor<SysStatus>(self, target, SysRequest::Of(SysRequest::Op::kGetStatus), timeout);
}

Task<absl::Status> Suspend(Self& self, Pid target, absl::Duration timeout) {
  return AskOk(self, target, SysRequest::Of(SysRequest::Op::kSuspend), timeout);
}
Task<absl::Status> Resume(Self& self, Pid target, absl::Duration timeout) {
  return AskOk(self, target, SysRequest::Of(SysRequest::Op::kResume), timeout);
}
Task<absl::Status> ChangeCode(Self& self, Pid target, CodeChange change, absl::Duration timeout) {
  SysRequest request = SysRequest::Of(SysRequest::Op::kChangeCode);
  request.change = std::move(change);
  return AskOk(self, target, std::move(request), timeout);
}
Task<absl::Status> Terminate(Self& self, Pid target, ExitReason reason, absl::Duration timeout) {
  SysRequest request = SysRequest::Of(SysRequest::Op::kTerminate);
  request.reason = std::move(reason);
  return AskOk(self, target, std::move(request), timeout);
}

Task<absl::Status> Debug(Self& self, Pid target, DebugOption option, absl::Duration timeout) {
  return AskOk(self, target, SysRequest::Of(std::move(option)), timeout);
}
Task<absl::StatusOr<std::vector<SysEvent>>> GetLog(Self& self, Pid target, absl::Duration timeout) {
  return AskFor<std::vector<SysEvent>>(
      self, target, SysRequest::Of(DebugOption::Of(DebugOption::Kind::kLogGet)), timeout);
}
Task<absl::StatusOr<std::optional<SysStatistics>>> GetStatistics(Self& self, Pid target,
                                                                 absl::Duration timeout) {
  return AskFor<std::optional<SysStatistics>>(
      self, target, SysRequest::Of(DebugOption::Of(DebugOption::Kind::kStatisticsGet)), timeout);
}

Task<absl::Status> Stop(Self& self, Pid target, ExitReason reason, absl::Duration timeout) {
  if (target == self.pid()) co_return CallingSelf();
  SysRequest request = SysRequest::Of(SysRequest::Op::kTerminate);
  request.reason = reason;
  const Ref monitor = self.Monitor(target);
  const Ref alias =
      self.SendRequestToMailbox(target, Payload::Local(std::move(request)), SignalKind::kSystem);
  // It ends, or the request is refused: system requests do not reach other nodes.
  std::optional<Message> down = co_await self.ReceiveIf(
      [monitor, alias](const Message& m) {
        return (m.is_down() && m.ref() == monitor) ||
               (m.is_reply() && m.ref() == alias && !m.status().ok());
      },
      self.Now() + timeout);
  self.CloseAlias(alias);
  const std::optional<Message> answer = self.TakeIf(
      [alias](const Message& m) { return m.ref() == alias && (m.is_reply() || m.is_down()); });
  if (down && down->is_reply()) {
    self.Demonitor(monitor);
    co_return down->status();
  }
  if (!down) {
    self.Demonitor(monitor);
    co_return MakeError("CALL_TIMEOUT", fmt::format("{} has not ended in time", FormatPid(target)),
                        {{"timeoutMs", fmt::format("{}", absl::ToInt64Milliseconds(timeout))}});
  }
  // `noproc` may also be the reason that was asked for: then the request has been answered.
  const bool nobody =
      down->reason().kind() == ExitReason::Kind::kNoProc && !(answer && answer->is_reply());
  if (down->reason() == reason && !nobody) co_return absl::OkStatus();
  if (nobody) {
    co_return MakeError("NOPROC", fmt::format("there is no process {}", FormatPid(target)),
                        {{"target", FormatPid(target)}});
  }
  co_return MakeError(
      "CALLEE_EXITED",
      fmt::format("{} ended with another reason: {}", FormatPid(target), down->reason().ToString()),
      {}, down->reason());
}

void Request(Runtime& runtime, Pid target, SysRequest request, Instant deadline,
             Runtime::CallDone done) {
  runtime.Call(target, Payload::Local(std::move(request)), deadline, std::move(done),
               {.kind = SignalKind::kSystem});
}

}  // namespace banyan::sys
