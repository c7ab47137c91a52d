#include "server/node/cluster_view.h"

#include <gtest/gtest.h>

namespace banyan {
namespace {

internal::v1::ViewUpdate Update(uint32_t epoch, uint64_t version, bool full, uint32_t node) {
  internal::v1::ViewUpdate u;
  u.set_epoch(epoch);
  u.set_version(version);
  u.set_full(full);
  v1::NodeInfo* n = u.add_nodes();
  n->set_node_id(node);
  n->set_name("n" + std::to_string(node));
  n->set_incarnation(1);
  return u;
}

TEST(ClusterViewTest, ChangesAddUpAndFullOnesReplace) {
  ClusterView v;
  EXPECT_TRUE(v.Apply(Update(1, 1, true, 1)));
  EXPECT_TRUE(v.Apply(Update(1, 2, false, 2)));
  EXPECT_EQ(v.members().size(), 2u);
  EXPECT_TRUE(v.Apply(Update(1, 3, true, 3)));
  EXPECT_EQ(v.members().size(), 1u);
}

TEST(ClusterViewTest, OldOnesChangeNothing) {
  ClusterView v;
  EXPECT_TRUE(v.Apply(Update(2, 5, true, 1)));
  EXPECT_FALSE(v.Apply(Update(2, 5, false, 2)));
  EXPECT_FALSE(v.Apply(Update(1, 9, true, 2)));
  EXPECT_TRUE(v.Apply(Update(3, 1, true, 2)));
}

TEST(ClusterViewTest, NodesAreFoundByNameAndNumber) {
  ClusterView v;
  v.Apply(Update(1, 1, true, 12));
  EXPECT_NE(v.Find(std::string("n12")), nullptr);
  EXPECT_NE(v.Find(std::string("12")), nullptr);
  EXPECT_EQ(v.Find(std::string("12x")), nullptr);
  EXPECT_EQ(v.Find(std::string("")), nullptr);
}

}  // namespace
}  // namespace banyan
