#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <sys/types.h>

#include "common/base/mutex.h"
#include "common/os/unique_fd.h"

namespace banyan {

// How a program ended.
struct ChildExit {
  bool signaled = false;
  int code = 0;                  // the exit status, or the signal's number
  std::string ToString() const;  // "exited(1)", "signaled(9)"
  friend bool operator==(const ChildExit&, const ChildExit&) = default;
};

struct ChildSpawn {
  std::vector<std::string> argv;  // argv[0]: a path, or a name to look up in PATH
  // "KEY=VALUE"; nullopt: this process' own environment.
  std::optional<std::vector<std::string>> env;
  std::string cwd;          // empty: this process' own
  std::string output;       // stdout and stderr are appended to this file; empty: inherited
  bool new_session = true;  // false: only a process group of its own
  // When the program has ended, what is left of its group is killed before the end is reported.
  bool kill_group_at_end = true;
};

// A started program. Thread-safe. Signals never reach a stranger: they are sent only while the
// program's number cannot have been used again.
class ChildProcess {
 public:
  pid_t pid() const { return pid_; }
  std::optional<ChildExit> exit() const;  // nullopt: it runs

  // Each returns false when the program has ended.
  bool SignalGroup(int signal);
  // The group and every descendant, also those that have left it. SIGKILL, SIGSTOP and SIGCONT are
  // what it is for.
  bool SignalTree(int signal);
  bool KillTree();

 private:
  friend class ProcessSpawner;
  ChildProcess(pid_t pid, UniqueFd pidfd, bool kill_group_at_end)
      : pid_(pid), pidfd_(std::move(pidfd)), kill_group_at_end_(kill_group_at_end) {}
  ChildExit Reap();  // the program has ended

  const pid_t pid_;
  const UniqueFd pidfd_;
  const bool kill_group_at_end_;
  mutable Mutex mu_;
  std::optional<ChildExit> exit_ ABSL_GUARDED_BY(mu_);  // set: the number may be used again
};

// Starts programs from one thread that lives as long as this object: the kernel kills the programs
// (PDEATHSIG) when the thread that started them ends, hence also when this process is killed.
class ProcessSpawner {
 public:
  // Called once, on the spawner's thread, after the program's end; must only hand over work.
  using OnExit = std::function<void(const ChildExit&)>;

  ProcessSpawner();
  // Kills the trees of all programs and waits for them; their OnExit are called.
  ~ProcessSpawner();
  ProcessSpawner(const ProcessSpawner&) = delete;
  ProcessSpawner& operator=(const ProcessSpawner&) = delete;

  // Blocks until the program runs (some milliseconds) or says why it cannot: NOT_FOUND (no such
  // program or folder), PERMISSION_DENIED, INVALID_ARGUMENT (no argv), else by errno; the text
  // names the step and the path. `on_exit` may be called before this returns. Not from an OnExit.
  absl::StatusOr<std::shared_ptr<ChildProcess>> Spawn(ChildSpawn spawn, OnExit on_exit);

 private:
  struct Request;
  struct Running {
    std::shared_ptr<ChildProcess> process;
    OnExit on_exit;
  };
  void Run();
  void Serve(Request* request);
  void ReapOne(int pidfd);
  void Wake();

  UniqueFd epoll_;
  UniqueFd wake_;
  std::map<int, Running> running_;  // by pidfd; only on the thread
  Mutex mu_;
  std::vector<std::shared_ptr<Request>> requests_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace banyan
