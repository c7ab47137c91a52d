#include "server/node/route_cache.h"

#include <gtest/gtest.h>

namespace banyan {
namespace {

TEST(RouteCacheTest, TheLeastRecentlyUsedGoesFirst) {
  RouteCache cache(2);
  cache.Put("a", {Pid{1, 1, 1}, 1});
  cache.Put("b", {Pid{1, 1, 2}, 1});
  EXPECT_TRUE(cache.Find("a"));
  cache.Put("c", {Pid{1, 1, 3}, 1});
  EXPECT_TRUE(cache.Find("a"));
  EXPECT_FALSE(cache.Find("b"));
  EXPECT_EQ(cache.size(), 2u);
}

TEST(RouteCacheTest, OlderWordsDoNotWin) {
  RouteCache cache(2);
  cache.Put("a", {Pid{1, 1, 1}, 5});
  EXPECT_FALSE(cache.Put("a", {Pid{2, 1, 1}, 4}));
  cache.Release("a", 4);
  EXPECT_TRUE(cache.Find("a"));
  cache.Release("a", 5);
  EXPECT_FALSE(cache.Find("a"));
}

}  // namespace
}  // namespace banyan
