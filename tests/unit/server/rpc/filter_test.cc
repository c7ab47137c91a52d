#include "server/rpc/filter.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "banyan/v1/types.pb.h"

namespace banyan::rpc {
namespace {

using ::testing::HasSubstr;

bool Matches(const std::string& text, const v1::ActorInfo& actor) {
  absl::StatusOr<MessageFilter> filter = MessageFilter::Parse(text, *v1::ActorInfo::descriptor());
  EXPECT_TRUE(filter.ok()) << text << ": " << filter.status();
  return filter.ok() && filter->Matches(actor);
}

std::string Problem(const std::string& text) {
  absl::StatusOr<MessageFilter> filter = MessageFilter::Parse(text, *v1::ActorInfo::descriptor());
  return filter.ok() ? "" : std::string(filter.status().message());
}

v1::ActorInfo Actor() {
  v1::ActorInfo actor;
  actor.set_node("n1");
  actor.set_module("kv");
  actor.set_state(v1::ACTOR_STATE_WAITING);
  actor.set_mailbox_length(7);
  actor.set_trap_exit(true);
  actor.add_names("a/b");
  (*actor.mutable_labels())["tier"] = "gold";
  return actor;
}

TEST(MessageFilter, ComparesFieldsOfEveryKind) {
  const v1::ActorInfo actor = Actor();
  for (const char* yes :
       {"", "  ", "node = n1", "node=\"n1\" AND module = kv", "mailbox_length > 6",
        "mailbox_length >= 7", "mailbox_length < 8 and mailbox_length <= 7", "mailbox_length != 8",
        "state = waiting", "state = ACTOR_STATE_WAITING", "state != running", "trap_exit = true",
        "names = a/b", "names != c", "labels.tier = gold", "labels.tier != silver",
        "labels.zone != x"}) {
    EXPECT_TRUE(Matches(yes, actor)) << yes;
  }
  for (const char* no :
       {"node = n2", "node = n1 AND module = x", "mailbox_length > 7", "state = running",
        "trap_exit = false", "names = c", "labels.zone = \"\""}) {
    EXPECT_FALSE(Matches(no, actor)) << no;
  }
}

TEST(MessageFilter, SaysWhereAndWhy) {
  EXPECT_THAT(Problem("nonsense = 1"), HasSubstr("\"nonsense\" is not a field"));
  EXPECT_THAT(Problem("node"), HasSubstr("is expected"));
  EXPECT_THAT(Problem("node = "), HasSubstr("a value is expected"));
  EXPECT_THAT(Problem("node = \"n1"), HasSubstr("both quotes"));
  EXPECT_THAT(Problem("node = a module = b"), HasSubstr("AND"));
  EXPECT_THAT(Problem("mailbox_length > many"), HasSubstr("a number"));
  EXPECT_THAT(Problem("node > a"), HasSubstr("only be compared"));
  EXPECT_THAT(Problem("state = flying"), HasSubstr("no value"));
  EXPECT_THAT(Problem("trap_exit = 1"), HasSubstr("true or false"));
  EXPECT_THAT(Problem("pid = 1"), HasSubstr("not a field that can be compared"));
  EXPECT_THAT(Problem("labels = 1"), HasSubstr("not a field that can be compared"));
  EXPECT_THAT(Problem(std::string(5000, 'x')), HasSubstr("longer"));
}

TEST(MessageFilter, LabelsByTheirBareKeys) {
  auto filter =
      MessageFilter::ParseLabels("tier = gold AND zone != a", *v1::ActorInfo::descriptor());
  ASSERT_TRUE(filter.ok());
  EXPECT_TRUE(filter->Matches(Actor()));
}

}  // namespace
}  // namespace banyan::rpc
