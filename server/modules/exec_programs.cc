#include "server/modules/exec_programs.h"

#include <utility>

#include <signal.h>

namespace banyan {

void ExecPrograms::SetFrozen(bool frozen) {
  MutexLock lock(&mu_);
  if (std::exchange(frozen_, frozen) == frozen) return;
  for (const auto& [key, entry] : programs_) {
    const auto& [program, exclusive] = entry;
    if (exclusive) program->SignalTree(frozen ? SIGSTOP : SIGCONT);
  }
}

size_t ExecPrograms::size() const {
  MutexLock lock(&mu_);
  return programs_.size();
}

void ExecPrograms::Add(std::shared_ptr<ExecProgram> program, bool exclusive) {
  MutexLock lock(&mu_);
  if (frozen_ && exclusive) program->SignalTree(SIGSTOP);
  const ExecProgram* key = program.get();
  programs_[key] = {std::move(program), exclusive};
}

void ExecPrograms::Remove(const ExecProgram* program) {
  MutexLock lock(&mu_);
  programs_.erase(program);
}

}  // namespace banyan
