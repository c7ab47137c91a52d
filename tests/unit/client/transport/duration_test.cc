#include "client/transport/duration.h"

#include "gtest/gtest.h"

namespace banyan::client {
namespace {

TEST(ParseDuration, TakesTheFormsOfTheDocs) {
  const struct {
    const char* text;
    absl::Duration want;
  } kCases[] = {
      {"5s", absl::Seconds(5)},
      {"100ms", absl::Milliseconds(100)},
      {"1m30s", absl::Seconds(90)},
      {"2h", absl::Hours(2)},
      {"0", absl::ZeroDuration()},
      {"1.5s", absl::Milliseconds(1500)},
      {"infinity", absl::InfiniteDuration()},
  };
  for (const auto& c : kCases) {
    auto got = ParseDuration(c.text);
    ASSERT_TRUE(got.ok()) << c.text << ": " << got.status();
    EXPECT_EQ(*got, c.want) << c.text;
  }
}

TEST(ParseDuration, RefusesTheRestWithAnExample) {
  for (const char* text : {"", "5", "abc", "-5s", "+5s", "inf", "5 s", "5d", "s", "400000000h"}) {
    auto got = ParseDuration(text);
    ASSERT_FALSE(got.ok()) << text;
    EXPECT_NE(got.status().message().find("is not a duration"), absl::string_view::npos)
        << got.status();
  }
}

TEST(ParseShutdown, KnowsOtpsWords) {
  EXPECT_TRUE(ParseShutdown("brutal_kill")->has_brutal_kill());
  EXPECT_TRUE(ParseShutdown("infinity")->has_infinity());
  EXPECT_EQ(ParseShutdown("2500ms")->timeout().nanos(), 500000000);
  EXPECT_FALSE(ParseShutdown("kill").ok());
  for (const char* text : {"brutal_kill", "infinity", "5s"})
    EXPECT_EQ(FormatShutdown(*ParseShutdown(text)), text);
}

TEST(FormatAge, IsOneUnit) {
  EXPECT_EQ(FormatAge(absl::Milliseconds(850)), "850ms");
  EXPECT_EQ(FormatAge(absl::Seconds(61)), "61s");
  EXPECT_EQ(FormatAge(absl::Minutes(14)), "14m");
  EXPECT_EQ(FormatAge(absl::Hours(50)), "2d");
  EXPECT_EQ(FormatAge(absl::Seconds(-1)), "0ms");
}

}  // namespace
}  // namespace banyan::client
