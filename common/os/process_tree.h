#pragma once

#include <vector>

#include <sys/types.h>

#include "common/os/unique_fd.h"

namespace banyan {

// A handle of one process that stays its own when the number is used again.
struct ProcessHandle {
  pid_t pid = 0;
  UniqueFd fd;  // pidfd
};

// pidfd_open; an invalid descriptor when the process is gone.
UniqueFd OpenPidFd(pid_t pid);
// pidfd_send_signal. False with errno set: ESRCH when it has ended.
bool SignalPidFd(int pidfd, int signal);

// Children of `pid` at this moment, of all its threads; empty when it is gone. May miss one that is
// forked meanwhile.
std::vector<pid_t> ChildrenOf(pid_t pid);

// Every descendant of `root`, parents before children, without `root`.
std::vector<ProcessHandle> DescendantsOf(pid_t root);

// Sends `signal` to `root`'s group and to every descendant of `root`, also those in other groups
// and sessions. SIGKILL and SIGSTOP reach those that are forked meanwhile too: the tree is stopped
// first, until a look finds no more. The caller makes sure that `root` has not been waited for, so
// that its number is still its own, and that it leads its group.
void SignalTree(pid_t root, int signal);

}  // namespace banyan
