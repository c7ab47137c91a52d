#include "server/app/node_state.h"

#include <fstream>

#include "gtest/gtest.h"

#include "server/app/settings.h"
#include "tests/support/temp_dir.h"

namespace banyan::app {
namespace {

class NodeStateTest : public ::testing::Test {
 protected:
  std::string path() const { return folder_.File("node.state"); }
  TempDir folder_;
};

TEST_F(NodeStateTest, ReadsBackWhatWasSaved) {
  EXPECT_EQ(*LoadNodeState(path()), NodeState());
  const NodeState state{std::string("\0\xff ab", 5), std::string(16, '\n'), 7, uint64_t{1} << 40,
                        26};
  ASSERT_TRUE(SaveNodeState(path(), state).ok());
  EXPECT_EQ(*LoadNodeState(path()), state);
}

TEST_F(NodeStateTest, AnEarlierReleasesFileIsRead) {
  std::ofstream(path()) << "cluster 61\nstore 62\nepoch 7\n";
  EXPECT_EQ(*LoadNodeState(path()), (NodeState{"a", "b", 7, 0, 0}));
}

TEST_F(NodeStateTest, ADamagedFileIsRefused) {
  for (const char* bad : {"cluster", "cluster 0g\n", "cluster 123\n", "epoch x\n", "epoch -1\n",
                          "revision x\n", "starts x\n"}) {
    std::ofstream(path()) << bad;
    EXPECT_EQ(LoadNodeState(path()).status().code(), absl::StatusCode::kDataLoss) << bad;
  }
}

absl::StatusOr<Settings> Read(Role role, std::map<std::string, std::vector<std::string>> flags) {
  config::Options options;
  DeclareOptions(role, &options);
  config::Sources sources;
  sources.flags = std::move(flags);
  sources.env = [](const std::string&) { return std::nullopt; };
  if (absl::Status status = options.Load(sources); !status.ok()) return status;
  return ReadSettings(role, options);
}

TEST(SettingsTest, ExecIsOffWhereOthersCanReachTheNode) {
  EXPECT_TRUE(Read(Role::kNode, {{"name", {"n"}}})->allow_exec);
  const std::map<std::string, std::vector<std::string>> open = {
      {"name", {"n"}}, {"listen", {"0.0.0.0:1"}}, {"advertise", {"h:1"}}, {"insecure", {"true"}}};
  EXPECT_FALSE(Read(Role::kNode, open)->allow_exec);
  EXPECT_EQ(Read(Role::kNode, open)->warnings.size(), 1u);
  auto allowed = open;
  allowed["allow-exec"] = {"true"};
  EXPECT_TRUE(Read(Role::kNode, allowed)->allow_exec);
}

TEST(SettingsTest, WhatANodeDoesWhenItIsDeclaredDead) {
  EXPECT_TRUE(Read(Role::kNode, {{"name", {"n"}}})->rejoin_when_dead);
  EXPECT_FALSE(Read(Role::kNode, {{"name", {"n"}}, {"on-dead", {"exit"}}})->rejoin_when_dead);
  EXPECT_FALSE(Read(Role::kNode, {{"name", {"n"}}, {"on-dead", {"sleep"}}}).ok());
}

TEST(SettingsTest, AllProblemsAtOnce) {
  auto settings =
      Read(Role::kNode, {{"name", {"a/b"}}, {"listen", {"10.0.0.1:1"}}, {"lease-scale", {"x"}}});
  ASSERT_FALSE(settings.ok());
  for (const char* part :
       {"name (flag --name)", "--insecure", "lease-scale (flag --lease-scale)"}) {
    EXPECT_NE(settings.status().message().find(part), absl::string_view::npos) << settings.status();
  }
}

}  // namespace
}  // namespace banyan::app
