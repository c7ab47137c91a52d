#include "server/rpc/spawn_requests.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "common/base/error.h"

namespace banyan::rpc {
namespace {

using ::testing::ElementsAre;

class SpawnRequestsTest : public ::testing::Test {
 protected:
  static v1::SpawnRequest Request(const std::string& id, const std::string& module = "m") {
    v1::SpawnRequest request;
    request.set_request_id(id);
    request.mutable_start()->set_module(module);
    return request;
  }
  static v1::SpawnResponse Started(uint64_t pid) {
    v1::SpawnResponse response;
    response.mutable_pid()->set_id(pid);
    return response;
  }
  SpawnRequests::Done Note() {
    return [this](const absl::StatusOr<v1::SpawnResponse>& answer) {
      answers.push_back(answer.ok() ? std::to_string(answer->pid().id())
                                    : ErrorReason(answer.status()));
    };
  }
  SpawnRequests requests;
  std::vector<std::string> answers;
  Instant now = Instant::FromNanos(0);
};

TEST_F(SpawnRequestsTest, ARepeatedRequestGetsTheSameAnswer) {
  auto first = requests.Begin(Request("a"), now, Note());
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(requests.Begin(Request("a"), now, Note()), nullptr) << "while the first is under way";
  EXPECT_THAT(answers, ElementsAre());
  requests.Finish(first, Started(7));
  EXPECT_THAT(answers, ElementsAre("7", "7"));
  EXPECT_EQ(requests.Begin(Request("a"), now, Note()), nullptr);
  EXPECT_THAT(answers, ElementsAre("7", "7", "7"));
}

TEST_F(SpawnRequestsTest, AFailedStartIsAnAnswerToo) {
  auto first = requests.Begin(Request("a"), now, Note());
  requests.Finish(first, MakeError("START_FAILED", "init"));
  EXPECT_EQ(requests.Begin(Request("a"), now, Note()), nullptr);
  EXPECT_THAT(answers, ElementsAre("START_FAILED", "START_FAILED"));
}

TEST_F(SpawnRequestsTest, WhereNothingWasBegunItMayComeAgain) {
  auto first = requests.Begin(Request("a"), now, Note());
  EXPECT_EQ(requests.Begin(Request("a"), now, Note()), nullptr);
  requests.Refuse(first, MakeError("NOPROC", "no"));
  EXPECT_THAT(answers, ElementsAre("NOPROC", "NOPROC"));
  EXPECT_NE(requests.Begin(Request("a"), now, Note()), nullptr);
}

TEST_F(SpawnRequestsTest, OtherContentsAreRefused) {
  auto first = requests.Begin(Request("a"), now, Note());
  EXPECT_EQ(requests.Begin(Request("a", "other"), now, Note()), nullptr);
  EXPECT_THAT(answers, ElementsAre("REQUEST_ID_REUSED"));
  v1::SpawnRequest placed = Request("a");
  placed.mutable_placement()->set_node("n1");
  EXPECT_EQ(requests.Begin(placed, now, Note()), nullptr) << "where is decided already";
  requests.Finish(first, Started(7));
  EXPECT_THAT(answers, ElementsAre("REQUEST_ID_REUSED", "7", "7"));
}

TEST_F(SpawnRequestsTest, IsForgottenAfterAQuarterOfAnHour) {
  requests.Finish(requests.Begin(Request("a"), now, Note()), Started(7));
  EXPECT_EQ(requests.Begin(Request("a"), now + absl::Minutes(15), Note()), nullptr);
  EXPECT_NE(requests.Begin(Request("a"), now + absl::Minutes(16), Note()), nullptr);
}

TEST(ByRequestId, TheOldestGoWhenThereAreTooMany) {
  ByRequestId<int> ids(2);
  const Instant now;
  ids.Add("a", 1, now);
  ids.Erase("a");
  ids.Add("a", 2, now);
  ids.Add("b", 3, now);
  ASSERT_NE(ids.Find("a", now), nullptr) << "an erased one's age is not the next one's";
  ids.Add("c", 4, now);
  EXPECT_EQ(ids.Find("a", now), nullptr);
  EXPECT_NE(ids.Find("b", now), nullptr);
  EXPECT_EQ(*ids.Find("c", now), 4);
}

TEST(SpawnAnswers, SayHowTheStartWent) {
  const wire::NodeIdentity self{.node_id = 3, .incarnation = 2};
  const auto failure = [&](ExitReason reason) {
    return SpawnAnswer(StartResult::Failed(std::move(reason)), self).status();
  };
  EXPECT_EQ(ErrorReason(failure(ExitReason::Error("boom"))), "START_FAILED");
  EXPECT_EQ(ErrorReason(failure(ExitReason::Error(kAlreadyStarted))), "NAME_TAKEN");
  const absl::Status late = failure(ExitReason::Timeout());
  EXPECT_EQ(ErrorReason(late), "START_TIMEOUT");
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(SpawnAnswer(StartResult::Ignored(), self)->ignored());
  EXPECT_EQ(SpawnAnswer(StartResult::Started(Pid{0, 0, 9}), self)->pid().id(), 9u);
}

}  // namespace
}  // namespace banyan::rpc
