#include "common/log/log.h"

#include <limits>

#include "gmock/gmock.h"

#include "common/log/format.h"

namespace banyan::log {
namespace {

const absl::Time kNow = absl::FromUnixMillis(1'767'225'600'678);

TEST(FormatText, IsOneLineOfKeysAndValues) {
  EXPECT_EQ(FormatText(kNow, Level::kInfo, "child_started",
                       {{"supervisor", "shop"}, {"child", "a b\n\"c\""}, {"n", 3}, {"ok", true}}),
            "2026-01-01T00:00:00.678Z INFO  child_started supervisor=shop "
            "child=\"a b\\n\\\"c\\\"\" n=3 ok=true");
}

TEST(FormatJson, KeepsNumbersAndEscapesTexts) {
  EXPECT_EQ(FormatJson(kNow, Level::kError, "x", {{"a", "q\"\\\x01"}, {"n", -3}, {"f", 0.5}}),
            "{\"time\":\"2026-01-01T00:00:00.678Z\",\"level\":\"error\",\"event\":\"x\","
            "\"a\":\"q\\\"\\\\\\u0001\",\"n\":-3,\"f\":0.5}");
  EXPECT_THAT(FormatJson(kNow, Level::kWarn, "x", {{"f", std::numeric_limits<double>::infinity()}}),
              testing::HasSubstr("\"f\":\"inf\""));
}

TEST(Capture, TakesLinesAndRestoresTheLevel) {
  SetLevel(Level::kWarn);
  {
    CaptureForTest capture;
    Debug("fine", {{"pid", "1:2:3"}});
    Error("broken");
    ASSERT_EQ(capture.lines().size(), 2u);
    EXPECT_EQ(capture.lines()[0].event, "fine");
    EXPECT_EQ(capture.lines()[0].field("pid"), "1:2:3");
    EXPECT_EQ(capture.lines()[1].level, Level::kError);
  }
  EXPECT_FALSE(Enabled(Level::kInfo));
  EXPECT_TRUE(Enabled(Level::kWarn));
  SetLevel(Level::kInfo);
}

TEST(ParseLevel, KnowsItsWords) {
  EXPECT_EQ(ParseLevel("warn"), Level::kWarn);
  EXPECT_FALSE(ParseLevel("loud"));
  EXPECT_EQ(ParseFormat("json"), Format::kJson);
  EXPECT_FALSE(ParseFormat("xml"));
}

TEST(Write, GoesToStderr) {
  testing::internal::CaptureStderr();
  Warn("to_stderr", {{"k", "{}%v"}});
  Flush();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("to_stderr k={}%v\n"));
}

TEST(Write, SYS090NothingBelowTheLevel) {
  SetLevel(Level::kWarn);
  testing::internal::CaptureStderr();
  Info("below", {{"k", 1}});
  Warn("at", {{"k", 2}});
  Flush();
  const std::string written = testing::internal::GetCapturedStderr();
  SetLevel(Level::kInfo);
  EXPECT_THAT(written, testing::HasSubstr("at k=2\n"));
  EXPECT_THAT(written, testing::Not(testing::HasSubstr("below")));
}

}  // namespace
}  // namespace banyan::log
