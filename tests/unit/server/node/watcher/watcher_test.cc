#include "server/node/watcher/watcher.h"

#include <cstring>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/os/process_tree.h"

namespace banyan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Report {
  uint32_t node_id;
  int wait_status;
  bool killed;
};

// A watched node in processes of its own. What the node says through Say, and what the watcher
// reports, come back through pipes.
class WatcherTest : public ::testing::Test {
 protected:
  WatcherTest() {
    EXPECT_EQ(pipe(said_), 0);
    EXPECT_EQ(pipe(reports_), 0);
  }
  ~WatcherTest() override {
    if (watcher_ > 0 && waitpid(watcher_, nullptr, WNOHANG) == 0) kill(watcher_, SIGKILL);
    for (const int fd : {said_[0], reports_[0]}) close(fd);
  }

  // `node` runs in the node's process and returns its exit status.
  void Start(const std::function<int(WatchPage*)>& node) {
    watcher_ = fork();
    if (watcher_ != 0) {
      close(said_[1]);
      close(reports_[1]);
      return;
    }
    WatcherOptions options;
    options.check_every = absl::Milliseconds(5);
    options.report = [this](const WatchPage& page, const NodeEnd& end) {
      const Report report{page.node_id(), end.wait_status, end.killed};
      (void)!write(reports_[1], &report, sizeof(report));
    };
    const auto watched = RunUnderWatcher(options);
    if (!watched.ok()) _exit(99);
    _exit(watched->is_node ? node(watched->page) : watched->exit_status);
  }
  void Say(pid_t value) const { (void)!write(said_[1], &value, sizeof(value)); }
  pid_t Hear() {
    pid_t value = -1;
    EXPECT_EQ(read(said_[0], &value, sizeof(value)), static_cast<ssize_t>(sizeof(value)));
    return value;
  }
  int AwaitWatcher() {
    int status = 0;
    EXPECT_EQ(waitpid(watcher_, &status, 0), watcher_);
    watcher_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::vector<Report> Reports() {
    std::vector<Report> out;
    Report report;
    while (read(reports_[0], &report, sizeof(report)) == sizeof(report)) out.push_back(report);
    return out;
  }
  [[noreturn]] static void Forever() {
    while (true) pause();
  }

  pid_t watcher_ = 0;
  int said_[2];
  int reports_[2];
};

volatile sig_atomic_t got_signal = 0;

TEST_F(WatcherTest, ReturnsTheNodesStatusAndReportsAMember) {
  Start([](WatchPage* page) {
    page->SetIdentity(7, 2);
    return 5;
  });
  EXPECT_EQ(AwaitWatcher(), 5);
  const auto reports = Reports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].node_id, 7u);
  EXPECT_TRUE(WIFEXITED(reports[0].wait_status));
  EXPECT_FALSE(reports[0].killed);
}

TEST_F(WatcherTest, NodeThatIsNoMemberIsNotReported) {
  Start([](WatchPage*) { return 0; });
  EXPECT_EQ(AwaitWatcher(), 0);
  EXPECT_THAT(Reports(), IsEmpty());
}

TEST_F(WatcherTest, PassesSignalsOn) {
  Start([this](WatchPage*) {
    sigset_t none;
    sigset_t usr;
    sigemptyset(&none);
    sigemptyset(&usr);
    sigaddset(&usr, SIGTERM);
    sigprocmask(SIG_BLOCK, &usr, nullptr);
    signal(SIGTERM, [](int) { got_signal = 1; });
    Say(getpid());
    while (!got_signal) sigsuspend(&none);
    return 6;
  });
  Hear();
  kill(watcher_, SIGTERM);
  EXPECT_EQ(AwaitWatcher(), 6);
}

TEST_F(WatcherTest, KilledNodeLeavesNoDescendantEvenInOtherSessions) {
  Start([this](WatchPage* page) -> int {
    page->SetIdentity(1, 1);
    if (fork() == 0) {
      setsid();
      if (fork() == 0) {
        Say(getpid());
        Forever();
      }
      Forever();
    }
    Forever();
  });
  const UniqueFd descendant = OpenPidFd(Hear());
  ASSERT_TRUE(descendant.valid());
  const auto children = ChildrenOf(watcher_);
  ASSERT_EQ(children.size(), 1u);
  kill(children[0], SIGKILL);
  EXPECT_EQ(AwaitWatcher(), 128 + SIGKILL);
  pollfd gone{descendant.get(), POLLIN, 0};
  EXPECT_EQ(poll(&gone, 1, 0), 1);  // before the watcher has reported
  const auto reports = Reports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_FALSE(reports[0].killed);
}

TEST_F(WatcherTest, KillsAStoppedNodeWhoseLeaseIsOver) {
  Start([](WatchPage* page) {
    page->SetIdentity(1, 1);
    page->SetLeaseEnd(Instant::FromNanos(1));
    page->SetHasExclusive(true);
    raise(SIGSTOP);
    return 0;
  });
  EXPECT_EQ(AwaitWatcher(), 128 + SIGKILL);
  const auto reports = Reports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_TRUE(reports[0].killed);
}

TEST_F(WatcherTest, WatchersEndLeavesTheNodeWhichNotices) {
  Start([this](WatchPage* page) {
    Say(getpid());
    while (page->WatcherAlive()) usleep(1000);
    Say(1);
    return 0;
  });
  Hear();
  kill(watcher_, SIGKILL);
  EXPECT_EQ(Hear(), 1);
}

TEST(WatchPage, OverrunNeedsAnEndedLeaseAndUnfrozenExclusiveChildren) {
  WatchPage* page = WatchPage::Map();
  const Instant now = Instant::FromNanos(100);
  page->SetHasExclusive(true);
  EXPECT_FALSE(page->Overrun(now));  // never had a lease
  page->SetLeaseEnd(Instant::FromNanos(101));
  EXPECT_FALSE(page->Overrun(now));
  page->SetLeaseEnd(Instant::FromNanos(100));
  EXPECT_TRUE(page->Overrun(now));
  page->SetFrozen(true);
  EXPECT_FALSE(page->Overrun(now));
  page->SetFrozen(false);
  page->SetHasExclusive(false);
  EXPECT_FALSE(page->Overrun(now));
}

TEST(WatchPage, KeepsAddressesThatFit) {
  WatchPage* page = WatchPage::Map();
  EXPECT_THAT(page->coordinators(), IsEmpty());
  page->SetCoordinators({"a:1", "b:2"});
  EXPECT_THAT(page->coordinators(), ElementsAre("a:1", "b:2"));
  page->SetCoordinators({"c:3", std::string(2000, 'x')});
  EXPECT_THAT(page->coordinators(), ElementsAre("c:3"));
  EXPECT_FALSE(page->WatcherAlive());
}

}  // namespace
}  // namespace banyan
