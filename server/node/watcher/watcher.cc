#include "server/node/watcher/watcher.h"

#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/os/process_tree.h"
#include "common/os/subreaper.h"
#include "common/os/unique_fd.h"

namespace banyan {
namespace {

constexpr int kPassedOn[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

sigset_t WatchedSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kPassedOn) sigaddset(&set, signal);
  sigaddset(&set, SIGCHLD);
  return set;
}

Instant BootTime() {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant::FromNanos(int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec);
}

// The parent's side. Single-threaded.
class Watcher {
 public:
  Watcher(const WatcherOptions& options, const WatchPage* page, pid_t node, UniqueFd signals)
      : options_(options), page_(*page), node_(node), signals_(std::move(signals)) {}

  int Run() {
    while (!ended_) {
      pollfd fd{signals_.get(), POLLIN, 0};
      poll(&fd, 1, static_cast<int>(absl::ToInt64Milliseconds(options_.check_every)));
      TakeSignals();
      Reap();
      if (!ended_ && page_.Overrun(BootTime())) KillNode();
    }
    Finish();
    return WIFSIGNALED(*ended_) ? 128 + WTERMSIG(*ended_) : WEXITSTATUS(*ended_);
  }

 private:
  void TakeSignals() {
    signalfd_siginfo info;
    while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      const int signal = static_cast<int>(info.ssi_signo);
      // SI_KERNEL: from the terminal, to the whole group.
      if (signal == SIGCHLD || info.ssi_code == SI_KERNEL) continue;
      // The node has not been waited for, so its number is its own.
      kill(node_, signal);
    }
  }

  // The node, or an orphan of it: those become our children.
  void Reap() {
    int status = 0;
    while (!ended_) {
      const pid_t pid = waitpid(-1, &status, WNOHANG);
      if (pid <= 0) return;
      if (pid == node_) ended_ = status;
    }
  }

  void KillNode() {
    if (std::exchange(killed_, true)) return;
    std::fprintf(
        stderr,
        "banyan watcher: node process %d still runs exclusive children after its lease has "
        "ended (stuck or stopped); killing it\n",
        static_cast<int>(node_));
    kill(node_, SIGKILL);
  }

  void Finish() {
    const absl::Status gone = KillAllDescendants(options_.kill_limit);
    if (!gone.ok()) {
      std::fprintf(stderr, "banyan watcher: %s; the node's end is not reported\n",
                   std::string(gone.message()).c_str());
      return;
    }
    if (page_.is_member() && options_.report) options_.report(page_, {*ended_, killed_});
  }

  const WatcherOptions& options_;
  const WatchPage& page_;
  const pid_t node_;
  const UniqueFd signals_;
  std::optional<int> ended_;
  bool killed_ = false;
};

}  // namespace

absl::StatusOr<Watched> RunUnderWatcher(const WatcherOptions& options) {
  Watched watched{.page = WatchPage::Map()};
  watched.page->SetWatcher(getpid());
  // Blocked before the fork: a signal that comes now waits for the watcher's loop.
  const sigset_t set = WatchedSignals();
  sigset_t before;
  sigprocmask(SIG_BLOCK, &set, &before);
  UniqueFd signals(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.valid()) return absl::ErrnoToStatus(errno, "cannot watch for signals");
  BANYAN_RETURN_IF_ERROR(BecomeSubreaper());
  // What is buffered would be printed twice.
  std::fflush(nullptr);
  const pid_t node = fork();
  if (node < 0) return absl::ErrnoToStatus(errno, "cannot fork the node");
  if (node == 0) {
    signals.Reset();
    sigprocmask(SIG_SETMASK, &before, nullptr);
    watched.is_node = true;
    return watched;
  }
  prctl(PR_SET_NAME, "banyan-watcher");
  watched.exit_status = Watcher(options, watched.page, node, std::move(signals)).Run();
  return watched;
}

Watched RunUnwatched() { return {.is_node = true, .page = WatchPage::Map()}; }

}  // namespace banyan
