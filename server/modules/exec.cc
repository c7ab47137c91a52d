#include "server/modules/exec.h"

#include <utility>

#include "fmt/format.h"

#include "common/wire/payload.h"
#include "common/wire/time.h"
#include "server/behaviours/module.h"
#include "server/modules/exec_programs.h"

namespace banyan {
namespace {

ExitReason ExecFailed(std::string message) {
  return ExitReason::Error("exec_failed", std::move(message));
}

}  // namespace

Exec::~Exec() {
  if (!program_) return;
  if (!ended_) program_->Abandon();
  if (ExecPrograms* programs = host().exec_programs) programs->Remove(program_.get());
}

Task<GenServer::InitResult> Exec::Init(std::vector<Payload> args) {
  self().SetTrapExit(true);
  absl::StatusOr<ExecSpec> spec = ParseExecSpec(args);
  if (!spec.ok()) return Stop(ExitReason::Error("badarg", std::string(spec.status().message())));
  if (!host().allow_exec) {
    return Stop(
        ExecFailed("exec is off on this node: it listens beyond loopback without TLS; --allow-exec "
                   "turns it on"));
  }
  if (!host().programs) return Stop(ExecFailed("this runtime cannot start programs"));
  spec_ = *std::move(spec);
  return Launch();
}

Task<GenServer::InitResult> Exec::Launch() {
  program_ = std::make_shared<ExecProgram>(&self().runtime(), self().pid());
  // The start goes on in its thread when this actor is killed meanwhile; ExecProgram sees to that.
  auto start = [program = program_, spawner = host().programs, spawn = Spawn()]() mutable {
    return program->Start(spawner, std::move(spawn));
  };
  start_time_ = self().runtime().clock().WallNow();
  absl::Status started = co_await self().Blocking(std::move(start));
  if (!started.ok()) co_return Stop(ExecFailed(std::string(started.message())));
  if (ExecPrograms* programs = host().exec_programs) programs->Add(program_, self().exclusive());
  co_return Ok();
}

ChildSpawn Exec::Spawn() const {
  std::map<std::string, std::string> env(spec_.args.env().begin(), spec_.args.env().end());
  env["BANYAN_FENCE"] = fmt::format("{}", self().fence());
  env["BANYAN_CHILD"] = context().child_id;
  env["BANYAN_CHILD_PATH"] = self().child_path();
  env["BANYAN_NODE"] = host().node;
  env["BANYAN_ADDR"] = host().address;
  ChildSpawn spawn;
  spawn.argv.assign(spec_.args.argv().begin(), spec_.args.argv().end());
  spawn.env = MergedEnvironment(env);
  spawn.cwd = spec_.args.cwd();
  spawn.output = spec_.args.output();
  return spawn;
}

Task<GenServer::CallResult> Exec::HandleCall(Payload request, CallFrom from) {
  if (wire::Is<modules::v1::Status>(request)) return Reply(Status());
  return NotHandled(request);
}

Task<GenServer::Result> Exec::HandleCast(Payload request) { return NoReply(); }

Task<GenServer::Result> Exec::HandleInfo(Message message) {
  const ProgramEnded* end = message.payload().As<ProgramEnded>();
  if (!end) return NoReply();
  ended_ = true;
  return Stop(ReasonOfExit(end->exit));
}

Task<void> Exec::Terminate(ExitReason reason) {
  if (ended_) co_return;
  // False where it has ended already: then the message about it is on its way.
  program_->SignalGroup(spec_.stop_signal);
  co_await self().ReceiveIf(
      [](const Message& m) { return m.payload().As<ProgramEnded>() != nullptr; });
  ended_ = true;
}

Payload Exec::Status() const {
  modules::v1::StatusReply reply;
  reply.set_os_pid(program_->pid());
  *reply.mutable_start_time() = wire::ToProto(start_time_);
  *reply.mutable_argv() = spec_.args.argv();
  reply.set_restarts(context().restarts);
  reply.set_fence(self().fence());
  return wire::MakePayload(std::move(reply));
}

absl::StatusOr<Payload> Exec::GetState() { return Status(); }

}  // namespace banyan
