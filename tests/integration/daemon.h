#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <sys/types.h>

#include "common/base/mutex.h"
#include "common/os/unique_fd.h"

namespace banyan::test {

// How long a test waits for what must come; a case as a whole takes less.
inline constexpr std::chrono::seconds kPatience{15};

// Waits until the process has ended.
bool WaitForEnd(int pidfd, std::chrono::milliseconds limit);

// One `banyand` process. Its output is read as it comes, so that a test can wait for a line.
class Daemon {
 public:
  // Starts `banyand ARGS...`, or another program that is one.
  explicit Daemon(std::vector<std::string> args, std::string program = "");
  // Ends what still runs of it, its watcher too.
  ~Daemon();
  Daemon(const Daemon&) = delete;

  // Waits until it serves. False: it has ended, or patience is over.
  bool WaitUntilServing();
  // "host:port", once it serves.
  std::string address() const;
  // The process that serves: with a watcher that is a child of the one that was started.
  pid_t pid() const;
  // Waits for `text` in its output (stdout and stderr).
  bool WaitForOutput(const std::string& text);
  std::string output() const;

  // Sends the signal to the process that serves.
  void Signal(int signal) const;
  // Sends it to the process that was started.
  void SignalFirst(int signal) const;
  // Waits for the end of the process that was started; its exit status, or 128 + signal.
  std::optional<int> WaitForExit();

 private:
  void ReadOutput(int fd);

  pid_t first_ = 0;
  UniqueFd first_fd_;
  std::optional<int> exit_;
  mutable Mutex mu_;
  std::condition_variable_any changed_;
  std::string output_ ABSL_GUARDED_BY(mu_);
  bool eof_ ABSL_GUARDED_BY(mu_) = false;
  std::thread reader_;
};

}  // namespace banyan::test
