#include "client/transport/target.h"

#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace banyan::client {
namespace {

absl::StatusOr<uint32_t> Resolve(const std::string& name) {
  if (name == "n1") return 1;
  if (name == "n2") return 2;
  return absl::NotFoundError("there is no node \"" + name + "\"");
}

std::string Short(const google::protobuf::Message& message) { return message.ShortDebugString(); }

TEST(ParseTarget, ReadsEveryTextForm) {
  const struct {
    const char* text;
    const char* want;
  } kCases[] = {
      {"counter", "name: \"counter\""},
      {"counter/eu", "name: \"counter/eu\""},
      {"name:counter/eu", "name: \"counter/eu\""},
      {"name:logger@n2", "local_name { node: \"n2\" name: \"logger\" }"},
      {"logger@n2", "local_name { node: \"n2\" name: \"logger\" }"},
      {"n1:3:4711", "pid { node_id: 1 incarnation: 3 id: 4711 }"},
      {"pid:n1:3:4711", "pid { node_id: 1 incarnation: 3 id: 4711 }"},
      {"7:3:4711", "pid { node_id: 7 incarnation: 3 id: 4711 }"},
      {"n1:3:1.2", "pid { node_id: 1 incarnation: 3 id: 8589934593 }"},
      {"group:workers", "group { group: \"workers\" selection: SELECTION_NEAREST }"},
      {"group:workers#least", "group { group: \"workers\" selection: SELECTION_LEAST_LOADED }"},
      {"group:workers#random", "group { group: \"workers\" selection: SELECTION_RANDOM }"},
      {"group:w/x#nearest", "group { group: \"w/x\" selection: SELECTION_NEAREST }"},
      {"group:w#hash=user:17",
       "group { group: \"w\" selection: SELECTION_HASH hash_key: \"user:17\" }"},
      {"child:shop/payments/w3",
       "child { supervisor: \"shop\" child_ids: \"payments\" child_ids: \"w3\" }"},
      {"child:shop%2Feu/w3", "child { supervisor: \"shop/eu\" child_ids: \"w3\" }"},
  };
  for (const auto& c : kCases) {
    auto got = ParseTarget(c.text, Resolve);
    ASSERT_TRUE(got.ok()) << c.text << ": " << got.status();
    EXPECT_EQ(Short(*got), c.want) << c.text;
  }
}

TEST(ParseTarget, SaysWhatIsWrong) {
  const struct {
    const char* text;
    const char* says;
  } kCases[] = {
      {"", "empty"},
      {"a b", "' '"},
      {"/a", "empty segment"},
      {"a//b", "empty segment"},
      {"name:", "the name is empty"},
      {"pid:n1:3", "two colons"},
      {"pid:n1:x:5", "incarnation"},
      {"n1:3:0", "slot"},
      {"n1:3:5.x", "generation"},
      {"n9:3:5", "no node \"n9\""},
      {"group:", "the name is empty"},
      {"group:w#best", "#best"},
      {"child:shop", "at least one child id"},
      {"child:/x", "the name is empty"},
  };
  for (const auto& c : kCases) {
    auto got = ParseTarget(c.text, Resolve);
    ASSERT_FALSE(got.ok()) << c.text;
    EXPECT_NE(std::string(got.status().message()).find(c.says), std::string::npos)
        << c.text << ": " << got.status();
  }
  EXPECT_FALSE(ParseTarget(std::string(256, 'a'), Resolve).ok());
  EXPECT_TRUE(ParseTarget(std::string(255, 'a'), Resolve).ok());
}

TEST(ParseSupervisor, TakesASlashAsAPath) {
  EXPECT_EQ(Short(*ParseSupervisor("shop/carts", Resolve)),
            "child { supervisor: \"shop\" child_ids: \"carts\" }");
  EXPECT_EQ(Short(*ParseSupervisor("shop", Resolve)), "name: \"shop\"");
  EXPECT_EQ(Short(*ParseSupervisor("name:shop/eu", Resolve)), "name: \"shop/eu\"");
  EXPECT_EQ(Short(*ParseSupervisor("n1:3:7", Resolve)), "pid { node_id: 1 incarnation: 3 id: 7 }");
}

TEST(FormatPid, WritesTheNameOrTheNumber) {
  v1::Pid pid = ParseTarget("n1:3:4711.2", Resolve)->pid();
  EXPECT_EQ(FormatPid(pid, [](uint32_t) { return std::string("n1"); }), "n1:3:4711.2");
  EXPECT_EQ(FormatPid(pid, [](uint32_t) { return std::string(); }), "1:3:4711.2");
  EXPECT_EQ(FormatPid(v1::Pid(), nullptr), "-");
}

}  // namespace
}  // namespace banyan::client
