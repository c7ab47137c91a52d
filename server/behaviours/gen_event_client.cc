#include <utility>

#include "common/base/error.h"
#include "server/behaviours/gen_event.h"
#include "server/behaviours/gen_event_request.h"
#include "server/behaviours/sys.h"
#include "server/runtime/crash_reason.h"

namespace banyan::gen_event {
namespace {

using Op = GenEventRequest::Op;

Task<absl::StatusOr<Payload>> Ask(Self& self, Pid manager, GenEventRequest request,
                                  absl::Duration timeout = absl::InfiniteDuration()) {
  return self.Call(manager, Payload::Local(std::move(request)), timeout);
}

Task<absl::Status> AskOk(Self& self, Pid manager, GenEventRequest request) {
  absl::StatusOr<Payload> answer = co_await Ask(self, manager, std::move(request));
  co_return answer.status();
}

GenEventRequest SwapOf(Op op, Swap s) {
  return {op, std::move(s.from), std::move(s.from_args), std::move(s.to), std::move(s.to_args)};
}

}  // namespace

Task<absl::Status> AddHandler(Self& self, Pid manager, HandlerId handler, Payload args) {
  return AskOk(self, manager, {Op::kAdd, std::move(handler), std::move(args), {}, {}});
}
Task<absl::Status> AddSupHandler(Self& self, Pid manager, HandlerId handler, Payload args) {
  return AskOk(self, manager, {Op::kAddSup, std::move(handler), std::move(args), {}, {}});
}
Task<absl::StatusOr<Payload>> DeleteHandler(Self& self, Pid manager, HandlerId handler,
                                            Payload args) {
  return Ask(self, manager, {Op::kDelete, std::move(handler), std::move(args), {}, {}});
}
Task<absl::Status> SwapHandler(Self& self, Pid manager, Swap swap) {
  return AskOk(self, manager, SwapOf(Op::kSwap, std::move(swap)));
}
Task<absl::Status> SwapSupHandler(Self& self, Pid manager, Swap swap) {
  return AskOk(self, manager, SwapOf(Op::kSwapSup, std::move(swap)));
}

Task<absl::StatusOr<std::vector<HandlerId>>> WhichHandlers(Self& self, Pid manager) {
  absl::StatusOr<Payload> answer = co_await Ask(self, manager, {});
  if (!answer.ok()) co_return answer.status();
  const auto* ids = answer->As<std::vector<HandlerId>>();
  if (!ids) co_return MakeError("CALL_NOT_HANDLED", "the process is no event manager");
  co_return *ids;
}

void Notify(Self& self, Pid manager, Payload event) { self.Cast(manager, std::move(event)); }

bool Notify(Self& self, const std::string& manager, Payload event) {
  std::optional<Pid> pid = self.runtime().Whereis(manager);
  if (pid) Notify(self, *pid, std::move(event));
  return pid.has_value();
}

Task<absl::Status> SyncNotify(Self& self, Pid manager, Payload event) {
  absl::StatusOr<Payload> answer =
      co_await self.Call(manager, std::move(event), absl::InfiniteDuration());
  co_return answer.status();
}

Task<absl::StatusOr<Payload>> Call(Self& self, Pid manager, HandlerId handler, Payload request,
                                   absl::Duration timeout) {
  return Ask(self, manager, {Op::kCall, std::move(handler), std::move(request), {}, {}}, timeout);
}

Task<absl::Status> ReplaceStates(
    Self& self, Pid manager, std::function<absl::StatusOr<HandlerState>(HandlerState)> replace) {
  auto replace_all = [replace =
                          std::move(replace)](const Payload& state) -> absl::StatusOr<Payload> {
    const auto* old = state.As<std::vector<HandlerState>>();
    if (!old) return MakeError("STATE_INVALID", "the process is no event manager");
    std::vector<HandlerState> states = *old;
    for (HandlerState& s : states) {
      try {
        absl::StatusOr<HandlerState> changed = replace(s);
        if (changed.ok() && changed->id == s.id) s = *std::move(changed);
      } catch (...) {
        // As an error: this handler keeps its state.
      }
    }
    return Payload::Local(std::move(states));
  };
  absl::StatusOr<Payload> done = co_await sys::ReplaceState(self, manager, std::move(replace_all));
  co_return done.status();
}

}  // namespace banyan::gen_event
