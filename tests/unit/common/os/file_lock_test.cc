#include "common/os/file_lock.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

namespace banyan {
namespace {

using ::testing::HasSubstr;

// Whether another process gets the lock.
bool OtherProcessLocks(const std::string& path, std::string* error) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    const auto lock = FileLock::Acquire(path);
    const std::string text(lock.status().message());
    (void)!write(ends[1], text.data(), text.size());
    _exit(lock.ok() ? 0 : 1);
  }
  close(ends[1]);
  char text[1024];
  const ssize_t n = read(ends[0], text, sizeof(text));
  close(ends[0]);
  error->assign(text, n > 0 ? n : 0);
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(FileLock, SecondTakerIsToldWhoHasIt) {
  TempDir dir;
  std::string error;
  auto lock = FileLock::Acquire(dir.File("lock"));
  ASSERT_TRUE(lock.ok()) << lock.status();
  EXPECT_EQ(FileLock::Acquire(dir.File("lock")).status().code(),
            absl::StatusCode::kFailedPrecondition);
  // The refused second attempt has not dropped the lock.
  EXPECT_THAT(DescribeLockHolder(dir.File("lock")), HasSubstr(std::to_string(getpid())));
  lock->reset();
  EXPECT_TRUE(OtherProcessLocks(dir.File("lock"), &error)) << error;
  EXPECT_TRUE(FileLock::Acquire(dir.File("lock")).ok());
}

TEST(FileLock, AnotherProcessIsRefusedAndItsEndFreesTheLock) {
  TempDir dir;
  int ready[2];
  int stop[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(stop), 0);
  const pid_t holder = fork();
  if (holder == 0) {
    close(stop[1]);
    auto lock = FileLock::Acquire(dir.File("lock"));
    (void)!write(ready[1], lock.ok() ? "y" : "n", 1);
    char byte;
    (void)!read(stop[0], &byte, 1);
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  const auto refused = FileLock::Acquire(dir.File("lock"));
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("in use by process " + std::to_string(holder)));
  close(stop[1]);
  waitpid(holder, nullptr, 0);
  EXPECT_TRUE(FileLock::Acquire(dir.File("lock")).ok());
}

TEST(FileLock, MissingFolderIsAnError) {
  EXPECT_FALSE(FileLock::Acquire("/no/such/folder/lock").ok());
}

}  // namespace
}  // namespace banyan
