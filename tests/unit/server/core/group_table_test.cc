// spec/signals.md 12: what joins, leaves and losses make of a scope's groups.
#include "server/core/group_table.h"

#include <algorithm>

#include <gmock/gmock.h>

#include "common/time/random.h"

namespace banyan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = GroupChange::Kind;

const Pid kP = Pid::Local(1, 1), kQ = Pid::Local(2, 1);
const Pid kR{7, 1, 1}, kS{7, 1, 2}, kOld{7, 0, 1}, kNext{8, 1, 1};

TEST(GroupTable, AMemberIsThereAsOftenAsItJoined) {
  GroupTable t;
  t.Join("g", {kP});
  t.Join("g", {kQ, kP});
  EXPECT_THAT(t.Members("g"), ElementsAre(kP, kP, kQ));
  EXPECT_THAT(t.Leave("g", {kP}), ElementsAre(kP));
  EXPECT_THAT(t.Members("g"), ElementsAre(kP, kQ));
}

TEST(GroupTable, LeaveTellsOnlyWhoWasAMember) {
  GroupTable t;
  t.Join("g", {kP, kP});
  EXPECT_THAT(t.Leave("g", {kQ}), IsEmpty());
  EXPECT_THAT(t.Leave("other", {kP}), IsEmpty());
  EXPECT_THAT(t.Leave("g", {kP, kQ, kP, kP}), ElementsAre(kP, kP));
  EXPECT_TRUE(t.empty());
  EXPECT_FALSE(t.Contains(kP));
}

TEST(GroupTable, AGroupExistsWhileItHasMembers) {
  GroupTable t;
  t.Join("g", {});
  EXPECT_THAT(t.WhichGroups(), IsEmpty());
  t.Join("g", {kR});
  t.Join("a", {kP});
  EXPECT_THAT(t.WhichGroups(), ElementsAre("a", "g"));
  EXPECT_THAT(t.WhichLocalGroups(), ElementsAre("a"));
  t.Leave("g", {kR});
  EXPECT_THAT(t.WhichGroups(), ElementsAre("a"));
  EXPECT_THAT(t.Members("g"), IsEmpty());
}

TEST(GroupTable, LocalMembersAreThoseOfThisNode) {
  GroupTable t;
  t.Join("g", {kS, kQ, kR, kP, kP});
  EXPECT_THAT(t.LocalMembers("g"), ElementsAre(kP, kP, kQ));
  EXPECT_THAT(t.MembersOf(7, 1, "g"), ElementsAre(kR, kS));
  EXPECT_THAT(t.MembersOf(7, 2, "g"), IsEmpty());
}

TEST(GroupTable, AnEndIsALeaveForEachJoin) {
  GroupTable t;
  t.Join("g", {kP, kP, kQ});
  t.Join("h", {kP});
  EXPECT_THAT(t.Forget(kP), ElementsAre(GroupChange{Kind::kLeave, "g", {kP}},
                                        GroupChange{Kind::kLeave, "g", {kP}},
                                        GroupChange{Kind::kLeave, "h", {kP}}));
  EXPECT_THAT(t.Forget(kP), IsEmpty());
  EXPECT_THAT(t.WhichGroups(), ElementsAre("g"));
}

TEST(GroupTable, ALostNodeTakesItsMembersOfThatLifeOnly) {
  GroupTable t;
  t.Join("g", {kP, kR, kR, kS, kOld, kNext});
  t.Join("h", {kS});
  t.Join("i", {kQ});
  EXPECT_THAT(t.ForgetNode(7, 1), ElementsAre(GroupChange{Kind::kLeave, "g", {kR, kR, kS}},
                                              GroupChange{Kind::kLeave, "h", {kS}}));
  EXPECT_THAT(t.Members("g"), ElementsAre(kP, kOld, kNext));
  EXPECT_THAT(t.WhichGroups(), ElementsAre("g", "i"));
}

TEST(GroupTable, ReplaceTellsTheDifference) {
  GroupTable t;
  t.Join("g", {kP, kR, kR, kNext});
  EXPECT_THAT(t.Replace(7, 1, "g", {kS, kR}), ElementsAre(GroupChange{Kind::kLeave, "g", {kR}},
                                                          GroupChange{Kind::kJoin, "g", {kS}}));
  EXPECT_THAT(t.Members("g"), ElementsAre(kP, kR, kS, kNext));
  EXPECT_THAT(t.Replace(7, 1, "g", {kR, kS}), IsEmpty());
  EXPECT_THAT(t.Replace(7, 1, "g", {}), ElementsAre(GroupChange{Kind::kLeave, "g", {kR, kS}}));
  EXPECT_THAT(t.Replace(7, 1, "new", {kR}), ElementsAre(GroupChange{Kind::kJoin, "new", {kR}}));
}

// Whatever happens, the table agrees with plain lists.
TEST(GroupTable, AgreesWithAListOfMembers) {
  SeededRandom random(4);
  GroupTable t;
  std::map<std::string, std::vector<Pid>> lists;
  const std::vector<Pid> pids = {kP, kQ, kR, kS, kNext};
  for (int step = 0; step < 1500; ++step) {
    const std::string group = step % 3 == 0 ? "g" : "h";
    const Pid pid = pids[random.Below(pids.size())];
    std::vector<Pid>& list = lists[group];
    const auto at = std::find(list.begin(), list.end(), pid);
    switch (random.Below(5)) {
      case 0:
      case 1:
        t.Join(group, {pid});
        list.push_back(pid);
        break;
      case 2:
      case 3:
        EXPECT_EQ(t.Leave(group, {pid}).size(), at == list.end() ? 0u : 1u);
        if (at != list.end()) list.erase(at);
        break;
      default:
        if (random.Below(20) == 0) {
          t.ForgetNode(pid.node_id, pid.incarnation);
          for (auto& [name, l] : lists) {
            std::erase_if(l, [&](const Pid& p) { return p.node_id == pid.node_id; });
          }
        }
    }
    for (auto& [name, l] : lists) {
      EXPECT_THAT(t.Members(name), ::testing::UnorderedElementsAreArray(l));
      EXPECT_EQ(t.All().contains(name), !l.empty());
    }
    for (const Pid& p : pids) {
      bool in = false;
      for (auto& [name, l] : lists) in |= std::count(l.begin(), l.end(), p) > 0;
      EXPECT_EQ(t.Contains(p), in);
    }
  }
}

}  // namespace
}  // namespace banyan
