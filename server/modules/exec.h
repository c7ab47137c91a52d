#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "server/behaviours/gen_server.h"
#include "server/modules/exec_program.h"
#include "server/modules/exec_spec.h"

namespace banyan {

// The module `exec`: runs an OS program as a child (proto/banyan/modules/v1/exec.proto). Start
// means that the program runs; its end is the actor's end. Told to stop, it asks the program's
// group with the stop signal and waits: the supervisor kills it when the shutdown time is over, and
// then, as whenever the actor goes first, every descendant of the program is killed with it.
class Exec : public GenServer {
 public:
  ~Exec() override;
  Task<InitResult> Init(std::vector<Payload> args) override;
  Task<CallResult> HandleCall(Payload request, CallFrom from) override;
  Task<Result> HandleCast(Payload request) override;
  Task<Result> HandleInfo(Message message) override;
  Task<void> Terminate(ExitReason reason) override;
  absl::StatusOr<Payload> GetState() override;

 private:
  Task<InitResult> Launch();
  ChildSpawn Spawn() const;
  Payload Status() const;

  ExecSpec spec_;
  std::shared_ptr<ExecProgram> program_;
  absl::Time start_time_;
  bool ended_ = false;
};

}  // namespace banyan
