#include "common/base/error.h"

#include <memory>

#include "gmock/gmock.h"

#include "common/base/error_codec.h"

namespace banyan {
namespace {

using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;

TEST(MakeError, GivesCodeOutcomeAndRetryOfTheTable) {
  absl::Status full = MakeError("MAILBOX_FULL", "the mailbox is full", {{"limit", "8"}});
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(full.message(), "the mailbox is full");
  std::optional<ErrorInfo> info = GetErrorInfo(full);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->reason, "MAILBOX_FULL");
  EXPECT_THAT(info->metadata,
              UnorderedElementsAre(Pair("limit", "8"), Pair("outcome", "not_executed")));
  EXPECT_EQ(info->retry_after_ms, 50);
}

TEST(MakeError, SaysUnknownWhereItMayHaveRun) {
  for (const char* reason : {"CALLEE_EXITED", "CALL_TIMEOUT", "NOCONNECTION"}) {
    std::optional<ErrorInfo> info = GetErrorInfo(MakeError(reason, "x"));
    EXPECT_EQ(info->metadata.at("outcome"), kOutcomeUnknown) << reason;
    EXPECT_EQ(info->retry_after_ms, 0) << reason;
  }
}

TEST(MakeError, SaysNothingWhereItRan) {
  EXPECT_EQ(GetErrorInfo(MakeError("START_TIMEOUT", "x"))->metadata.count("outcome"), 0u);
}

TEST(MakeError, KeepsAnOutcomeThatTheCallerKnowsBetter) {
  absl::Status s = MakeError("NOPROC", "x", {{"outcome", "unknown"}});
  EXPECT_EQ(GetErrorInfo(s)->metadata.at("outcome"), "unknown");
}

TEST(MarkAnswered, WhatAnInnerCallSaysOfItselfIsNotSaidOfTheOuter) {
  const absl::Status inner = MakeError("NODE_OVERLOADED", "x", {{"node", "n"}});
  const absl::Status outer = MarkAnswered(inner);
  EXPECT_FALSE(IsAnswered(inner));
  EXPECT_TRUE(IsAnswered(outer));
  EXPECT_EQ(outer.code(), inner.code());
  const std::optional<ErrorInfo> info = GetErrorInfo(outer);
  EXPECT_EQ(info->reason, "NODE_OVERLOADED");
  EXPECT_THAT(info->metadata, ElementsAre(Pair("node", "n")));
  EXPECT_EQ(info->retry_after_ms, 0);
  EXPECT_TRUE(MarkAnswered(absl::OkStatus()).ok());
}

TEST(MakeError, AWordOfAModule) {
  absl::Status s = MakeError("SOLD_OUT", "no seats", {{"show", "7"}});
  EXPECT_EQ(s.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(ErrorReason(s), "SOLD_OUT");
  EXPECT_EQ(GetErrorInfo(s)->metadata.count("outcome"), 0u);
  EXPECT_EQ(GetErrorInfo(s)->metadata.at("show"), "7");
}

TEST(MakeError, CarriesTheExitReason) {
  ExitReason::Info inner{.message = "disk full", .type = "std::runtime_error"};
  inner.stack = {"a", "b"};
  inner.origin = Pid{1, 2, 77};
  ExitReason::Info outer{.message = "init failed"};
  outer.detail = Payload::Any("type.googleapis.com/x.Y", std::string("\0\1", 2), {{"k", "v"}});
  outer.cause = std::make_shared<const ExitReason>(ExitReason::Kind::kError, inner);
  const ExitReason reason(ExitReason::Kind::kShutdown, outer);

  std::optional<ErrorInfo> info = GetErrorInfo(MakeError("START_FAILED", "x", {}, reason));
  ASSERT_TRUE(info && info->exit_reason);
  EXPECT_EQ(*info->exit_reason, reason);
  EXPECT_THAT(info->exit_reason->cause()->stack(), ElementsAre("a", "b"));
  EXPECT_EQ(info->exit_reason->cause()->origin(), (Pid{1, 2, 77}));
  EXPECT_THAT(info->exit_reason->detail().headers(), ElementsAre(Pair("k", "v")));
}

TEST(MakeFieldError, ListsEveryField) {
  absl::Status s = MakeFieldError("SPEC_INVALID", {{"spec.id", "is empty"}, {"spec.restart", "?"}});
  EXPECT_EQ(s.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(s.message(), "spec.id: is empty (and 1 more)");
  EXPECT_EQ(GetErrorInfo(s)->fields.size(), 2u);
}

TEST(GetErrorInfo, IsAbsentFromOtherStatuses) {
  EXPECT_FALSE(GetErrorInfo(absl::OkStatus()));
  EXPECT_FALSE(GetErrorInfo(absl::InternalError("x")));
  EXPECT_EQ(ErrorReason(absl::InternalError("x")), "");
  EXPECT_EQ(ErrorReason(MakeError("NOPROC", "x")), "NOPROC");
}

TEST(WithErrorInfo, MergesAndKeepsTheRest) {
  absl::Status s = WithErrorInfo(MakeError("NOPROC", "x", {{"a", "1"}}),
                                 ErrorInfo{.metadata = {{"b", "2"}}, .retry_after_ms = 7});
  std::optional<ErrorInfo> info = GetErrorInfo(s);
  EXPECT_EQ(info->reason, "NOPROC");
  EXPECT_EQ(info->metadata.at("a"), "1");
  EXPECT_EQ(info->metadata.at("b"), "2");
  EXPECT_EQ(info->retry_after_ms, 7);
}

TEST(DecodeErrorInfo, SurvivesDamage) {
  ErrorInfo info{.reason = "NOPROC", .metadata = {{"a", "b"}}, .fields = {{"f", "d"}}};
  info.exit_reason = ExitReason::FailedToStartChild("w", ExitReason::Error("boom", "x"));
  const std::string good = EncodeErrorInfo(info);
  ASSERT_TRUE(DecodeErrorInfo(good));
  for (size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(DecodeErrorInfo(good.substr(0, n)));
  for (size_t n = 0; n < good.size(); ++n) {
    for (int byte : {0, 1, 0x7F, 0x80, 0xFF}) {
      std::string bad = good;
      bad[n] = static_cast<char>(byte);
      DecodeErrorInfo(bad);
    }
  }
}

}  // namespace
}  // namespace banyan
