#include "common/wire/status.h"

#include "absl/strings/cord.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"

#include "banyan/v1/types.pb.h"

namespace banyan::wire {
namespace {

using testing::Pair;
using testing::UnorderedElementsAre;

constexpr char kActorDetail[] = "type.googleapis.com/banyan.v1.LocalName";

absl::Cord Bytes(const google::protobuf::Message& message) {
  const std::string bytes = message.SerializeAsString();
  return absl::Cord(bytes);
}

TEST(Status, AllDetailsRoundTripThroughGrpc) {
  const absl::Status in = MakeError("CALLEE_EXITED", "it exited", {{"target", "n1:1:2"}},
                                    ExitReason::Error("boom", "x"));
  const grpc::Status wire = ToGrpc(in);
  EXPECT_EQ(wire.error_code(), grpc::StatusCode::ABORTED);
  const absl::Status out = FromGrpc(wire);
  EXPECT_EQ(out.code(), in.code());
  EXPECT_EQ(out.message(), in.message());
  std::optional<ErrorInfo> info = GetErrorInfo(out);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->reason, "CALLEE_EXITED");
  EXPECT_EQ(info->metadata, GetErrorInfo(in)->metadata);
  EXPECT_EQ(*info->exit_reason, ExitReason::Error("boom", "x"));
}

TEST(Status, PidsOfThisNodeGetItsIds) {
  const absl::Status in = MakeError("CALLEE_EXITED", "0:0:8.1 ended, as did 0:0:8.12 and 0:0:8.1.",
                                    {{"target", "0:0:8.1"}, {"name", "0:0:8.1"}});
  for (const absl::Status& out : {FromGrpc(ToGrpc(in, {7, 3})), FromProto(ToProto(in, {7, 3}))}) {
    EXPECT_EQ(out.message(), "7:3:8.1 ended, as did 0:0:8.12 and 7:3:8.1.");
    EXPECT_EQ(GetErrorInfo(out)->metadata.at("target"), "7:3:8.1");
    EXPECT_EQ(GetErrorInfo(out)->metadata.at("name"), "0:0:8.1") << "not a pid";
  }
  const absl::Status other = MakeError("NOPROC", "no 2:1:8", {{"target", "2:1:8"}});
  EXPECT_EQ(FromGrpc(ToGrpc(other, {7, 3})).message(), "no 2:1:8");
}

TEST(Status, HasExactlyOneErrorInfoOfTheDomain) {
  const google::rpc::Status proto = ToProto(MakeError("MAILBOX_FULL", "full"));
  int infos = 0, retries = 0;
  for (const auto& any : proto.details()) {
    google::rpc::ErrorInfo info;
    if (any.UnpackTo(&info)) {
      ++infos;
      EXPECT_EQ(info.domain(), "banyan");
    }
    retries += any.Is<google::rpc::RetryInfo>();
  }
  EXPECT_EQ(infos, 1);
  EXPECT_EQ(retries, 1);
  EXPECT_EQ(GetErrorInfo(FromProto(proto))->retry_after_ms, 50);
}

TEST(Status, FieldViolationsRoundTrip) {
  const absl::Status in = MakeFieldError("SPEC_INVALID", {{"spec.id", "is empty"}, {"a", "b"}});
  std::optional<ErrorInfo> info = GetErrorInfo(FromGrpc(ToGrpc(in)));
  ASSERT_EQ(info->fields.size(), 2u);
  EXPECT_EQ(info->fields[0].field, "spec.id");
  EXPECT_EQ(info->fields[0].description, "is empty");
}

TEST(Status, DetailsAreCutToWhatTrailersTake) {
  std::vector<ErrorInfo::FieldViolation> fields(10'000, {"spec.children[1].id", "is empty"});
  const grpc::Status many = ToGrpc(MakeFieldError("SPEC_INVALID", fields));
  EXPECT_LE(many.error_details().size(), 4096u);
  EXPECT_FALSE(GetErrorInfo(FromGrpc(many))->fields.empty());

  ExitReason::Info why{.message = std::string(60'000, 'm'), .type = "boom"};
  why.stack.assign(64, std::string(400, 's'));
  const grpc::Status big = ToGrpc(MakeError("START_FAILED", std::string(60'000, 'x'), {},
                                            ExitReason(ExitReason::Kind::kError, why)));
  EXPECT_LE(big.error_details().size(), 4096u);
  EXPECT_LE(big.error_message().size(), 1024u);
  EXPECT_EQ(GetErrorInfo(FromGrpc(big))->exit_reason->type(), "boom");
}

TEST(Status, SurvivesBadDetails) {
  const absl::Status s =
      FromGrpc(grpc::Status(grpc::StatusCode::NOT_FOUND, "gone", "\xff\xff\xff garbage"));
  EXPECT_EQ(s.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(s.message(), "gone");
  EXPECT_FALSE(GetErrorInfo(s));
  google::rpc::Status proto;
  proto.set_code(99);
  proto.add_details()->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  proto.mutable_details(0)->set_value("\xff");
  EXPECT_EQ(FromProto(proto).code(), absl::StatusCode::kUnknown);
}

TEST(ActorError, PassesThroughButForThePlatformsDomain) {
  absl::Status in = absl::UnavailableError("mine");
  in.SetPayload(kActorDetail, absl::Cord("abc"));
  google::rpc::ErrorInfo forged;
  forged.set_domain("banyan");
  in.SetPayload("type.googleapis.com/google.rpc.ErrorInfo", Bytes(forged));
  const absl::Status marked = MarkAnswered(in);
  EXPECT_TRUE(IsAnswered(marked));
  const google::rpc::Status proto = ToProto(marked);
  ASSERT_EQ(proto.details_size(), 1);
  EXPECT_EQ(proto.details(0).type_url(), kActorDetail);
  EXPECT_EQ(proto.details(0).value(), "abc");
  EXPECT_THAT(Trailers(marked), UnorderedElementsAre(Pair("banyan-origin", "actor"),
                                                     Pair("grpc-retry-pushback-ms", "-1")));
}

TEST(ActorError, ItsOwnRetryInfoIsThePushback) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(2);
  absl::Status s = absl::UnavailableError("later");
  s.SetPayload("type.googleapis.com/google.rpc.RetryInfo", Bytes(retry));
  EXPECT_THAT(
      Trailers(MarkAnswered(s)),
      UnorderedElementsAre(Pair("banyan-origin", "actor"), Pair("grpc-retry-pushback-ms", "2000")));
}

TEST(Trailers, FollowTheOutcome) {
  EXPECT_THAT(Trailers(absl::OkStatus()), testing::IsEmpty());
  EXPECT_THAT(
      Trailers(MakeError("NOT_DELIVERED", "x")),
      UnorderedElementsAre(Pair("banyan-origin", "node"), Pair("grpc-retry-pushback-ms", "50")));
  EXPECT_THAT(
      Trailers(MakeError("NOCONNECTION", "x")),
      UnorderedElementsAre(Pair("banyan-origin", "node"), Pair("grpc-retry-pushback-ms", "-1")));
  EXPECT_THAT(Trailers(MakeError("NOPROC", "x")),
              UnorderedElementsAre(Pair("banyan-origin", "node")));
}

}  // namespace
}  // namespace banyan::wire
