#include "client/cli/errors.h"

#include <sstream>

#include "gtest/gtest.h"

namespace banyan::cli {
namespace {

TEST(ExitCodeOf, FollowsTheTable) {
  const struct {
    grpc::StatusCode code;
    const char* reason;
    int want;
  } kCases[] = {
      {grpc::StatusCode::OK, "", 0},
      {grpc::StatusCode::INVALID_ARGUMENT, "SPEC_INVALID", 3},
      {grpc::StatusCode::INTERNAL, "", 3},
      {grpc::StatusCode::UNKNOWN, "", 3},
      {grpc::StatusCode::ABORTED, "CALLEE_EXITED", 3},
      {grpc::StatusCode::ABORTED, "ETAG_MISMATCH", 6},
      {grpc::StatusCode::NOT_FOUND, "", 4},
      {grpc::StatusCode::UNAUTHENTICATED, "", 5},
      {grpc::StatusCode::PERMISSION_DENIED, "", 5},
      {grpc::StatusCode::ALREADY_EXISTS, "", 6},
      {grpc::StatusCode::FAILED_PRECONDITION, "", 6},
      {grpc::StatusCode::UNAVAILABLE, "", 7},
      {grpc::StatusCode::DEADLINE_EXCEEDED, "", 8},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, "", 9},
      {grpc::StatusCode::UNIMPLEMENTED, "", 10},
  };
  for (const auto& c : kCases)
    EXPECT_EQ(ExitCodeOf(client::LocalError(c.code, "", c.reason)), c.want) << c.code;
}

TEST(PrintError, HasEveryPartThatCame) {
  client::ApiError error =
      client::LocalError(grpc::StatusCode::DEADLINE_EXCEEDED, "no reply", "CALL_TIMEOUT");
  error.metadata = {{"node", "n1"}, {"outcome", "unknown"}};
  error.fields = {{"spec.id", "is empty"}};
  error.preconditions = {"n2: cordoned"};
  error.exit_reason.emplace().set_kind(v1::ExitReason::KIND_KILLED);
  std::ostringstream err;
  PrintError(err, error, {.target = "counter/eu"}, false);
  EXPECT_EQ(err.str(),
            "error: deadline exceeded: no reply\n"
            "  reason  CALL_TIMEOUT (node n1); the call may have run\n"
            "  exit    killed\n"
            "  field   spec.id: is empty\n"
            "  first   n2: cordoned\n"
            "  hint    banyan actor get counter/eu\n");
}

}  // namespace
}  // namespace banyan::cli
