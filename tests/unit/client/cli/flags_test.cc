#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/unit/client/cli/fake_server.h"

namespace banyan::cli {
namespace {

using testing::HasSubstr;

TEST(Flags, WrongUsageExitsWith2AndNamesTheFlag) {
  const struct {
    std::vector<std::string> args;
    const char* says;
  } kCases[] = {
      {{}, "a command is missing"},
      {{"nonsense"}, "no command \"nonsense\""},
      {{"node"}, "a command is missing"},
      {{"node", "paint"}, "no command \"paint\""},
      {{"status", "--nonsense"}, "--nonsense"},
      {{"status", "-o", "xml"}, "--output: \"xml\" is not one of"},
      {{"status", "--timeout", "5"}, "--timeout: \"5\" is not a duration"},
      {{"status", "--addr", "localhost"}, "--addr: \"localhost\" is not an address"},
      {{"status", "--color", "blue"}, "--color"},
      {{"whereis"}, "TARGET"},
      {{"whereis", "a b"}, "' '"},
      {{"sup", "start"}, "NAME is missing"},
      {{"sup", "start", "x", "--strategy", "most_for_one"},
       "--strategy: \"most_for_one\" is not one of"},
      {{"sup", "start", "x", "--intensity", "-1"}, "--intensity"},
      {{"sup", "start", "x", "--period", "soon"}, "--period"},
      {{"sup", "start", "x", "--strategy", "simple_one_for_one"}, "--module is missing"},
      {{"sup", "start", "x", "--module", "kv"}, "template of simple_one_for_one"},
      {{"sup", "start", "x y"}, "NAME"},
      {{"sup", "start", "x", "-f", "/no/such/file"}, "can't be read"},
      {{"child", "start", "x", "--args", "{}"}, "--args: it must be a JSON list"},
      {{"child", "start", "x", "--id", "a", "--module", "m", "--shutdown", "never"}, "--shutdown"},
      {{"call", "x", "{"}, "not JSON"},
      {{"call", "x", "@/no/such/file"}, "can't be read"},
      {{"version", "--proto", "/no/such/file.proto"}, "--proto"},
  };
  for (const auto& c : kCases) {
    const Ran ran = RunBanyan("", c.args);
    EXPECT_EQ(ran.code, 2) << c.says << ": " << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(c.says));
    EXPECT_EQ(ran.out, "");
  }
}

TEST(Flags, HelpGoesToStdout) {
  const Ran ran = RunBanyan("", {"--help"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, HasSubstr("whereis"));
  EXPECT_EQ(RunBanyan("", {"child", "start", "--help"}).code, 0);
}

TEST(Flags, NobodyThereIsExitCode7WithAHint) {
  const Ran ran = RunBanyan("127.0.0.1:1", {"status"});
  EXPECT_EQ(ran.code, 7);
  EXPECT_THAT(ran.err, HasSubstr("nobody answered at 127.0.0.1:1"));
  EXPECT_THAT(ran.err, HasSubstr("BANYAN_ADDR"));
  EXPECT_EQ(RunBanyan("127.0.0.1:1", {"health"}).code, 7);
  EXPECT_EQ(RunBanyan("127.0.0.1:1", {"events", "-f"}).code, 7);
  EXPECT_EQ(
      RunBanyan("127.0.0.1:1", {"wait", "--for", "node/n1=active", "--timeout", "100ms"}).code, 7);
}

TEST(Flags, EnvironmentStandsBehindFlags) {
  FakeServer server;
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  Environment env{.in = in, .out = out, .err = err};
  const std::string address = server.address();
  env.get_env = [&](const char* name) -> const char* {
    if (std::string_view(name) == "BANYAN_ADDR") return address.c_str();
    if (std::string_view(name) == "BANYAN_OUTPUT") return "name";
    if (std::string_view(name) == "BANYAN_TIMEOUT") return "soon";
    return nullptr;
  };
  EXPECT_EQ(Main({"node", "list"}, env), 2);
  EXPECT_THAT(err.str(), HasSubstr("BANYAN_TIMEOUT: \"soon\""));
  EXPECT_EQ(Main({"node", "list", "--timeout", "5s"}, env), 0);
  EXPECT_EQ(out.str(), "n1\nn2\n");
}

}  // namespace
}  // namespace banyan::cli
