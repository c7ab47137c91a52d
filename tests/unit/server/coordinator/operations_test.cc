#include "tests/unit/server/coordinator/cluster_fixture.h"

namespace banyan::testing {
namespace {

using Operations = ClusterTest;

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
  EXPECT_EQ(
      ErrorReason(StartChild("s", Worker("a"), "01890000-0000-7000-8000-000000000000").status()),
      "REQUEST_TOO_OLD");
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

}  // namespace
}  // namespace banyan::testing
