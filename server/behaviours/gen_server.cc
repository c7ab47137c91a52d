#include "server/behaviours/gen_server.h"

#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/behaviours/module.h"

namespace banyan {

GenServer::~GenServer() {
  // Ended inside Terminate by exit/1: the reply is still owed.
  SendPendingReply();
}

GenServer::CallResult GenServer::NotHandled(const Payload& request) {
  std::string type(request.type_name());
  return Refuse(MakeError(
      "CALL_NOT_HANDLED",
      fmt::format("this server has no handler for {}", type.empty() ? "such a request" : type),
      {{"type", type}}));
}

Task<GenServer::Result> GenServer::HandleInfo(Message message) {
  if (ProcessReports* reports = host().reports) {
    reports->OnWarning(self().pid(), context().module,
                       fmt::format("unexpected message {} dropped", message.payload().type_name()));
  }
  return NoReply();
}

Task<GenServer::Result> GenServer::HandleContinue(Payload argument) {
  return Stop(ExitReason::Error("undef", "the server asked to continue but has no HandleContinue"));
}

Task<Initialised> GenServer::OnInit(std::vector<Payload> args) {
  Task<InitResult> init = Init(std::move(args));
  if (init.ready()) return std::move(init.Result().value_);
  return FinishInit(std::move(init));
}

Task<Initialised> GenServer::FinishInit(Task<InitResult> init) {
  InitResult result = co_await InitSteps::Guard(
      std::move(init), steps_,
      [](const InitResult& result) { return result.value_.kind == Initialised::Kind::kOk; });
  co_return std::move(result.value_);
}

InitSteps& GenServer::steps() {
  if (!steps_) steps_ = std::make_unique<InitSteps>(&self(), context().module);
  return *steps_;
}

Task<Next> GenServer::OnMessage(Message message) {
  switch (message.kind()) {
    case SignalKind::kCall:
      return OnCall(std::move(message));
    case SignalKind::kCast: {
      SignalPtr signal = std::move(message).Release();
      return FinishStep(HandleCast(std::move(signal->payload)));
    }
    default:
      return FinishStep(HandleInfo(std::move(message)));
  }
}

Task<Next> GenServer::OnCall(Message message) {
  const CallFrom from = message.call_from();
  SignalPtr signal = std::move(message).Release();
  Task<CallResult> result = HandleCall(std::move(signal->payload), from);
  if (result.ready()) return Finish(result.Result(), from);
  return FinishLater(std::move(result), from);
}

Task<Next> GenServer::FinishLater(Task<CallResult> task, CallFrom from) {
  CallResult result = co_await std::move(task);
  co_return Finish(std::move(result), from);
}

Next GenServer::Finish(CallResult result, const CallFrom& from) {
  if (debugging()) [[unlikely]] {
    if (result.replies_) Debug(SysEvent::Out(result.reply_, from.caller));
    if (!result.replies_ && !result.next_.stop) Debug(SysEvent::Of(SysEvent::Kind::kNoReply));
  }
  if (result.replies_) {
    if (result.next_.stop) {
      pending_reply_ = std::make_unique<PendingReply>(PendingReply{from, std::move(result.reply_)});
    } else if (result.error_.ok()) {
      self().Answer(from, std::move(result.reply_));
    } else {
      self().Refuse(from, std::move(result.error_));
    }
  }
  return std::move(result.next_);
}

void GenServer::SendPendingReply() {
  if (auto reply = std::exchange(pending_reply_, nullptr))
    self().Answer(reply->to, std::move(reply->reply));
}

Task<Next> GenServer::FinishStep(Task<Result> task) {
  if (task.ready()) return Finish(task.Result());
  return FinishLater(std::move(task));
}

Next GenServer::Finish(Result result) {
  if (debugging() && !result.next_.stop) [[unlikely]]
    Debug(SysEvent::Of(SysEvent::Kind::kNoReply));
  return std::move(result.next_);
}

Task<Next> GenServer::FinishLater(Task<Result> task) {
  Result result = co_await std::move(task);
  co_return Finish(std::move(result));
}

Task<Next> GenServer::OnTimeout() {
  return FinishStep(HandleInfo(Message(std::make_unique<Signal>(SignalKind::kTimeout))));
}

Task<Next> GenServer::OnContinue(Payload argument) {
  return FinishStep(HandleContinue(std::move(argument)));
}

}  // namespace banyan
