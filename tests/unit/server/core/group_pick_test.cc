// Which member a message for a group goes to: proto/banyan/v1/types.proto, GroupTarget.
#include "server/core/group_pick.h"

#include <algorithm>
#include <map>
#include <string>

#include <gmock/gmock.h>

#include "common/time/random.h"

namespace banyan {
namespace {

using Selection = Target::Group::Selection;

class GroupPickTest : public testing::Test {
 protected:
  // How often each is picked, of 3000.
  std::map<Pid, int> Picks(const GroupPick& pick) {
    std::map<Pid, int> picks;
    for (int i = 0; i < 3000; ++i) ++picks[PickMember(members_, pick, &random_)];
    return picks;
  }
  SeededRandom random_{3};
  const Pid a_{1, 1, 10}, b_{2, 1, 10}, c_{2, 1, 11};
  std::vector<Pid> members_ = {a_, b_, c_};
};

TEST_F(GroupPickTest, NearestIsOneOfThePickingNodeElseAny) {
  std::map<Pid, int> picks = Picks({.selection = Selection::kNearest, .here = 2});
  EXPECT_EQ(picks.size(), 2u);
  EXPECT_GT(picks[b_], 1000);
  EXPECT_GT(picks[c_], 1000);
  EXPECT_EQ(Picks({.selection = Selection::kNearest, .here = 1})[a_], 3000);
  EXPECT_EQ(Picks({.selection = Selection::kNearest, .here = 9}).size(), 3u);
  EXPECT_EQ(Picks({.selection = Selection::kNearest}).size(), 3u);
}

TEST_F(GroupPickTest, RandomIsUniform) {
  for (const auto& [pid, n] : Picks({.selection = Selection::kRandom, .here = 1})) {
    EXPECT_GT(n, 800) << FormatPid(pid);
    EXPECT_LT(n, 1200) << FormatPid(pid);
  }
}

TEST_F(GroupPickTest, LeastLoadedIsTheBetterOfTwo) {
  std::map<Pid, int> picks = Picks({.selection = Selection::kLeastLoaded,
                                    .load = [&](const Pid& p) { return p == a_ ? 0u : p.id; }});
  // a unless it is not among the two; c only if both are c.
  EXPECT_NEAR(picks[a_], 3000 * 5 / 9, 150);
  EXPECT_NEAR(picks[b_], 3000 * 3 / 9, 150);
  EXPECT_NEAR(picks[c_], 3000 * 1 / 9, 150);
}

TEST_F(GroupPickTest, HashIsStableAndMovesOnlyWhatMust) {
  std::map<std::string, Pid> first;
  std::map<Pid, int> spread;
  for (int i = 0; i < 3000; ++i) {
    const std::string key = "key" + std::to_string(i);
    const GroupPick pick{.selection = Selection::kHash, .hash_key = key};
    ++spread[first[key] = PickMember(members_, pick, &random_)];
  }
  for (const auto& [pid, n] : spread) EXPECT_NEAR(n, 1000, 150) << FormatPid(pid);
  std::reverse(members_.begin(), members_.end());
  std::erase(members_, b_);
  for (const auto& [key, pid] : first) {
    const GroupPick pick{.selection = Selection::kHash, .hash_key = key};
    if (pid != b_) EXPECT_EQ(PickMember(members_, pick, &random_), pid) << key;
  }
}

}  // namespace
}  // namespace banyan
