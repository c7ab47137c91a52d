#include "common/os/subreaper.h"

#include "gtest/gtest.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/os/process_tree.h"

namespace banyan {
namespace {

// Runs in a process of its own, since it waits for all children.
int ReapEverything() {
  if (!BecomeSubreaper().ok()) return 10;
  int ends[2];
  if (pipe(ends) != 0) return 11;
  // A child that forks a grandchild in a session of its own and ends: an orphan, which is ours
  // then.
  const pid_t parent = fork();
  if (parent == 0) {
    if (fork() == 0) {
      setsid();
      const pid_t self = getpid();
      (void)!write(ends[1], &self, sizeof(self));
      while (true) pause();
    }
    _exit(0);
  }
  // And one that ignores what can be ignored.
  if (fork() == 0) {
    signal(SIGTERM, SIG_IGN);
    while (true) pause();
  }
  pid_t orphan = 0;
  if (read(ends[0], &orphan, sizeof(orphan)) != sizeof(orphan)) return 12;
  if (!KillAllDescendants().ok()) return 13;
  if (kill(orphan, 0) == 0) return 14;
  return waitpid(-1, nullptr, 0) < 0 ? 0 : 15;
}

TEST(Subreaper, KillsOrphansInOtherSessions) {
  const pid_t pid = fork();
  if (pid == 0) _exit(ReapEverything());
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Subreaper, NothingToKillIsFine) { EXPECT_TRUE(KillAllDescendants().ok()); }

}  // namespace
}  // namespace banyan
