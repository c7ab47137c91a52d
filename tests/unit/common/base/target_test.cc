#include "common/base/target.h"

#include "gmock/gmock.h"

#include "common/base/error.h"

namespace banyan {
namespace {

TEST(ParseTarget, RoundTripsEveryForm) {
  for (const char* text :
       {"n1:3:4711.2", "1:3:4711", "0:0:17", "name:counter/eu", "name:logger@n2", "name:logger@2",
        "group:workers", "group:workers#random", "group:workers#least", "group:w#hash=a:b#c",
        "child:shop/payments/w3", "child:apps%2Fshop/w3", "group:1:17", "pid:1:17"}) {
    absl::StatusOr<Target> target = ParseTarget(text);
    ASSERT_TRUE(target.ok()) << text << ": " << target.status();
    EXPECT_EQ(FormatTarget(*target), text);
  }
}

TEST(ParseTarget, KeepsTheNodesNameUntilItIsResolved) {
  Target target = *ParseTarget("pid:n1:3:4711.2");
  const auto& by = std::get<Target::ByPid>(target.kind);
  EXPECT_EQ(by.node, "n1");
  EXPECT_EQ(by.pid, (Pid{0, 3, (uint64_t{2} << 32) | 4711}));
  EXPECT_EQ(target.pid(), nullptr);
  EXPECT_EQ(*ParseTarget("7:3:4711")->pid(), (Pid{7, 3, 4711}));
}

TEST(ParseTarget, TakesABareNameAndASlashInTheRootsName) {
  EXPECT_EQ(*ParseTarget("counter/eu"), Target::Named("counter/eu"));
  EXPECT_EQ(std::get<Target::ChildPath>(ParseTarget("child:a%2Fb/c")->kind).supervisor, "a/b");
}

TEST(ParseTarget, RefusesWhatIsNoTarget) {
  for (const char* text : {"",
                           ":",
                           "a b",
                           "name:",
                           "name:a//b",
                           "name:/a",
                           "n1:3",
                           "n1:3:0",
                           "n1:x:4",
                           "n1:3:4294967296",
                           "pid:1:2:3.",
                           "12:3:4.5.6",
                           "group:",
                           "group:g#worst",
                           "group:g#hash=",
                           "child:a",
                           "child:/a",
                           "child:a//b",
                           "x@",
                           "@n",
                           "x@n/1",
                           "name:\xff",
                           "99999999999:1:1",
                           "a:b:c:d"}) {
    absl::StatusOr<Target> target = ParseTarget(text);
    EXPECT_FALSE(target.ok()) << text;
    EXPECT_EQ(ErrorReason(target.status()), "TARGET_INVALID") << text;
  }
  EXPECT_FALSE(ParseTarget(std::string(256, 'a')).ok());
  EXPECT_TRUE(ParseTarget(std::string(255, 'a')).ok());
}

TEST(NodeNameProblem, WantsALetterAndNoSlash) {
  EXPECT_FALSE(NodeNameProblem("n1"));
  EXPECT_TRUE(NodeNameProblem("123"));
  EXPECT_TRUE(NodeNameProblem("a/b"));
  EXPECT_TRUE(ChildIdProblem("a/b"));
  EXPECT_FALSE(ChildIdProblem("123"));
}

}  // namespace
}  // namespace banyan
