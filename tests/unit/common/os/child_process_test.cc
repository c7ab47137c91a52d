#include "common/os/child_process.h"

#include <fstream>
#include <future>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/os/process_tree.h"
#include "common/os/subreaper.h"
#include "tests/support/temp_dir.h"

namespace banyan {
namespace {

using ::testing::HasSubstr;

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class Spawner : public ::testing::Test {
 protected:
  struct Started {
    std::shared_ptr<ChildProcess> process;
    std::future<ChildExit> exit;
  };
  Started Start(ChildSpawn spawn) {
    auto promise = std::make_shared<std::promise<ChildExit>>();
    Started started{nullptr, promise->get_future()};
    auto process = spawner_.Spawn(std::move(spawn),
                                  [promise](const ChildExit& exit) { promise->set_value(exit); });
    EXPECT_TRUE(process.ok()) << process.status();
    if (process.ok()) started.process = *process;
    return started;
  }
  // A script that has said a line through the fifo "ready" when this returns; gives the line.
  std::pair<Started, std::string> StartAndAwaitLine(const std::string& script) {
    const std::string fifo = dir_.File("ready");
    unlink(fifo.c_str());
    EXPECT_EQ(mkfifo(fifo.c_str(), 0600), 0);
    Started started = Start({.argv = {"/bin/sh", "-c", script}, .cwd = dir_.path()});
    std::ifstream file(fifo);
    std::string line;
    std::getline(file, line);
    return {std::move(started), line};
  }
  static void AwaitGone(int pidfd) {
    pollfd fd{pidfd, POLLIN, 0};
    EXPECT_EQ(poll(&fd, 1, 10'000), 1);
  }

  TempDir dir_;
  ProcessSpawner spawner_;
};

TEST_F(Spawner, ReportsTheExitStatus) {
  EXPECT_EQ(Start({.argv = {"true"}}).exit.get(), (ChildExit{false, 0}));
  EXPECT_EQ(Start({.argv = {"/bin/sh", "-c", "exit 7"}}).exit.get(), (ChildExit{false, 7}));
  EXPECT_EQ(Start({.argv = {"/bin/sh", "-c", "kill -9 $$"}}).exit.get(),
            (ChildExit{true, SIGKILL}));
}

TEST_F(Spawner, GivesArgumentsEnvironmentFolderAndOutput) {
  auto started = Start(
      {.argv = {"/bin/sh", "-c", "echo \"$1 $A ${HOME-none} $(pwd)\"; echo e >&2", "x", "arg"},
       .env = std::vector<std::string>{"A=1"},
       .cwd = dir_.path(),
       .output = dir_.File("log")});
  EXPECT_EQ(started.exit.get(), (ChildExit{false, 0}));
  EXPECT_EQ(Contents(dir_.File("log")), "arg 1 none " + dir_.path() + "\ne\n");
}

TEST_F(Spawner, MissingProgramsAreReportedAtOnce) {
  const auto by_name = spawner_.Spawn({.argv = {"no-such-program"}}, nullptr);
  EXPECT_EQ(by_name.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(by_name.status().message()),
              HasSubstr("no program 'no-such-program' in PATH="));
  const auto by_path = spawner_.Spawn({.argv = {"/no/such"}}, nullptr);
  EXPECT_EQ(by_path.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(by_path.status().message()),
              HasSubstr("cannot run /no/such: No such file"));
  const auto folder = spawner_.Spawn({.argv = {"true"}, .cwd = "/no/such"}, nullptr);
  EXPECT_EQ(folder.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(folder.status().message()), HasSubstr("cwd:"));
  EXPECT_EQ(spawner_.Spawn({.argv = {"/etc/passwd"}}, nullptr).status().code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(spawner_.Spawn({}, nullptr).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(spawner_.Spawn({.argv = {"true"}, .env = std::vector<std::string>{"A"}}, nullptr)
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(Spawner, ClosesOtherDescriptors) {
  const int leaked = open("/etc/passwd", O_RDONLY);  // without O_CLOEXEC
  auto started = Start(
      {.argv = {"/bin/sh", "-c", "ls /proc/self/fd | tr '\\n' ' '"}, .output = dir_.File("log")});
  started.exit.wait();
  close(leaked);
  EXPECT_EQ(Contents(dir_.File("log")), "0 1 2 3 ");  // 3 is ls' own
}

TEST_F(Spawner, TheEndOfTheProgramKillsWhatIsLeftOfItsGroup) {
  auto [started, line] = StartAndAwaitLine("sleep 1000 & echo $! > ready; exit 0");
  const UniqueFd left = OpenPidFd(std::stoi(line));
  started.exit.wait();
  if (left.valid()) AwaitGone(left.get());
}

TEST_F(Spawner, GroupSignalReachesEveryMember) {
  auto [started, line] =
      StartAndAwaitLine("trap 'exit 3' TERM; sleep 1000 & echo $! > ready; wait");
  const UniqueFd member = OpenPidFd(std::stoi(line));
  ASSERT_TRUE(member.valid());
  EXPECT_TRUE(started.process->SignalGroup(SIGTERM));
  EXPECT_EQ(started.exit.get(), (ChildExit{false, 3}));
  AwaitGone(member.get());
  EXPECT_FALSE(started.process->SignalGroup(SIGTERM));
  EXPECT_FALSE(started.process->KillTree());
}

TEST_F(Spawner, KillTreeReachesOtherSessions) {
  auto [started, line] =
      StartAndAwaitLine("setsid sh -c 'sleep 1000 & echo $! > ready; wait' & wait");
  const UniqueFd stranger = OpenPidFd(std::stoi(line));
  ASSERT_TRUE(stranger.valid());
  EXPECT_TRUE(started.process->KillTree());
  EXPECT_EQ(started.exit.get(), (ChildExit{true, SIGKILL}));
  AwaitGone(stranger.get());
}

TEST_F(Spawner, StopsAndContinuesATree) {
  auto [started, line] = StartAndAwaitLine("echo up > ready; read x < ready; exit 4");
  EXPECT_TRUE(started.process->SignalTree(SIGSTOP));
  EXPECT_TRUE(started.process->SignalTree(SIGCONT));
  std::ofstream(dir_.File("ready")) << "go\n";
  EXPECT_EQ(started.exit.get(), (ChildExit{false, 4}));
}

TEST_F(Spawner, ManyAtOnceEachReportOnce) {
  std::vector<Started> all;
  for (int i = 0; i < 50; ++i)
    all.push_back(Start({.argv = {"/bin/sh", "-c", "exit " + std::to_string(i)}}));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(all[i].exit.get(), (ChildExit{false, i}));
}

TEST(SpawnerEnd, KillsWhatRuns) {
  std::promise<ChildExit> ended;
  auto spawner = std::make_unique<ProcessSpawner>();
  ASSERT_TRUE(spawner
                  ->Spawn({.argv = {"sleep", "1000"}},
                          [&](const ChildExit& exit) { ended.set_value(exit); })
                  .ok());
  spawner.reset();
  EXPECT_EQ(ended.get_future().get(), (ChildExit{true, SIGKILL}));
}

}  // namespace
}  // namespace banyan
