#include "tests/integration/daemon.h"

#include <cstdlib>
#include <cstring>

#include "gtest/gtest.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/os/process_tree.h"

namespace banyan::test {
namespace {

// "KEY VALUE" out of "... KEY VALUE, ..." of the line that a serving daemon prints.
std::string AfterWord(const std::string& output, const std::string& word) {
  const size_t at = output.find(word);
  if (at == std::string::npos) return "";
  const size_t from = at + word.size();
  return output.substr(from, output.find_first_of(",\n", from) - from);
}

}  // namespace

bool WaitForEnd(int pidfd, std::chrono::milliseconds limit) {
  pollfd waiting{pidfd, POLLIN, 0};
  return poll(&waiting, 1, static_cast<int>(limit.count())) == 1;
}

Daemon::Daemon(std::vector<std::string> args, std::string program) {
  if (program.empty()) program = BANYAND_PATH;
  int pipe_fds[2];
  BANYAN_CHECK(pipe2(pipe_fds, O_CLOEXEC) == 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], 1);
  posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], 2);
  args.insert(args.begin(), program);
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  // A group of its own: what a test sends to one of them must not reach the test.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int error =
      posix_spawn(&first_, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(pipe_fds[1]);
  BANYAN_CHECK(error == 0);
  first_fd_ = OpenPidFd(first_);
  reader_ = std::thread([this, fd = pipe_fds[0]] { ReadOutput(fd); });
}

Daemon::~Daemon() {
  // A sanitizer's report takes a while, and ends the process.
  if (!exit_ && output().find("Sanitizer") != std::string::npos) WaitForExit();
  if (!exit_) {
    if (const pid_t serving = pid(); serving != 0) kill(serving, SIGKILL);
    // A watcher ends by itself when its node has ended, after what the node had started.
    if (!WaitForEnd(first_fd_.get(), std::chrono::seconds(5))) SignalFirst(SIGKILL);
    WaitForExit();
  }
  reader_.join();
  for (const char* bad : {"Sanitizer", "runtime error:", "invariant broken"}) {
    EXPECT_EQ(output().find(bad), std::string::npos) << output();
  }
  if (const char* loud = std::getenv("BANYAN_TEST_OUTPUT"); loud != nullptr) {
    std::fputs(output().c_str(), stderr);
  }
}

void Daemon::ReadOutput(int fd) {
  char buffer[4096];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    MutexLock lock(&mu_);
    if (n > 0) output_.append(buffer, static_cast<size_t>(n));
    if (n <= 0) eof_ = true;
    changed_.notify_all();
    if (n <= 0) break;
  }
  close(fd);
}

bool Daemon::WaitForOutput(const std::string& text) {
  std::unique_lock<Mutex> lock(mu_);
  bool found = false;
  changed_.wait_for(lock, kPatience, [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    found = output_.find(text) != std::string::npos;
    return found || eof_;
  });
  return found;
}

bool Daemon::WaitUntilServing() { return WaitForOutput("\ntry: "); }

std::string Daemon::output() const {
  MutexLock lock(&mu_);
  return output_;
}

std::string Daemon::address() const { return AfterWord(output(), ": serving on "); }

pid_t Daemon::pid() const { return std::atoi(AfterWord(output(), ", pid ").c_str()); }

void Daemon::Signal(int signal) const { kill(pid(), signal); }

void Daemon::SignalFirst(int signal) const { SignalPidFd(first_fd_.get(), signal); }

std::optional<int> Daemon::WaitForExit() {
  if (exit_) return exit_;
  if (!WaitForEnd(first_fd_.get(), kPatience)) return std::nullopt;
  int status = 0;
  if (waitpid(first_, &status, 0) != first_) return std::nullopt;
  exit_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_;
}

}  // namespace banyan::test
