#include "common/os/state_dir.h"

#include <cstdlib>
#include <fstream>

#include "gtest/gtest.h"
#include <sys/stat.h>
#include <unistd.h>

#include "common/os/random_bytes.h"
#include "tests/support/temp_dir.h"

namespace banyan {
namespace {

TEST(StateDir, DefaultPathFollowsTheUser) {
  setenv("XDG_STATE_HOME", "/x", 1);
  const auto path = DefaultStateDir("n1");
  ASSERT_TRUE(path.ok());
  EXPECT_EQ(*path, geteuid() == 0 ? "/var/lib/banyan/n1" : "/x/banyan/n1");
  for (const char* bad : {"", ".", "..", "a/b", "/"})
    EXPECT_FALSE(DefaultStateDir(bad).ok()) << bad;
}

TEST(StateDir, KeepsItsMachineId) {
  TempDir dir;
  const auto first = OpenStateDir(dir.File("a/b/"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->path, dir.File("a/b"));
  EXPECT_EQ(first->machine_id.size(), 32u);
  EXPECT_EQ(first->boot_id.size(), 36u);
  struct stat st;
  ASSERT_EQ(stat(first->path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);
  EXPECT_EQ(OpenStateDir(dir.File("a/b"))->machine_id, first->machine_id);
  EXPECT_NE(OpenStateDir(dir.File("c"))->machine_id, first->machine_id);
}

TEST(StateDir, DamageIsReportedNotRepaired) {
  TempDir dir;
  std::ofstream(dir.File("machine-id")) << "nonsense\n";
  EXPECT_EQ(OpenStateDir(dir.path()).status().code(), absl::StatusCode::kDataLoss);
  std::ofstream(dir.File("file")) << "x";
  EXPECT_FALSE(OpenStateDir(dir.File("file")).ok());
  EXPECT_FALSE(OpenStateDir("").ok());
}

TEST(RandomBytes, HexAndLength) {
  EXPECT_EQ(ToHex(std::string("\x00\xff\x1a", 3)), "00ff1a");
  EXPECT_EQ(RandomBytes(300).size(), 300u);
  EXPECT_NE(RandomBytes(16), RandomBytes(16));
}

}  // namespace
}  // namespace banyan
