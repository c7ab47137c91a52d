#pragma once

#include <memory>

#include "common/base/mutex.h"
#include "common/os/child_process.h"
#include "server/runtime/runtime.h"

namespace banyan {

// Tells an exec actor that its program has ended. A local message.
struct ProgramEnded {
  ChildExit exit;
};

// The one OS program of an exec actor. Outlives the actor where a start is under way in another
// thread; whatever happens to the actor, no program is left behind. Thread-safe.
class ExecProgram : public std::enable_shared_from_this<ExecProgram> {
 public:
  // ProgramEnded goes to `actor`.
  ExecProgram(Runtime* runtime, Pid actor) : runtime_(runtime), actor_(actor) {}

  // Blocks for some milliseconds. Errors: those of ProcessSpawner::Spawn.
  absl::Status Start(ProcessSpawner* spawner, ChildSpawn spawn);
  // The program's pid; 0: it was never started.
  pid_t pid() const;
  // False: it has ended.
  bool SignalGroup(int signal);
  // Every descendant too.
  bool SignalTree(int signal);
  // The actor is no more: kills the program with all its descendants, now or as soon as it is
  // there.
  void Abandon();

 private:
  void OnExit(const ChildExit& exit);

  mutable Mutex mu_;
  Runtime* runtime_ ABSL_GUARDED_BY(mu_);  // null: abandoned
  const Pid actor_;
  std::shared_ptr<ChildProcess> process_ ABSL_GUARDED_BY(mu_);
};

}  // namespace banyan
