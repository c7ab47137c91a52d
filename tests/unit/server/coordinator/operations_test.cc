#include "fmt/format.h"

#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

class Operations : public ClusterTest {
 protected:
  std::string Uuid7(int number) {
    const uint64_t ms = static_cast<uint64_t>(absl::ToUnixMillis(time_.WallNow()));
    const std::string hex = fmt::format("{:012x}", ms);
    return fmt::format("{}-{}-7000-8000-00000000000{}", hex.substr(0, 8), hex.substr(8, 4), number);
  }
};

TEST_F(Operations, INV008RepeatedRequestIsOneChildAcrossARestart) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {}).ok());
  auto first = StartChild("s", Worker("a"), "r1");
  ASSERT_TRUE(first.ok());
  auto second = StartChild("s", Worker("a"), "r1");
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->SerializeAsString(), first->SerializeAsString());
  RestartCoordinator();
  time_.RunFor(absl::Seconds(2));
  auto third = StartChild("s", Worker("a"), "r1");
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_EQ(third->SerializeAsString(), first->SerializeAsString());
  EXPECT_EQ(node("n1").size(), 1u);
}

TEST_F(Operations, SameIdWithOtherContentsIsRefused) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {}).ok());
  ASSERT_TRUE(StartChild("s", Worker("a"), "r1").ok());
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("b"), "r1").status()), "REQUEST_ID_REUSED");
  EXPECT_EQ(node("n1").size(), 1u);
}

TEST_F(Operations, OldUuid7IsNeverRunAgain) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {}).ok());
  const std::string old = Uuid7(1);
  ASSERT_TRUE(StartChild("s", Worker("a"), old).ok());
  ASSERT_TRUE(Ask<v1::TerminateChildResponse>([&](auto done) {
                coordinator_->TerminateChild(Named("s", "a"), done);
              }).ok());
  coordinator_->DeleteChild(Named("s", "a"),
                            [](const absl::Status& s) { EXPECT_TRUE(s.ok()) << s; });
  Settle();
  time_.RunFor(absl::Minutes(16));
  // By the time that the next one comes the record is gone, and what is refused is known.
  ASSERT_TRUE(StartChild("s", Worker("b"), Uuid7(2)).ok());
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("a"), old).status()), "REQUEST_TOO_OLD");
  RestartCoordinator();
  Settle();
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("a"), old).status()), "REQUEST_TOO_OLD");
  EXPECT_FALSE(node("n1").Has("s/a"));
}

// A client's clock may be wrong: what was never seen and is not older than what was dropped runs.
TEST_F(Operations, AClientsClockThatIsLateIsNoReasonToRefuse) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {}).ok());
  EXPECT_TRUE(StartChild("s", Worker("a"), "01890000-0000-7000-8000-000000000000").ok());
}

TEST_F(Operations, ErrorsFollowOtp) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("a")).status()), "CHILD_ALREADY_STARTED");
  EXPECT_EQ(ErrorReason(StartChild("nobody", Worker("a")).status()), "NAME_NOT_REGISTERED");
  EXPECT_EQ(ErrorReason(StartSupervisor("s", {}).status()), "NAME_TAKEN");
  std::optional<absl::Status> deleted;
  coordinator_->DeleteChild(Named("s", "a"), [&](absl::Status status) { deleted = status; });
  Settle();
  EXPECT_EQ(ErrorReason(deleted.value()), "CHILD_RUNNING");
  auto ended = Ask<v1::TerminateChildResponse>(
      [&](auto done) { coordinator_->TerminateChild(Named("s", "a"), done); });
  ASSERT_TRUE(ended.ok());
  EXPECT_EQ(ended->exit_reason().kind(), v1::ExitReason::KIND_SHUTDOWN);
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("a")).status()), "CHILD_ALREADY_PRESENT");
  auto restarted = Ask<v1::RestartChildResponse>(
      [&](auto done) { coordinator_->RestartChild(Named("s", "a"), false, done); });
  ASSERT_TRUE(restarted.ok());
  EXPECT_EQ(restarted->child().state(), v1::CHILD_STATE_RUNNING);
  auto running = Ask<v1::RestartChildResponse>(
      [&](auto done) { coordinator_->RestartChild(Named("s", "a"), false, done); });
  EXPECT_EQ(ErrorReason(running.status()), "CHILD_RUNNING");
  const uint64_t fence = node("n1").At("s/a").fence;
  auto anyway = Ask<v1::RestartChildResponse>(
      [&](auto done) { coordinator_->RestartChild(Named("s", "a"), true, done); });
  ASSERT_TRUE(anyway.ok()) << anyway.status();
  EXPECT_GT(node("n1").At("s/a").fence, fence);
  auto missing = Ask<v1::TerminateChildResponse>(
      [&](auto done) { coordinator_->TerminateChild(Named("s", "zz"), done); });
  EXPECT_EQ(ErrorReason(missing.status()), "CHILD_NOT_FOUND");
}

TEST_F(Operations, FailedStartChildIsNotKept) {
  AddNode("n1").on_start = [](const std::string&, internal::v1::Report* report) {
    report->mutable_start_failed()->mutable_reason()->set_kind(v1::ExitReason::KIND_ERROR);
    return true;
  };
  ASSERT_TRUE(StartSupervisor("s", {}).ok());
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("a"), "r1").status()), "CHILD_START_FAILED");
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("a"), "r1").status()), "CHILD_START_FAILED");
  EXPECT_TRUE(Children("s").empty());
}

TEST_F(Operations, INV015TerminateOnAnUnreachableNodeIsPendingUntilItsDeath) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  time_.RunFor(absl::Seconds(2));
  node("n1").Mute();
  time_.RunFor(absl::Seconds(6));
  auto answer = Ask<v1::TerminateChildResponse>(
      [&](auto done) { coordinator_->TerminateChild(Named("s", "a", "r1"), done); });
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_TRUE(answer->has_pending());
  EXPECT_EQ(answer->pending().operation_id(), "r1");
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("a")).status()), "CHILD_ALREADY_STARTED");
  auto early = Ask<v1::WaitOperationResponse>(
      [&](auto done) { coordinator_->WaitOperation("r1", time_.Now() + absl::Seconds(1), done); });
  ASSERT_TRUE(early.ok());
  EXPECT_FALSE(early->done());
  auto end = Ask<v1::WaitOperationResponse>(
      [&](auto done) { coordinator_->WaitOperation("r1", time_.Now() + absl::Seconds(100), done); },
      absl::Seconds(90));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_TRUE(end->done());
  EXPECT_EQ(end->result(), "stopped_by_death");
  EXPECT_EQ(Children("s")["a"].state(), v1::CHILD_STATE_STOPPED);
}

TEST_F(Operations, PendingTerminateEndsWhenTheNodeIsBack) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  time_.RunFor(absl::Seconds(2));
  network_.Isolate("n1-p1");
  time_.RunFor(absl::Seconds(6));
  auto answer = Ask<v1::TerminateChildResponse>(
      [&](auto done) { coordinator_->TerminateChild(Named("s", "a"), done); });
  ASSERT_TRUE(answer.ok());
  ASSERT_TRUE(answer->has_pending());
  RestartCoordinator();
  network_.Join("n1-p1");
  auto end = Ask<v1::WaitOperationResponse>(
      [&](auto done) {
        coordinator_->WaitOperation(answer->pending().operation_id(),
                                    time_.Now() + absl::Seconds(30), done);
      },
      absl::Seconds(40));
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_TRUE(end->done());
  EXPECT_EQ(end->result(), "stopped");
  EXPECT_FALSE(node("n1").Has("s/a"));
}

TEST_F(Operations, PagesOfChildren) {
  AddNode("n1");
  std::vector<ChildSpec> many;
  for (int i = 0; i < 7; ++i) many.push_back(Worker("c" + std::to_string(i)));
  ASSERT_TRUE(StartSupervisor("s", many).ok());
  std::vector<std::string> ids;
  PageArgs page{3, ""};
  do {
    auto part = Ask<v1::ListChildrenResponse>([&](auto done) {
      coordinator_->ListChildren(Target::Named("s"), page, true, nullptr, done);
    });
    ASSERT_TRUE(part.ok());
    for (const auto& child : part->children()) ids.push_back(child.id());
    page.token = part->next_page_token();
  } while (!page.token.empty());
  EXPECT_THAT(ids, ::testing::ElementsAre("c0", "c1", "c2", "c3", "c4", "c5", "c6"));
}

TEST_F(Operations, AChildThatIsThereIsNamedWithItsFence) {
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {Worker("a")}).ok());
  const absl::Status again = StartChild("s", Worker("a"), "r9").status();
  ASSERT_EQ(ErrorReason(again), "CHILD_ALREADY_STARTED");
  const auto info = GetErrorInfo(again);
  EXPECT_EQ(info->metadata.at("fence"), std::to_string(node("n1").At("s/a").fence));
}

// A UUIDv7 whose record had to make room is refused, also by the next leader.
TEST_F(Operations, WhatWasDroppedEarlyIsRefusedByTheNextLeaderToo) {
  options_.operations_max = 3;
  RestartCoordinator();
  AddNode("n1");
  ASSERT_TRUE(StartSupervisor("s", {}).ok());
  const std::string first = Uuid7(1);
  ASSERT_TRUE(StartChild("s", Worker("w1"), first).ok());
  for (int i = 2; i < 8; ++i) {
    time_.RunFor(absl::Seconds(1));
    ASSERT_TRUE(StartChild("s", Worker("w" + std::to_string(i)), Uuid7(i)).ok());
  }
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("w1"), first).status()), "REQUEST_TOO_OLD");
  RestartCoordinator();
  Settle();
  EXPECT_EQ(ErrorReason(StartChild("s", Worker("w1"), first).status()), "REQUEST_TOO_OLD");
}

// One that is still under way keeps its record, and holds back nobody else's end.
TEST_F(Operations, AnUnfinishedOperationIsPassedOver) {
  options_.operations_max = 3;
  RestartCoordinator();
  AddNode("n1").on_start = [](const std::string& path, auto*) { return path != "s/slow"; };
  ASSERT_TRUE(StartSupervisor("s", {}).ok());
  StartChildArgs slow;
  slow.supervisor = Target::Named("s");
  slow.spec = Worker("slow");
  slow.request_id = "slow";
  bool answered = false;
  coordinator_->StartChild(slow, [&](auto) { answered = true; });
  for (int i = 0; i < 10; ++i) {
    time_.RunFor(absl::Seconds(1));
    ASSERT_TRUE(StartChild("s", Worker("w" + std::to_string(i)), "r" + std::to_string(i)).ok());
  }
  auto records = store_->Load("op/");
  ASSERT_TRUE(records.ok());
  EXPECT_LE(records->size(), 5u);
  node("n1").Up("s/slow");
  Settle();
  EXPECT_TRUE(answered);
}

}  // namespace
}  // namespace banyan::testing
