#include "server/rpc/validate.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/base/error.h"

namespace banyan::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

std::vector<std::string> Fields(const absl::Status& status) {
  std::vector<std::string> out;
  const std::optional<ErrorInfo> info = GetErrorInfo(status);
  if (info) {
    for (const auto& field : info->fields) out.push_back(field.field);
  }
  return out;
}

TEST(Validate, NamesEveryWrongFieldAtOnce) {
  v1::StartSupervisorRequest request;
  request.set_request_id(std::string(65, 'x'));
  request.set_cluster_wide(true);
  request.set_child_id("c");
  const absl::Status status = Validate(request);
  EXPECT_EQ(ErrorReason(status), "REQUEST_INVALID");
  EXPECT_THAT(Fields(status), UnorderedElementsAre("request_id", "spec", "child_id", "name"));
}

TEST(Validate, ASpecificReasonWhenOnlyThatIsWrong) {
  EXPECT_EQ(ErrorReason(Validate(v1::WhereisRequest())), "TARGET_INVALID");
  EXPECT_EQ(ErrorReason(Validate(v1::MonitorRequest())), "TARGET_INVALID");
  v1::StartChildRequest start;
  start.mutable_supervisor()->set_name("s");
  EXPECT_EQ(ErrorReason(Validate(start)), "SPEC_INVALID");
  v1::ListActorsRequest list;
  list.set_page_token(std::string(5000, 'x'));
  EXPECT_EQ(ErrorReason(Validate(list)), "PAGE_TOKEN_INVALID");
}

TEST(Validate, MonitorTakesAThousandTargets) {
  v1::MonitorRequest request;
  for (int i = 0; i < 1000; ++i) request.add_targets()->set_name("x");
  EXPECT_TRUE(Validate(request).ok());
  request.mutable_targets(7)->clear_name();
  EXPECT_THAT(Fields(Validate(request)), ElementsAre(::testing::HasSubstr("targets[7]")));
  request.mutable_targets(7)->set_name("x");
  request.add_targets()->set_name("x");
  EXPECT_THAT(Fields(Validate(request)), ElementsAre("targets"));
}

TEST(Validate, APayloadTooLargeSaysTheLimit) {
  v1::CallRequest request;
  request.mutable_payload()->mutable_value()->set_type_url(
      "type.googleapis.com/google.protobuf.BytesValue");
  request.mutable_payload()->mutable_value()->set_value(std::string(4 << 20, 'x'));
  EXPECT_TRUE(Validate(request).ok());
  request.mutable_payload()->mutable_value()->mutable_value()->push_back('x');
  const absl::Status status = Validate(request);
  EXPECT_EQ(ErrorReason(status), "PAYLOAD_TOO_LARGE");
  EXPECT_EQ(GetErrorInfo(status)->metadata.at("limitBytes"), "4194304");
}

TEST(Validate, AChildIsNamedByIdOrPid) {
  v1::TerminateChildRequest request;
  request.mutable_supervisor()->set_name("s");
  for (const char* good : {"a", "n1:3:4711", "n1:3:4711.2"}) {
    request.set_child_id(good);
    EXPECT_TRUE(Validate(request).ok()) << good;
  }
  for (const char* bad : {"", "a/b", "n1:x:1", "a b"}) {
    request.set_child_id(bad);
    EXPECT_THAT(Fields(Validate(request)), ElementsAre("child_id")) << bad;
  }
}

TEST(Validate, ContradictionsAreRefused) {
  v1::WatchEventsRequest watch;
  watch.set_resume_token("t");
  watch.set_send_snapshot(true);
  EXPECT_THAT(Fields(Validate(watch)), ElementsAre("send_snapshot"));
  v1::DrainRequest drain;
  drain.set_name("n1");
  drain.set_no_deadline(true);
  drain.mutable_deadline()->set_seconds(1);
  EXPECT_THAT(Fields(Validate(drain)), ElementsAre("no_deadline"));
  v1::ConfirmDeadRequest dead;
  dead.set_name("n1");
  EXPECT_THAT(Fields(Validate(dead)), ElementsAre("incarnation"));
}

TEST(Validate, WhatOperatorsSayOfTheCluster) {
  v1::UpdateNodeRequest update;
  EXPECT_THAT(Fields(Validate(update)), UnorderedElementsAre("node.name", "update_mask"));
  update.mutable_node()->set_name("n1");
  update.mutable_update_mask()->add_paths("labels");
  EXPECT_TRUE(Validate(update).ok());
  (*update.mutable_node()->mutable_labels())["banyan/node"] = "x";
  (*update.mutable_node()->mutable_capacity())["gpu"] = -1;
  EXPECT_THAT(Fields(Validate(update)), UnorderedElementsAre("node.labels", "node.capacity"));
  EXPECT_THAT(Fields(Validate(v1::FinalizeUpgradeRequest())), ElementsAre("level"));
  v1::EndSafeModeRequest end;
  EXPECT_THAT(Fields(Validate(end)), ElementsAre("decision"));
  end.set_decision(v1::EndSafeModeRequest::DECISION_KILL);
  EXPECT_TRUE(Validate(end).ok());
}

TEST(Validate, OneMessageOfAStream) {
  v1::SendStreamRequest message;
  message.set_seq(2);
  EXPECT_THAT(Fields(Validate(message, 1)), UnorderedElementsAre("seq", "target"));
  message.mutable_target()->mutable_pid()->set_node_id(1);
  EXPECT_EQ(ErrorReason(Validate(message, 2)), "TARGET_INVALID");
  EXPECT_THAT(Fields(Validate(message, 2)), ElementsAre("target.pid"));
  message.mutable_target()->mutable_pid()->set_id(uint64_t{1} << 32);
  EXPECT_EQ(ErrorReason(Validate(message, 2)), "TARGET_INVALID");
  EXPECT_THAT(Fields(Validate(message, 2)), ElementsAre("target.pid.id"));
  message.mutable_target()->set_name("x");
  EXPECT_TRUE(Validate(message, 2).ok()) << "without a payload, as Send";
  message.mutable_payload()->mutable_value()->set_type_url("no slash");
  EXPECT_EQ(ErrorReason(Validate(message, 2)), "PAYLOAD_INVALID");
  message.mutable_payload()->mutable_value()->set_type_url("t/x");
  message.mutable_payload()->mutable_value()->set_value(std::string((4 << 20) + 1, 'x'));
  const absl::Status large = Validate(message, 2);
  EXPECT_EQ(ErrorReason(large), "PAYLOAD_TOO_LARGE");
  EXPECT_EQ(GetErrorInfo(large)->metadata.at("field"), "payload");
}

TEST(Validate, ALinkIsToAProcess) {
  v1::SpawnRequest spawn;
  spawn.mutable_start()->set_module("m");
  EXPECT_TRUE(Validate(spawn).ok());
  // A generation and no slot: the form that names of other nodes have inside.
  spawn.mutable_link_to()->set_id(uint64_t{3} << 32);
  EXPECT_THAT(Fields(Validate(spawn)), ElementsAre("link_to.id"));
  spawn.mutable_link_to()->set_id((uint64_t{3} << 32) + 1);
  EXPECT_TRUE(Validate(spawn).ok());
}

TEST(Validate, DefaultsAreLegal) {
  EXPECT_TRUE(Validate(v1::ListActorsRequest()).ok());
  EXPECT_TRUE(Validate(v1::ListNodesRequest()).ok());
  EXPECT_TRUE(Validate(v1::ListNamesRequest()).ok());
  EXPECT_TRUE(Validate(v1::GetNodeRequest()).ok());
  EXPECT_TRUE(Validate(v1::WatchEventsRequest()).ok());
  EXPECT_THAT(Fields(Validate(v1::CallRequest())), IsEmpty());
}

}  // namespace
}  // namespace banyan::rpc
