#include "common/config/options.h"

#include <cstdio>
#include <fstream>

#include "gmock/gmock.h"

namespace banyan::config {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class OptionsTest : public testing::Test {
 protected:
  OptionsTest() : path_(testing::TempDir() + "/banyan_options_test_" + TestName() + ".yaml") {
    options_.String("log-level", "info", "Least level.", {"debug", "info"});
    options_.Bool("tls", false, "Use TLS.");
    options_.Int("threads", 2, 1, 64, "Threads.");
    options_.Duration("lease", absl::Seconds(10), "Lease.", absl::Seconds(1));
    options_.Address("listen-addr", {"localhost", 7400}, "Where to listen.");
    options_.Addresses("coordinators", {}, "Coordinators.");
    options_.KeyValues("labels", {}, "Labels.");
  }
  ~OptionsTest() override { std::remove(path_.c_str()); }

  static std::string TestName() {
    return testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  Sources Given(const std::string& yaml, Map env = {},
                std::map<std::string, std::vector<std::string>> flags = {}) {
    std::ofstream(path_) << yaml;
    return {std::move(flags),
            [env](const std::string& name) {
              auto it = env.find(name);
              return it == env.end() ? std::nullopt : std::optional<std::string>(it->second);
            },
            path_};
  }
  std::string Problem(const Sources& sources) {
    const absl::Status status = options_.Load(sources);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  }

  const std::string path_;
  Options options_;
};

TEST_F(OptionsTest, FlagOverEnvironmentOverFileOverDefault) {
  ASSERT_TRUE(
      options_
          .Load(Given("threads: 3\nlease: 3s\ntls: yes\n",
                      {{"BANYAND_THREADS", "4"}, {"BANYAND_LEASE", "4s"}}, {{"threads", {"5"}}}))
          .ok());
  EXPECT_EQ(options_.GetInt("threads"), 5);
  EXPECT_EQ(options_.GetDuration("lease"), absl::Seconds(4));
  EXPECT_TRUE(options_.GetBool("tls"));
  EXPECT_EQ(options_.GetString("log-level"), "info");
  EXPECT_EQ(options_.SourceOf("threads"), Source::kFlag);
  const auto all = options_.Effective();
  EXPECT_EQ(all[0].where, "default");
  EXPECT_EQ(all[1].where, path_ + ":3");
  EXPECT_EQ(all[2].where, "flag --threads");
  EXPECT_EQ(all[2].value, "5");
  EXPECT_EQ(all[3].where, "env BANYAND_LEASE");
}

TEST_F(OptionsTest, ReadsListsAndMapsInAllForms) {
  ASSERT_TRUE(options_
                  .Load(Given("coordinators: [a:1, '[::1]:2']\nlabels: {zone: eu}\n", {},
                              {{"labels", {"a=1,b=x=y", "c="}}}))
                  .ok());
  EXPECT_THAT(options_.GetAddresses("coordinators"),
              ElementsAre(HostPort{"a", 1}, HostPort{"::1", 2}));
  EXPECT_THAT(options_.GetMap("labels"),
              ElementsAre(Pair("a", "1"), Pair("b", "x=y"), Pair("c", "")));
  EXPECT_EQ(options_.Effective()[5].value, "a:1,[::1]:2");
}

TEST_F(OptionsTest, ErrorsSayWhatWhereAndWhatIsAllowed) {
  const std::string text =
      Problem(Given("threads: many\nlisten-addr: localhost\n", {{"BANYAND_LEASE", "0s"}},
                    {{"log-level", {"loud"}}, {"tls", {"true", "false"}}}));
  EXPECT_THAT(text, HasSubstr(path_ + ":1: threads: 'many' is not a whole number from 1 to 64"));
  EXPECT_THAT(text, HasSubstr(path_ + ":2: listen-addr: 'localhost' is not HOST:PORT"));
  EXPECT_THAT(text, HasSubstr("env BANYAND_LEASE: '0s' is not a duration such as"));
  EXPECT_THAT(text, HasSubstr("flag --log-level: 'loud' is not one of debug, info"));
  EXPECT_THAT(text, HasSubstr("flag --tls: has 2 values; it takes one"));
}

TEST_F(OptionsTest, UnknownKeysNameTheNearest) {
  const std::string text = Problem(Given("\nthread: 3\n", {}, {{"lables", {"a=b"}}}));
  EXPECT_THAT(text, HasSubstr(path_ + ":2: unknown key 'thread'; did you mean 'threads'?"));
  EXPECT_THAT(text, HasSubstr("flag --lables: unknown; did you mean --labels?"));
}

TEST_F(OptionsTest, BadFilesAreErrors) {
  EXPECT_THAT(Problem(Given("a: [1\nb")), HasSubstr(path_ + ":"));
  EXPECT_THAT(Problem(Given("- a\n")), HasSubstr("key: value"));
  EXPECT_THAT(Problem(Given("threads:\n")), HasSubstr("has no value"));
  EXPECT_THAT(Problem(Given("threads: 1\nthreads: 2\n")), HasSubstr(":2: the key 'threads'"));
  EXPECT_THAT(Problem(Given("coordinators: [[a]]\n")), HasSubstr("list item"));
  Sources missing;
  missing.file = path_ + ".none";
  EXPECT_THAT(Problem(missing), HasSubstr("cannot be read"));
}

TEST_F(OptionsTest, AnEmptyFileIsFine) {
  EXPECT_TRUE(options_.Load(Given("")).ok());
  EXPECT_TRUE(options_.Load(Given("# nothing\n")).ok());
}

TEST(ParseHostPort, RefusesNonsense) {
  for (const char* text : {"", "a", "a:", "a:x", "a:65536", "a:-1", "::1:80", "a b:1", "[]:1"}) {
    EXPECT_FALSE(ParseHostPort(text).ok()) << text;
  }
  EXPECT_EQ(*ParseHostPort(":80"), (HostPort{"", 80}));
}

}  // namespace
}  // namespace banyan::config
