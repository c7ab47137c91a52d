#include "common/time/thread_executor.h"

#include "gmock/gmock.h"

namespace banyan {
namespace {

TEST(ThreadExecutor, RunsInOrderAndDrains) {
  std::vector<int> ran;
  {
    ThreadExecutor strand("test-strand-with-a-long-name");
    EXPECT_FALSE(strand.RunsOnThisThread());
    for (int i = 0; i < 100; ++i) strand.Post([&ran, i] { ran.push_back(i); });
    strand.Post([&] {
      EXPECT_TRUE(strand.RunsOnThisThread());
      strand.Post([&] { ran.push_back(1000); });
    });
  }
  ASSERT_EQ(ran.size(), 101u);
  EXPECT_EQ(ran[99], 99);
  EXPECT_EQ(ran[100], 1000);
}

}  // namespace
}  // namespace banyan
