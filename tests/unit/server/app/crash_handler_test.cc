#include "server/app/crash_handler.h"

#include <csignal>
#include <filesystem>

#include "gtest/gtest.h"
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/runtime/origin.h"
#include "tests/support/temp_dir.h"

namespace banyan::app {
namespace {

// Dies of `signal` in a process of its own that is at work for `origin`; how it ended.
int DieOf(int signal, const std::string& file, WatchPage* page, const ProcessOrigin* origin,
          uint32_t incarnation) {
  const pid_t pid = fork();
  if (pid == 0) {
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    // A sanitizer has handlers of its own, which would end the process in another way.
    std::signal(signal, SIG_DFL);
    InstallCrashHandler(file, page);
    SetCrashIncarnation(incarnation);
    UseCrashStack();
    WorkingFor working(origin);
    raise(signal);
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

TEST(CrashHandlerTest, EachOfTheSignalsIsWrittenDownAndStillEndsTheProcess) {
  const TempDir dir;
  for (int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) {
    const std::string file = dir.File("crash");
    std::filesystem::remove(file);
    WatchPage* page = WatchPage::Map();
    const ProcessOrigin origin((uint64_t{3} << 39) | 4711, "shop/payments/w3");
    const int status = DieOf(signal, file, page, &origin, 5);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << signal << ": " << status;
    const auto crash = ReadCrashFile(file);
    ASSERT_TRUE(crash.has_value()) << signal;
    EXPECT_EQ(crash->incarnation(), 5u);
    EXPECT_EQ(crash->fence(), origin.fence.load());
    EXPECT_EQ(crash->signal(), signal);
    ASSERT_EQ(crash->path_size(), 3);
    EXPECT_EQ(crash->path(2), "w3");
    EXPECT_EQ(page->crash().signal, signal);
    EXPECT_EQ(page->crash().fence, origin.fence.load());
    EXPECT_EQ(page->crash().path, "shop/payments/w3");
  }
}

TEST(CrashHandlerTest, NobodysCrashLeavesNothing) {
  const TempDir dir;
  WatchPage* page = WatchPage::Map();
  const ProcessOrigin origin(7, "s/a");
  // Of the node's own code, and of a node that is no member.
  DieOf(SIGSEGV, dir.File("crash"), page, nullptr, 5);
  DieOf(SIGSEGV, dir.File("crash"), page, &origin, 0);
  EXPECT_FALSE(std::filesystem::exists(dir.File("crash")));
  EXPECT_EQ(page->crash().signal, 0);
}

TEST(CrashHandlerTest, APathThatIsTooLongForThePageIsCut) {
  WatchPage* page = WatchPage::Map();
  page->SetCrash(11, 7, std::string(5000, 'x').c_str());
  EXPECT_EQ(page->crash().path, std::string(WatchPage::kPathBytes - 1, 'x'));
  EXPECT_EQ(page->crash().fence, 7u);
}

TEST(CrashHandlerTest, WhatIsNoCrashFileReadsAsNone) {
  const TempDir dir;
  EXPECT_FALSE(ReadCrashFile(dir.File("none")).has_value());
  for (const char* text : {"", "5", "5 7 11", "x 7 11 s/a", "5 7 x s/a"}) {
    std::FILE* file = std::fopen(dir.File("crash").c_str(), "w");
    std::fputs(text, file);
    std::fclose(file);
    EXPECT_FALSE(ReadCrashFile(dir.File("crash")).has_value()) << text;
  }
}

}  // namespace
}  // namespace banyan::app
