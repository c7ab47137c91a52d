#include "common/wire/payload.h"

#include "gmock/gmock.h"

namespace banyan::wire {
namespace {

using testing::Pair;
using testing::UnorderedElementsAre;

v1::LocalName Message() {
  v1::LocalName m;
  m.set_node("n1");
  m.set_name("logger");
  return m;
}

TEST(Payload, AParsedMessageIsHandedOutAndSerialisedOnDemand) {
  const Payload payload = MakePayload(Message(), {{"k", "v"}});
  ASSERT_NE(payload.As<v1::LocalName>(), nullptr);
  EXPECT_EQ(payload.As<v1::LocalName>()->node(), "n1");
  EXPECT_EQ(payload.As<v1::Pid>(), nullptr);
  EXPECT_EQ(payload.type_name(), "banyan.v1.LocalName");
  EXPECT_EQ(payload.bytes(), Message().SerializeAsString());
  EXPECT_EQ(payload.size(), payload.bytes().size() + payload.type_url().size());
  EXPECT_EQ(payload, MessagePayload(Message()));
}

TEST(Payload, RoundTripsWithoutParsing) {
  v1::Payload proto;
  ASSERT_TRUE(ToProto(MakePayload(Message(), {{"k", "v"}}), &proto).ok());
  const Payload back = FromProto(proto);
  EXPECT_EQ(back.As<v1::LocalName>(), nullptr);
  EXPECT_EQ(Unpack<v1::LocalName>(back)->name(), "logger");
  EXPECT_THAT(back.headers(), UnorderedElementsAre(Pair("k", "v")));
  EXPECT_EQ(FromProto(std::move(proto)), back);
}

TEST(Payload, EmptyStaysEmpty) {
  v1::Payload proto;
  ASSERT_TRUE(ToProto(Payload(), &proto).ok());
  EXPECT_FALSE(proto.has_value());
  EXPECT_TRUE(FromProto(proto).empty());
  EXPECT_FALSE(Unpack<v1::LocalName>(Payload()));
}

TEST(Payload, ALocalValueCannotLeave) {
  v1::Payload proto;
  EXPECT_EQ(ErrorReason(ToProto(Payload::Local(7), &proto)), "PAYLOAD_INVALID");
}

TEST(Unpack, RefusesOtherTypesAndBadBytes) {
  const Payload other = MessagePayload(v1::Pid());
  EXPECT_FALSE(Unpack<v1::LocalName>(other));
  EXPECT_EQ(ErrorReason(UnpackOrError<v1::LocalName>(other).status()), "PAYLOAD_INVALID");
  const Payload bad = Payload::Any("x/banyan.v1.LocalName", "\xff\xff");
  EXPECT_FALSE(Unpack<v1::LocalName>(bad));
  EXPECT_EQ(ErrorReason(UnpackOrError<v1::LocalName>(bad).status()), "PAYLOAD_INVALID");
}

TEST(CheckPayload, NamesTheField) {
  v1::Payload proto;
  proto.mutable_value()->set_type_url("nonsense");
  (*proto.mutable_headers())["Upper"] = std::string(9000, 'x');
  std::vector<ErrorInfo::FieldViolation> problems;
  CheckPayload(proto, "args[1]", &problems);
  ASSERT_EQ(problems.size(), 3u);
  EXPECT_EQ(problems[0].field, "args[1].value.type_url");
  EXPECT_EQ(problems[1].field, "args[1].headers");
}

}  // namespace
}  // namespace banyan::wire
