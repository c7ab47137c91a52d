#include "client/transport/payload.h"

#include "google/protobuf/struct.pb.h"
#include "google/protobuf/wrappers.pb.h"
#include "gtest/gtest.h"

#include "banyan/modules/v1/kv.pb.h"

namespace banyan::client {
namespace {

TEST(PayloadFromJson, BecomesAValueWithoutAType) {
  TypeRegistry types;
  for (const char* json : {"5", "\"x\"", "true", "null", "[1,2]", "{\"a\":[{\"b\":null}]}"}) {
    auto payload = PayloadFromJson(json, &types);
    ASSERT_TRUE(payload.ok()) << json << payload.status();
    google::protobuf::Value value;
    ASSERT_TRUE(payload->value().UnpackTo(&value)) << json;
    EXPECT_EQ(PayloadToJson(*payload, &types, false), json);
  }
}

TEST(PayloadFromJson, PacksWhatAtTypeNames) {
  TypeRegistry types;
  for (const char* type : {"banyan.modules.v1.Put", "type.googleapis.com/banyan.modules.v1.Put"}) {
    auto payload = PayloadFromJson(
        std::string("{\"key\": \"a\", \"value\": \"aGk=\", \"@type\": \"") + type + "\"}", &types);
    ASSERT_TRUE(payload.ok()) << payload.status();
    EXPECT_EQ(payload->value().type_url(), "type.googleapis.com/banyan.modules.v1.Put");
    modules::v1::Put put;
    ASSERT_TRUE(payload->value().UnpackTo(&put));
    EXPECT_EQ(put.key(), "a");
    EXPECT_EQ(put.value(), "hi");
  }
}

TEST(PayloadFromTypedJson, KnowsMessagesAndProtobufsOwnTypes) {
  TypeRegistry types;
  auto put = PayloadFromTypedJson("banyan.modules.v1.Put", R"({"key": "a"})", &types);
  ASSERT_TRUE(put.ok()) << put.status();
  EXPECT_EQ(PayloadToJson(*put, &types, false), R"({"key":"a","value":""})");
  auto text = PayloadFromTypedJson("google.protobuf.StringValue", "\"x\"", &types);
  ASSERT_TRUE(text.ok()) << text.status();
  google::protobuf::StringValue value;
  ASSERT_TRUE(text->value().UnpackTo(&value));
  EXPECT_EQ(value.value(), "x");
}

TEST(PayloadFromTypedJson, SaysWhatIsWrong) {
  TypeRegistry types;
  const struct {
    const char* type;
    const char* json;
    const char* says;
  } kCases[] = {
      {"acme.v1.Nothing", "{}", "is unknown"},
      {"banyan.modules.v1.Put", "{", "not JSON"},
      {"banyan.modules.v1.Put", "[]", "must be a JSON object"},
      {"banyan.modules.v1.Put", R"({"kye": 1})", "kye"},
  };
  for (const auto& c : kCases) {
    auto got = PayloadFromTypedJson(c.type, c.json, &types);
    ASSERT_FALSE(got.ok()) << c.json;
    EXPECT_NE(std::string(got.status().message()).find(c.says), std::string::npos) << got.status();
  }
}

TEST(PayloadsFromJson, WantsAList) {
  TypeRegistry types;
  EXPECT_EQ(PayloadsFromJson("[1, {\"@type\": \"banyan.modules.v1.Size\"}]", &types)->size(), 2u);
  EXPECT_FALSE(PayloadsFromJson("{}", &types).ok());
  auto bad = PayloadsFromJson("[1, {\"@type\": \"acme.X\"}]", &types);
  EXPECT_NE(std::string(bad.status().message()).find("item 1"), std::string::npos);
  EXPECT_FALSE(PayloadsFromJson(std::string(200, '[') + std::string(200, ']'), &types).ok());
}

TEST(MessageToJson, ShowsWhatItCannotRead) {
  TypeRegistry types;
  v1::Payload payload;
  payload.mutable_value()->set_type_url("type.googleapis.com/acme.v1.Foo");
  payload.mutable_value()->set_value("\x08\x01");
  EXPECT_EQ(PayloadToJson(payload, &types, false), R"({"type":"acme.v1.Foo","base64":"CAE="})");
  const std::string json = MessageToJson(payload, &types, false);
  EXPECT_NE(json.find("acme.v1.Foo"), std::string::npos) << json;
  EXPECT_NE(json.find("CAE="), std::string::npos) << json;
  EXPECT_EQ(PayloadToJson(v1::Payload(), &types, false), "null");
  // Bytes that are not the type they claim.
  payload.mutable_value()->set_type_url("type.googleapis.com/banyan.modules.v1.Put");
  payload.mutable_value()->set_value("\xff\xff\xff");
  EXPECT_NE(MessageToJson(payload, &types, false).find("////"), std::string::npos);
}

}  // namespace
}  // namespace banyan::client
