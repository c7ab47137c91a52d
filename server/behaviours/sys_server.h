#pragma once

#include <optional>

#include "absl/status/statusor.h"

#include "server/behaviours/behaviour.h"
#include "server/behaviours/sys.h"
#include "server/runtime/self.h"

namespace banyan {

// A process's own side of sys: serves system requests between two callbacks, and what there is to
// serve while suspended.
class SysServer {
 public:
  // All outlive this. `parent`: whose exit ends the process; invalid: nobody's.
  SysServer(Self& self, Behaviour& behaviour, const StartContext& context, const Pid& parent)
      : self_(self), behaviour_(behaviour), context_(context), parent_(parent) {}

  bool IsParentExit(const Message& m) const {
    return m.is_exit() && parent_ && (m.from() == parent_ || m.from() == self_.parent());
  }
  // Serves `message`, a system request, and, while the process is suspended, those that follow.
  // Returns the reason to end with, if it must: a terminate request, the parent's exit.
  Task<std::optional<ExitReason>> Serve(Message message);

  // What people see of `behaviour`: `view` with its state and log, as its FormatStatus leaves it.
  // `note` says if that failed; then the view has nothing but its reason.
  static StatusView ViewOf(Behaviour& behaviour, StatusView view, std::string* note);

 private:
  Task<std::optional<ExitReason>> ServeOne(Message message);
  absl::StatusOr<Payload> State();
  absl::StatusOr<Payload> ReplaceState(const SysRequest& request);
  Task<absl::StatusOr<Payload>> ChangeCode(CodeChange change);
  absl::StatusOr<Payload> Debug(const DebugOption& option);
  SysStatus Status();

  Self& self_;
  Behaviour& behaviour_;
  const StartContext& context_;
  const Pid& parent_;
  bool suspended_ = false;
};

}  // namespace banyan
