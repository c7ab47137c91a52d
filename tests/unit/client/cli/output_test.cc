#include "client/cli/output.h"

#include <sstream>

#include "gtest/gtest.h"

namespace banyan::cli {
namespace {

std::string Print(const Table& table, int width = 0) {
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  Environment env{.in = in, .out = out, .err = err};
  env.out_is_terminal = width > 0;
  env.width = width;
  Cli cli(env, GlobalOptions());
  table.Print(cli);
  return out.str();
}

TEST(Table, AlignsByWhatIsSeen) {
  Table table({"NAME", ">N"});
  table.Add({"├─ a", "7"});
  table.Add({"\033[32mlonger\033[0m", "1,204"});
  EXPECT_EQ(Print(table), "NAME        N\n├─ a        7\n\033[32mlonger\033[0m  1,204\n");
}

TEST(Table, IsCutOnATerminalOnly) {
  Table table({});
  table.Add({"├─ abcdef", "x"});
  EXPECT_EQ(Print(table, 6), "├─ abc\n");
  EXPECT_EQ(Print(table), "├─ abcdef  x\n");
}

TEST(EnumWords, LosePrefixAndCase) {
  EXPECT_EQ(Word(v1::CHILD_STATE_RUNNING), "running");
  EXPECT_EQ(Word(v1::SupervisorSpec::STRATEGY_SIMPLE_ONE_FOR_ONE), "simple_one_for_one");
  EXPECT_EQ(EnumFromWord(v1::SupervisorEvent::Kind_descriptor(), "child-restarted"),
            v1::SupervisorEvent::KIND_CHILD_RESTARTED);
  EXPECT_EQ(EnumFromWord(v1::SupervisorEvent::Kind_descriptor(), "KIND_CHILD_RESTARTED"),
            v1::SupervisorEvent::KIND_CHILD_RESTARTED);
  EXPECT_EQ(EnumFromWord(v1::SupervisorEvent::Kind_descriptor(), "x"), -1);
}

TEST(Numbers, AreShort) {
  EXPECT_EQ(Count(7), "7");
  EXPECT_EQ(Count(1204), "1,204");
  EXPECT_EQ(Count(1234567), "1,234,567");
  EXPECT_EQ(Bytes(118 << 20), "118Mi");
  EXPECT_EQ(Bytes(1536), "1.5Ki");
  EXPECT_EQ(FenceText(0), "-");
}

TEST(JsonToYaml, KeepsStringsStrings) {
  EXPECT_EQ(JsonToYaml(R"({"a": "5", "b": 5, "c": [], "d": {"e": "x"}, "f": "true"})"),
            "a: \"5\"\nb: 5\nc: []\nd:\n  e: x\nf: \"true\"");
}

}  // namespace
}  // namespace banyan::cli
