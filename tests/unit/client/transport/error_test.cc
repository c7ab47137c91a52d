#include "client/transport/error.h"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"

namespace banyan::client {
namespace {

TEST(DecodeError, ReadsAllDetails) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  info.set_domain("banyan");
  info.set_reason("CALLEE_EXITED");
  (*info.mutable_metadata())["outcome"] = "unknown";
  details.add_details()->PackFrom(info);
  google::rpc::BadRequest bad;
  bad.add_field_violations()->set_field("spec.id");
  bad.mutable_field_violations(0)->set_description("is empty");
  details.add_details()->PackFrom(bad);
  v1::ExitReason exit;
  exit.set_kind(v1::ExitReason::KIND_ERROR);
  exit.set_type("boom");
  details.add_details()->PackFrom(exit);

  const ApiError error = DecodeError(
      grpc::Status(grpc::StatusCode::ABORTED, "it ended", details.SerializeAsString()), nullptr);
  EXPECT_EQ(error.code, grpc::StatusCode::ABORTED);
  EXPECT_EQ(error.message, "it ended");
  EXPECT_EQ(error.reason, "CALLEE_EXITED");
  EXPECT_EQ(error.outcome(), "unknown");
  ASSERT_EQ(error.fields.size(), 1u);
  EXPECT_EQ(error.fields[0].first, "spec.id");
  ASSERT_TRUE(error.exit_reason.has_value());
  EXPECT_EQ(FormatExitReason(*error.exit_reason), "error boom");
}

TEST(DecodeError, SurvivesDetailsThatAreNone) {
  const ApiError error =
      DecodeError(grpc::Status(grpc::StatusCode::INTERNAL, "x", "\xff\x01garbage"), nullptr);
  EXPECT_EQ(error.code, grpc::StatusCode::INTERNAL);
  EXPECT_TRUE(error.reason.empty());
}

TEST(FormatExitReason, NamesTheInnermostCause) {
  v1::ExitReason reason;
  reason.set_kind(v1::ExitReason::KIND_SHUTDOWN);
  reason.mutable_cause()->set_kind(v1::ExitReason::KIND_ERROR);
  reason.mutable_cause()->set_type("std::out_of_range");
  reason.mutable_cause()->set_message("map::at");
  EXPECT_EQ(FormatExitReason(reason), "shutdown (cause: error std::out_of_range: map::at)");
}

}  // namespace
}  // namespace banyan::client
