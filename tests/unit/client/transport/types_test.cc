#include "client/transport/types.h"

#include <fstream>

#include "client/transport/payload.h"
#include "gtest/gtest.h"

namespace banyan::client {
namespace {

std::string WriteProto(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path) << text;
  return path;
}

TEST(TypeRegistry, LearnsFromAProtoFile) {
  TypeRegistry types;
  const std::string path =
      WriteProto("acme_types_test.proto", R"(syntax = "proto3"; package acme.v1;
      import "google/protobuf/duration.proto";
      message Order { string id = 1; google.protobuf.Duration due = 2; })");
  ASSERT_EQ(types.Find("acme.v1.Order"), nullptr);
  ASSERT_TRUE(types.AddProtoFile(path).ok()) << types.AddProtoFile(path);
  ASSERT_NE(types.Find("acme.v1.Order"), nullptr);
  auto payload = PayloadFromTypedJson("acme.v1.Order", R"({"id": "x", "due": "5s"})", &types);
  ASSERT_TRUE(payload.ok()) << payload.status();
  EXPECT_EQ(PayloadToJson(*payload, &types, false), R"({"id":"x","due":"5s"})");
}

TEST(TypeRegistry, NamesTheLineOfAMistake) {
  TypeRegistry types;
  const absl::Status bad =
      types.AddProtoFile(WriteProto("bad_types_test.proto", "syntax = \"proto3\";\nmessage {"));
  EXPECT_NE(std::string(bad.message()).find("bad_types_test.proto:2"), std::string::npos) << bad;
  EXPECT_FALSE(types.AddProtoFile("/no/such/file.proto").ok());
}

TEST(TypeRegistry, FetchesWhatNobodyKnows) {
  std::vector<std::string> asked;
  TypeRegistry types([&](const std::string& symbol) {
    asked.push_back(symbol);
    google::protobuf::FileDescriptorProto main;
    main.set_name("acme/main.proto");
    main.set_package("acme");
    main.set_syntax("proto3");
    main.add_dependency("acme/base.proto");
    main.add_message_type()->set_name("Main");
    google::protobuf::FileDescriptorProto base;
    base.set_name("acme/base.proto");
    base.set_package("acme");
    base.add_message_type()->set_name("Base");
    return std::vector<google::protobuf::FileDescriptorProto>{main, base};
  });
  EXPECT_NE(types.Find("banyan.modules.v1.Put"), nullptr);
  EXPECT_TRUE(asked.empty());
  EXPECT_NE(types.Find("acme.Main"), nullptr);
  EXPECT_NE(types.Find("acme.Base"), nullptr);
  EXPECT_EQ(asked, std::vector<std::string>{"acme.Main"});
}

}  // namespace
}  // namespace banyan::client
