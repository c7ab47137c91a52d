#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "server/behaviours/behaviour.h"
#include "server/behaviours/gen_event_handler.h"

namespace banyan {

struct GenEventRequest;

// What a manager sends the process that supervises a handler when the handler has ended: a plain
// message with this as local payload. {gen_event_EXIT,Handler,Reason}.
struct GenEventExit {
  struct Swapped {
    HandlerId by;
    Pid supervisor;  // of the new one; invalid: nobody
  };
  HandlerId handler;
  ExitReason reason;               // `normal`, `shutdown`, or what it failed with
  std::optional<Swapped> swapped;  // {swapped,Handler2,Supervisor}; `reason` is normal then
};

// One installed handler as sys shows it. A manager's state is the list of these, newest first.
struct HandlerState {
  HandlerId id;
  Payload state;  // empty: the handler does not show it
};

// A manager's CodeChange::extra: which handlers change, and what they get as theirs.
struct HandlerCodeChange {
  std::string module;
  Payload extra;
};

// An event manager: OTP's gen_event. Handlers are installed and removed while it runs; each event
// goes to all of them, the newest first. A handler that fails is removed, with a report, and the
// others go on.
//
//   modules.AddBehaviour("alarms", [&handlers] { return std::make_unique<GenEvent>(&handlers); });
//
// Events are casts (notify) and calls (sync_notify, answered with no data when all handlers have
// run), so any client of any language raises them; what the functions of gen_event ask for is for
// processes of the manager's own runtime. The manager traps exits. It ends by sys::Stop, or with
// its parent.
class GenEvent final : public Behaviour {
 public:
  // `handlers` outlives the process.
  explicit GenEvent(const EventHandlers* handlers) : handlers_(handlers) {}

  Task<Initialised> OnInit(std::vector<Payload> args) override;
  Task<Next> OnMessage(Message message) override;
  Task<void> OnTerminate(ExitReason reason) override;
  absl::StatusOr<Payload> GetState() override;
  // A handler whose entry does not fit it (another id, a state that it refuses) keeps its state.
  absl::Status ReplaceState(const Payload& state) override;
  void FormatStatus(StatusView& view) override;
  // `change.extra`: a local HandlerCodeChange. All handlers of the module change, or none.
  Task<absl::Status> OnCodeChange(CodeChange change) override;
  std::string_view engine() const override { return "event manager"; }

 private:
  struct Installed {
    HandlerId id;
    std::unique_ptr<EventHandler> handler;
    Pid supervisor;  // invalid: nobody
  };
  using Result = EventHandler::Result;

  Task<void> Serve(GenEventRequest request, CallFrom from);
  Task<absl::StatusOr<Payload>> CallHandler(GenEventRequest request);
  Task<absl::StatusOr<Payload>> Delete(GenEventRequest request);
  Task<absl::Status> Swap(GenEventRequest request, Pid caller);
  Task<void> ForEach(std::function<Task<Result>(EventHandler&)> callback);
  Task<bool> Settle(size_t at, Result result);
  Task<absl::Status> Install(size_t at, HandlerId id, HandlerArgs args, Pid supervisor);
  Task<absl::StatusOr<Payload>> End(size_t at, HandlerEnd why, GenEventExit word);
  Task<void> EndSupervisedBy(Pid supervisor, ExitReason reason);
  absl::StatusOr<std::unique_ptr<EventHandler>> Make(const HandlerId& id) const;
  size_t Find(const HandlerId& id) const;
  std::vector<HandlerState> States(absl::StatusOr<Payload> (EventHandler::*show)()) const;

  const EventHandlers* const handlers_;
  std::vector<Installed> installed_;  // newest first
};

// What processes ask of a manager of their own runtime. Errors: those of a call (NOPROC,
// CALLEE_EXITED, ...), HANDLER_NOT_FOUND, and HANDLER_FAILED with the failure as exit reason
// (`undef`: no such module).
namespace gen_event {

Task<absl::Status> AddHandler(Self& self, Pid manager, HandlerId handler, Payload args = {});
// The same, supervised: manager and caller are linked from now on, even if Init fails. When the
// caller ends so does the handler; when the handler ends the caller gets a GenEventExit.
Task<absl::Status> AddSupHandler(Self& self, Pid manager, HandlerId handler, Payload args = {});
// What Terminate(args) returned. Of several with the id the newest goes.
Task<absl::StatusOr<Payload>> DeleteHandler(Self& self, Pid manager, HandlerId handler,
                                            Payload args = {});

// `from` ends with `from_args`; `to` starts with `to_args` and what `from` returned, also if there
// is no `from`.
struct Swap {
  HandlerId from;
  Payload from_args;
  HandlerId to;
  Payload to_args;
};
// The new handler has the old one's supervising process.
Task<absl::Status> SwapHandler(Self& self, Pid manager, Swap swap);
// The caller supervises the new handler.
Task<absl::Status> SwapSupHandler(Self& self, Pid manager, Swap swap);

Task<absl::StatusOr<std::vector<HandlerId>>> WhichHandlers(Self& self, Pid manager);

// To nobody is to nobody.
void Notify(Self& self, Pid manager, Payload event);
// False: nobody of this runtime has the name.
bool Notify(Self& self, const std::string& manager, Payload event);
// Returns when all handlers have run; their failures do not show.
Task<absl::Status> SyncNotify(Self& self, Pid manager, Payload event);
Task<absl::StatusOr<Payload>> Call(Self& self, Pid manager, HandlerId handler, Payload request,
                                   absl::Duration timeout = absl::Seconds(5));

// sys:replace_state, handler by handler, in the manager's process. A handler for which `replace`
// fails or returns another id keeps its state.
Task<absl::Status> ReplaceStates(Self& self, Pid manager,
                                 std::function<absl::StatusOr<HandlerState>(HandlerState)> replace);

}  // namespace gen_event
}  // namespace banyan
