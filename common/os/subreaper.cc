#include "common/os/subreaper.h"

#include <cerrno>
#include <vector>

#include "fmt/format.h"
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/os/process_tree.h"

namespace banyan {
namespace {

// Returns whether any child is left.
bool ReapEnded() {
  while (true) {
    siginfo_t info = {};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0) return errno == EINTR || errno != ECHILD;
    if (info.si_pid == 0) return true;
  }
}

// Until one of them has ended, at most `limit`.
void AwaitAnyEnd(const std::vector<ProcessHandle>& processes, absl::Duration limit) {
  std::vector<pollfd> fds;
  for (const ProcessHandle& process : processes) fds.push_back({process.fd.get(), POLLIN, 0});
  poll(fds.data(), fds.size(), static_cast<int>(absl::ToInt64Milliseconds(limit)));
}

}  // namespace

absl::Status BecomeSubreaper() {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "cannot become the reaper of descendants");
}

absl::Status KillAllDescendants(absl::Duration limit) {
  const absl::Time end = absl::Now() + limit;
  while (ReapEnded()) {
    const std::vector<ProcessHandle> left = DescendantsOf(getpid());
    for (const ProcessHandle& process : left) SignalPidFd(process.fd.get(), SIGKILL);
    const absl::Duration time = end - absl::Now();
    if (time <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(
          fmt::format("{} descendants do not end though killed", left.size()));
    }
    // Looks again after 50 ms at the latest: a child of one just killed may have been forked since.
    AwaitAnyEnd(left, std::min(time, absl::Milliseconds(50)));
  }
  return absl::OkStatus();
}

}  // namespace banyan
