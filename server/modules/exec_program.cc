#include "server/modules/exec_program.h"

#include <utility>

namespace banyan {

absl::Status ExecProgram::Start(ProcessSpawner* spawner, ChildSpawn spawn) {
  absl::StatusOr<std::shared_ptr<ChildProcess>> process = spawner->Spawn(
      std::move(spawn),
      [program = shared_from_this()](const ChildExit& exit) { program->OnExit(exit); });
  if (!process.ok()) return process.status();
  bool abandoned;
  {
    MutexLock lock(&mu_);
    process_ = *process;
    abandoned = runtime_ == nullptr;
  }
  if (abandoned) (*process)->KillTree();
  return absl::OkStatus();
}

pid_t ExecProgram::pid() const {
  MutexLock lock(&mu_);
  return process_ ? process_->pid() : 0;
}

bool ExecProgram::SignalGroup(int signal) {
  std::shared_ptr<ChildProcess> process;
  {
    MutexLock lock(&mu_);
    process = process_;
  }
  return process && process->SignalGroup(signal);
}

bool ExecProgram::SignalTree(int signal) {
  std::shared_ptr<ChildProcess> process;
  {
    MutexLock lock(&mu_);
    process = process_;
  }
  return process && process->SignalTree(signal);
}

void ExecProgram::Abandon() {
  std::shared_ptr<ChildProcess> process;
  {
    MutexLock lock(&mu_);
    runtime_ = nullptr;
    process = process_;
  }
  if (process) process->KillTree();
}

// On the spawner's thread. The runtime lives as long as its pointer stands here.
void ExecProgram::OnExit(const ChildExit& exit) {
  MutexLock lock(&mu_);
  if (runtime_) runtime_->Send(actor_, Payload::Local(ProgramEnded{exit}));
}

}  // namespace banyan
