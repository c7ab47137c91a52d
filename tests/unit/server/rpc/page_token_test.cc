#include "server/rpc/page_token.h"

#include "gtest/gtest.h"

#include "common/base/error.h"
#include "server/rpc/fan_out.h"

namespace banyan::rpc {
namespace {

TEST(PageToken, ReadsBackWhatItMade) {
  const ActorCursor cursor{3, 0x2'0000'0007};
  auto read = DecodeActorToken(EncodeActorToken(cursor, "c"), "c");
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(**read, cursor);
  EXPECT_FALSE(DecodeActorToken("", "c")->has_value());
  EXPECT_EQ(*DecodeOffsetToken(EncodeOffsetToken(200, ""), ""), 200u);
  EXPECT_EQ(*DecodeOffsetToken("", "x"), 0u);
}

TEST(PageToken, RefusesWhatIsNotItsOwn) {
  const std::string token = EncodeActorToken({1, 2}, "filter");
  for (const std::string& bad :
       {std::string("x"), std::string("a-"), std::string("a-1-2"), token + "-0", token + "z",
        "o" + token.substr(1), std::string(2000, '9')}) {
    EXPECT_EQ(ErrorReason(DecodeActorToken(bad, "filter").status()), "PAGE_TOKEN_INVALID") << bad;
  }
  EXPECT_EQ(ErrorReason(DecodeActorToken(token, "other").status()), "PAGE_TOKEN_INVALID");
}

TEST(ActorOrder, TakesNumberFieldsOnly) {
  EXPECT_TRUE(ActorOrder::Parse("mailbox_length desc")->descending);
  EXPECT_FALSE(ActorOrder::Parse("memory_bytes")->descending);
  for (const char* bad : {"", "node", "links", "mailbox_length down", "a b c"}) {
    EXPECT_FALSE(ActorOrder::Parse(bad).ok()) << bad;
  }
}

v1::ActorInfo Actor(uint32_t node, uint64_t id, uint64_t mailbox) {
  v1::ActorInfo actor;
  actor.mutable_pid()->set_node_id(node);
  actor.mutable_pid()->set_id(id);
  actor.set_mailbox_length(mailbox);
  return actor;
}

TEST(MergeActors, PagesOverNodesWithoutGapsOrRepeats) {
  v1::ListActorsRequest request;
  request.set_page_size(3);
  std::vector<std::unique_ptr<v1::ListActorsResponse>> answers(3);
  answers[0] = std::make_unique<v1::ListActorsResponse>();
  for (uint64_t id : {1, 2}) *answers[0]->add_actors() = Actor(1, id, id);
  answers[1] = std::make_unique<v1::ListActorsResponse>();
  for (uint64_t id : {1, 2}) *answers[1]->add_actors() = Actor(2, id, 10 * id);
  v1::ListActorsResponse out;
  MergeActors(request, {{"n1", ""}, {"n2", ""}, {"n3", ""}}, std::move(answers), &out);
  ASSERT_EQ(out.actors_size(), 3);
  auto next = DecodeActorToken(out.next_page_token(), ConditionsOf(request));
  EXPECT_EQ(**next, (ActorCursor{2, 1}));
  ASSERT_EQ(out.unreachable_size(), 1);
  EXPECT_EQ(out.unreachable(0), "nodes/n3");
}

TEST(MergeActors, TopHasNoFurtherPage) {
  v1::ListActorsRequest request;
  request.set_page_size(1);
  request.set_order_by("mailbox_length desc");
  std::vector<std::unique_ptr<v1::ListActorsResponse>> answers(1);
  answers[0] = std::make_unique<v1::ListActorsResponse>();
  *answers[0]->add_actors() = Actor(1, 1, 5);
  *answers[0]->add_actors() = Actor(1, 2, 9);
  v1::ListActorsResponse out;
  MergeActors(request, {{"n1", ""}}, std::move(answers), &out);
  ASSERT_EQ(out.actors_size(), 1);
  EXPECT_EQ(out.actors(0).mailbox_length(), 9u);
  EXPECT_EQ(out.next_page_token(), "");
}

}  // namespace
}  // namespace banyan::rpc
