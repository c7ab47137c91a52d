#include "server/core/child_table.h"

#include <gtest/gtest.h>

namespace banyan {
namespace {

std::shared_ptr<const ChildSpec> Spec(std::string id, ChildType type = ChildType::kWorker) {
  auto s = std::make_shared<ChildSpec>();
  s->id = std::move(id);
  s->type = type;
  return s;
}

std::string Ids(const ChildTable& t) {
  std::string ids;
  for (const ChildRecord* r = t.First(); r != nullptr; r = t.Next(r)) ids += r->spec->id;
  return ids;
}

TEST(ChildTable, KeepsStartOrderAndFindsByKeyIdAndPid) {
  ChildTable t(true);
  ChildRecord* a = t.Append(Spec("a"));
  ChildRecord* b = t.Append(Spec("b", ChildType::kSupervisor));
  ChildRecord* c = t.Append(Spec("c"));
  t.SetPid(b, Pid::Local(7, 1));
  EXPECT_EQ(Ids(t), "abc");
  EXPECT_EQ(t.Find(b->key), b);
  EXPECT_EQ(t.FindById("c"), c);
  EXPECT_EQ(t.FindById("d"), nullptr);
  EXPECT_EQ(t.FindByPid(Pid::Local(7, 1)), b);
  EXPECT_EQ(t.FindByPid(Pid{}), nullptr);
  EXPECT_EQ(t.supervisors(), 1u);
  t.SetPid(b, Pid::Local(8, 1));
  EXPECT_EQ(t.FindByPid(Pid::Local(7, 1)), nullptr);
  t.MoveToEnd(a);
  EXPECT_EQ(Ids(t), "bca");
  t.Remove(c->key);
  EXPECT_EQ(Ids(t), "ba");
  EXPECT_EQ(t.FindById("c"), nullptr);
}

// A start function may return one pid twice.
TEST(ChildTable, OfTwoChildrenWithOneProcessTheFirstIsFound) {
  ChildTable t(true);
  ChildRecord* a = t.Append(Spec("a"));
  ChildRecord* b = t.Append(Spec("b"));
  t.SetPid(a, Pid::Local(7, 1));
  t.SetPid(b, Pid::Local(7, 1));
  EXPECT_EQ(t.FindByPid(Pid::Local(7, 1)), a);
  t.Remove(b->key);
  EXPECT_EQ(t.FindByPid(Pid::Local(7, 1)), a);
}

TEST(ChildTable, KeysRiseAndAreNeverReused) {
  ChildTable t(true);
  ChildKey last = kNoChild;
  for (int i = 0; i < 1000; ++i) {
    const ChildKey key = t.Append(Spec("a"))->key;
    ASSERT_GT(key, last);
    ASSERT_EQ(t.Find(last), nullptr);
    last = key;
    t.Remove(key);
  }
  EXPECT_EQ(t.Find(kNoChild), nullptr);
  EXPECT_EQ(t.Find(~ChildKey{0}), nullptr);
}

TEST(ChildTable, ManyChildrenShareOneSpec) {
  ChildTable t(false);
  const auto spec = Spec("t");
  std::vector<ChildKey> keys;
  for (uint32_t i = 1; i <= 200'000; ++i) {
    ChildRecord* r = t.Append(spec);
    t.SetPid(r, Pid::Local(i, 1));
    keys.push_back(r->key);
  }
  for (uint32_t i = 1; i <= 200'000; i += 1000) {
    EXPECT_EQ(t.FindByPid(Pid::Local(i, 1))->key, keys[i - 1]);
  }
  for (ChildKey key : keys) t.Remove(key);
  EXPECT_TRUE(t.empty());
  EXPECT_EQ(spec.use_count(), 1);
}

TEST(ChildTable, RestoresKeysInAnyOrder) {
  ChildTable t(true);
  std::vector<ChildKey> keys;
  for (const char* id : {"a", "b", "c"}) keys.push_back(t.Append(Spec(id))->key);
  t.Remove(keys[1]);
  ChildTable u(true);
  u.AppendWithKey(keys[2], Spec("c"));
  u.AppendWithKey(keys[0], Spec("a"));
  u.FinishRestore();
  EXPECT_EQ(Ids(u), "ca");
  const ChildKey fresh = u.Append(Spec("d"))->key;
  EXPECT_GT(fresh, keys[2]);
  EXPECT_EQ(u.Find(keys[1]), nullptr);
}

TEST(ChildTable, TwoRecordsOfOnePidDoNotConfuseTheIndex) {
  ChildTable t(true);
  ChildRecord* a = t.Append(Spec("a"));
  ChildRecord* b = t.Append(Spec("b"));
  t.SetPid(a, Pid::Local(7, 1));
  t.SetPid(b, Pid::Local(7, 1));
  t.Remove(b->key);
  EXPECT_EQ(t.FindByPid(Pid::Local(7, 1)), a);
}

}  // namespace
}  // namespace banyan
