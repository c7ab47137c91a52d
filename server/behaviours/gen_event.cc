#include "server/behaviours/gen_event.h"

#include <algorithm>
#include <set>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/behaviours/gen_event_request.h"
#include "server/behaviours/module.h"
#include "server/runtime/crash_reason.h"

namespace banyan {
namespace {

using Result = EventHandler::Result;
using Op = GenEventRequest::Op;

absl::Status HandlerNotFound(const HandlerId& id) {
  return MakeError("HANDLER_NOT_FOUND",
                   fmt::format("the manager has no handler {}", FormatHandlerId(id)),
                   {{"handler", FormatHandlerId(id)}});
}

absl::Status HandlerFailed(const HandlerId& id, ExitReason why) {
  return MakeError("HANDLER_FAILED",
                   fmt::format("handler {} failed: {}", FormatHandlerId(id), why.ToString()),
                   {{"handler", FormatHandlerId(id)}}, why);
}

ExitReason ReasonOf(const absl::Status& failure) {
  return GetErrorInfo(failure)->exit_reason.value_or(ExitReason::Error("error"));
}

HandlerEnd EndWith(Payload args) { return {HandlerEnd::Kind::kArgs, std::move(args), {}}; }
HandlerEnd EndWith(HandlerEnd::Kind kind, ExitReason reason = {}) {
  return {kind, {}, std::move(reason)};
}

GenEventExit ExitOf(ExitReason reason) { return {{}, std::move(reason), std::nullopt}; }
GenEventExit SwappedFor(HandlerId by, Pid supervisor) {
  return {{}, ExitReason::Normal(), GenEventExit::Swapped{std::move(by), supervisor}};
}

}  // namespace

Task<Initialised> GenEvent::OnInit(std::vector<Payload> args) {
  self().SetTrapExit(true);
  return Initialised::Ok();
}

Task<Next> GenEvent::OnMessage(Message message) {
  // An exit from outside the runtime is from nobody, who supervises nothing.
  if (message.is_exit() && message.from())
    co_await EndSupervisedBy(message.from(), message.reason());
  if (message.is_call()) {
    const CallFrom from = message.call_from();
    if (const auto* request = message.payload().As<GenEventRequest>()) {
      co_await Serve(*request, from);
      co_return Next::Wait();
    }
    co_await ForEach([&](EventHandler& h) { return h.HandleEvent(message.payload()); });
    self().Answer(from, {});
  } else if (message.is_cast()) {
    co_await ForEach([&](EventHandler& h) { return h.HandleEvent(message.payload()); });
  } else {
    co_await ForEach([&](EventHandler& h) { return h.HandleInfo(message); });
  }
  co_return Next::Wait();
}

Task<void> GenEvent::Serve(GenEventRequest request, CallFrom from) {
  absl::StatusOr<Payload> answer = Payload();
  const bool supervised = request.op == Op::kAddSup || request.op == Op::kSwapSup;
  if (supervised) self().Link(from.caller);
  switch (request.op) {
    case Op::kAdd:
    case Op::kAddSup: {
      const Pid supervisor = supervised ? from.caller : Pid{};
      absl::Status added =
          co_await Install(0, request.handler, {std::move(request.args), {}}, supervisor);
      if (!added.ok()) answer = added;
      break;
    }
    case Op::kDelete:
      answer = co_await Delete(std::move(request));
      break;
    case Op::kSwap:
    case Op::kSwapSup: {
      absl::Status swapped = co_await Swap(std::move(request), from.caller);
      if (!swapped.ok()) answer = swapped;
      break;
    }
    case Op::kWhich: {
      std::vector<HandlerId> ids;
      for (const Installed& h : installed_) ids.push_back(h.id);
      answer = Payload::Local(std::move(ids));
      break;
    }
    case Op::kCall:
      answer = co_await CallHandler(std::move(request));
      break;
  }
  if (answer.ok()) {
    self().Answer(from, *std::move(answer));
  } else {
    self().Refuse(from, answer.status());
  }
}

Task<absl::StatusOr<Payload>> GenEvent::CallHandler(GenEventRequest request) {
  const size_t at = Find(request.handler);
  if (at == installed_.size()) co_return HandlerNotFound(request.handler);
  absl::StatusOr<Payload> reply = Payload();
  Result result;
  try {
    EventHandler::CallResult called =
        co_await installed_[at].handler->HandleCall(std::move(request.args));
    reply = std::move(called.reply);
    result = std::move(called.then);
  } catch (...) {
    result = EventHandler::Failing{CrashReason(std::current_exception())};
  }
  if (const auto* failing = std::get_if<EventHandler::Failing>(&result))
    reply = HandlerFailed(request.handler, failing->reason);
  co_await Settle(at, std::move(result));
  co_return reply;
}

Task<absl::StatusOr<Payload>> GenEvent::Delete(GenEventRequest request) {
  const size_t at = Find(request.handler);
  if (at == installed_.size()) co_return HandlerNotFound(request.handler);
  absl::StatusOr<Payload> result =
      co_await End(at, EndWith(std::move(request.args)), ExitOf(ExitReason::Normal()));
  co_return result;
}

Task<absl::Status> GenEvent::Swap(GenEventRequest request, Pid caller) {
  const size_t at = Find(request.handler);
  Pid supervisor = request.op == Op::kSwapSup ? caller : Pid{};
  absl::StatusOr<Payload> predecessor = Payload();
  if (at == installed_.size()) {
    predecessor = HandlerNotFound(request.handler);
  } else {
    if (request.op == Op::kSwap) supervisor = installed_[at].supervisor;
    predecessor =
        co_await End(at, EndWith(std::move(request.args)), SwappedFor(request.to, supervisor));
  }
  HandlerArgs args{std::move(request.to_args), std::move(predecessor)};
  absl::Status installed = co_await Install(0, std::move(request.to), std::move(args), supervisor);
  co_return installed;
}

Task<void> GenEvent::ForEach(std::function<Task<Result>(EventHandler&)> callback) {
  for (size_t at = 0; at < installed_.size();) {
    Result result;
    try {
      result = co_await callback(*installed_[at].handler);
    } catch (...) {
      result = EventHandler::Failing{CrashReason(std::current_exception())};
    }
    const bool stays = co_await Settle(at, std::move(result));
    if (stays) ++at;
  }
}

// Does what a callback of the handler at `at` wants; whether there is a handler at that place that
// has seen the event, or needs not.
Task<bool> GenEvent::Settle(size_t at, Result result) {
  if (std::holds_alternative<EventHandler::Okay>(result)) co_return true;
  if (std::holds_alternative<EventHandler::Removal>(result)) {
    (void)co_await End(at, EndWith(HandlerEnd::Kind::kRemoved), ExitOf(ExitReason::Normal()));
    co_return false;
  }
  if (auto* failing = std::get_if<EventHandler::Failing>(&result)) {
    if (host().reports)
      host().reports->OnHandlerCrash(self().pid(), FormatHandlerId(installed_[at].id),
                                     failing->reason);
    (void)co_await End(at, EndWith(HandlerEnd::Kind::kError, failing->reason),
                       ExitOf(failing->reason));
    co_return false;
  }
  auto& swap = std::get<EventHandler::Swap>(result);
  const Pid supervisor = installed_[at].supervisor;
  absl::StatusOr<Payload> predecessor =
      co_await End(at, EndWith(std::move(swap.args)), SwappedFor(swap.to, supervisor));
  HandlerArgs args{std::move(swap.to_args), std::move(predecessor)};
  absl::Status installed = co_await Install(at, swap.to, std::move(args), supervisor);
  if (installed.ok()) co_return true;
  const ExitReason why = ReasonOf(installed);
  if (host().reports) host().reports->OnHandlerCrash(self().pid(), FormatHandlerId(swap.to), why);
  if (supervisor) self().Send(supervisor, Payload::Local(GenEventExit{swap.to, why, {}}));
  co_return false;
}

absl::StatusOr<std::unique_ptr<EventHandler>> GenEvent::Make(const HandlerId& id) const {
  const EventHandlers::Factory* make = handlers_->Find(id.module);
  if (!make) {
    return HandlerFailed(id, ExitReason::Error(kUndef, fmt::format("there is no handler module "
                                                                   "\"{}\"",
                                                                   id.module)));
  }
  std::unique_ptr<EventHandler> handler = (*make)();
  handler->Attach(&self(), id);
  return handler;
}

Task<absl::Status> GenEvent::Install(size_t at, HandlerId id, HandlerArgs args, Pid supervisor) {
  try {
    absl::StatusOr<std::unique_ptr<EventHandler>> handler = Make(id);
    if (!handler.ok()) co_return handler.status();
    EventHandler::InitResult init = co_await (*handler)->Init(std::move(args));
    if (auto* failing = std::get_if<EventHandler::Failing>(&init))
      co_return HandlerFailed(id, std::move(failing->reason));
    installed_.insert(installed_.begin() + static_cast<ptrdiff_t>(at),
                      Installed{std::move(id), *std::move(handler), supervisor});
    co_return absl::OkStatus();
  } catch (...) {
    co_return HandlerFailed(id, CrashReason(std::current_exception()));
  }
}

// Takes the handler out, ends it and tells its supervising process `word`. What its Terminate
// returned.
Task<absl::StatusOr<Payload>> GenEvent::End(size_t at, HandlerEnd why, GenEventExit word) {
  Installed ended = std::move(installed_[at]);
  installed_.erase(installed_.begin() + static_cast<ptrdiff_t>(at));
  absl::StatusOr<Payload> result = Payload();
  try {
    result = co_await ended.handler->Terminate(std::move(why));
  } catch (...) {
    result = HandlerFailed(ended.id, CrashReason(std::current_exception()));
  }
  if (ended.supervisor) {
    word.handler = std::move(ended.id);
    self().Send(ended.supervisor, Payload::Local(std::move(word)));
  }
  co_return result;
}

Task<void> GenEvent::EndSupervisedBy(Pid supervisor, ExitReason reason) {
  for (size_t at = 0; at < installed_.size();) {
    if (installed_[at].supervisor != supervisor) {
      ++at;
      continue;
    }
    (void)co_await End(at, EndWith(HandlerEnd::Kind::kStopped, reason),
                       ExitOf(ExitReason::Shutdown()));
  }
}

// The links to supervising processes go first-hand, so that they hear of their handlers only. A
// parent that is one of them keeps its link.
Task<void> GenEvent::OnTerminate(ExitReason reason) {
  std::set<Pid> supervisors;
  while (!installed_.empty()) {
    if (installed_.front().supervisor) supervisors.insert(installed_.front().supervisor);
    (void)co_await End(0, EndWith(HandlerEnd::Kind::kStop), ExitOf(ExitReason::Shutdown()));
  }
  if (context().link || context().link_to) supervisors.erase(self().parent());
  for (Pid pid : supervisors) self().Unlink(pid);
}

size_t GenEvent::Find(const HandlerId& id) const {
  auto it = std::find_if(installed_.begin(), installed_.end(),
                         [&id](const Installed& h) { return h.id == id; });
  return static_cast<size_t>(it - installed_.begin());
}

// --------------------------------------------------------------------- sys

std::vector<HandlerState> GenEvent::States(absl::StatusOr<Payload> (EventHandler::*show)()) const {
  std::vector<HandlerState> states;
  for (const Installed& h : installed_) {
    absl::StatusOr<Payload> state = (h.handler.get()->*show)();
    states.push_back({h.id, state.ok() ? *std::move(state) : Payload()});
  }
  return states;
}

absl::StatusOr<Payload> GenEvent::GetState() {
  return Payload::Local(States(&EventHandler::GetState));
}
void GenEvent::FormatStatus(StatusView& view) {
  view.state = Payload::Local(States(&EventHandler::FormatStatus));
}

absl::Status GenEvent::ReplaceState(const Payload& state) {
  const auto* states = state.As<std::vector<HandlerState>>();
  if (!states || states->size() != installed_.size())
    return MakeError("STATE_INVALID", "a manager's state is the list of its handlers' states");
  for (size_t i = 0; i < installed_.size(); ++i) {
    if ((*states)[i].id != installed_[i].id) continue;
    // One that refuses keeps its state, and the others change all the same.
    installed_[i].handler->ReplaceState((*states)[i].state).IgnoreError();
  }
  return absl::OkStatus();
}

Task<absl::Status> GenEvent::OnCodeChange(CodeChange change) {
  const auto* wanted = change.extra.As<HandlerCodeChange>();
  if (!wanted)
    co_return MakeError("CODE_CHANGE_FAILED", "a manager changes its code by HandlerCodeChange");
  std::vector<std::pair<size_t, std::unique_ptr<EventHandler>>> changed;
  for (size_t i = 0; i < installed_.size(); ++i) {
    if (installed_[i].id.module != wanted->module) continue;
    absl::StatusOr<std::unique_ptr<EventHandler>> handler = Make(installed_[i].id);
    if (!handler.ok()) co_return handler.status();
    absl::StatusOr<Payload> state = installed_[i].handler->GetState();
    if (!state.ok()) co_return state.status();
    CodeChange its{change.old_version, change.down, wanted->extra};
    absl::Status status = co_await (*handler)->OnCodeChange(*std::move(state), std::move(its));
    if (!status.ok()) co_return status;
    changed.emplace_back(i, *std::move(handler));
  }
  for (auto& [i, handler] : changed) installed_[i].handler = std::move(handler);
  co_return absl::OkStatus();
}

}  // namespace banyan
