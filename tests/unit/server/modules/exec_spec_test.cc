#include "server/modules/exec_spec.h"

#include "gmock/gmock.h"
#include "google/protobuf/wrappers.pb.h"
#include "gtest/gtest.h"
#include <signal.h>

#include "common/wire/payload.h"

namespace banyan {
namespace {

using modules::v1::ExecArgs;
using testing::HasSubstr;

std::string ErrorOf(const ExecArgs& args) {
  return std::string(ParseExecSpec({wire::MakePayload(args)}).status().message());
}

TEST(ExecSpec, DefaultsToSigterm) {
  ExecArgs args;
  args.add_argv("true");
  absl::StatusOr<ExecSpec> spec = ParseExecSpec({wire::MakePayload(args)});
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->stop_signal, SIGTERM);
  args.set_stop_signal("int");
  EXPECT_EQ(ParseExecSpec({wire::MakePayload(args)})->stop_signal, SIGINT);
}

TEST(ExecSpec, NamesEveryWrongField) {
  EXPECT_THAT(ErrorOf({}), HasSubstr("argv"));
  ExecArgs args;
  args.add_argv("");
  args.set_stop_signal("SIGFOO");
  (*args.mutable_env())["A=B"] = "x";
  EXPECT_THAT(ErrorOf(args), testing::AllOf(HasSubstr("argv[0]"), HasSubstr("stop_signal"),
                                            HasSubstr("env"), HasSubstr("TERM, INT")));
  EXPECT_FALSE(ParseExecSpec({}).ok());
  EXPECT_FALSE(ParseExecSpec({Payload()}).ok());
}

TEST(ExecSpec, NulBytesAreRefused) {
  ExecArgs args;
  args.add_argv(std::string("a\0b", 3));
  args.set_cwd(std::string("\0", 1));
  EXPECT_THAT(ErrorOf(args), testing::AllOf(HasSubstr("argv[0]"), HasSubstr("cwd")));
}

TEST(ExecSpec, EndsAsExitReasons) {
  EXPECT_TRUE(ReasonOfExit({false, 0}).is_normal());
  ExitReason status = ReasonOfExit({false, 3});
  EXPECT_EQ(status.type(), "exit_status");
  EXPECT_EQ(wire::Unpack<google::protobuf::Int32Value>(status.detail())->value(), 3);
  ExitReason signal = ReasonOfExit({true, SIGKILL});
  EXPECT_EQ(signal.type(), "signal");
  EXPECT_THAT(signal.message(), HasSubstr("SIGKILL"));
}

TEST(ExecSpec, AddedVariablesWin) {
  setenv("BANYAN_TEST_VARIABLE", "old", 1);
  std::vector<std::string> env = MergedEnvironment({{"BANYAN_TEST_VARIABLE", "new"}});
  EXPECT_THAT(env, testing::Contains("BANYAN_TEST_VARIABLE=new"));
  EXPECT_THAT(env, testing::Not(testing::Contains("BANYAN_TEST_VARIABLE=old")));
}

}  // namespace
}  // namespace banyan
