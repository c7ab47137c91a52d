// BHV-001 to BHV-011 of spec/behaviours.md for a behaviour made with the SDK.
#include "server/behaviours/example/job_queue.h"

#include "common/base/error.h"
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

class Reverser : public JobQueue {
 public:
  Task<absl::StatusOr<Payload>> HandleJob(Payload job) override {
    std::string text = TextOf(job);
    if (text == "throw") throw std::out_of_range("no such job");
    if (text == "slow") co_await self().Sleep(absl::Seconds(1));
    if (text.starts_with("bad")) co_return absl::InternalError("bad job");
    co_return Word(std::string(text.rbegin(), text.rend()));
  }
  Verdict HandleFailure(const Payload& job, const absl::Status& why, int attempt) override {
    if (TextOf(job) == "bad, crash") return Verdict::kCrash;
    return attempt < 3 ? Verdict::kRetry : Verdict::kGiveUp;
  }
};

class JobQueueTest : public SupervisorTest {
 protected:
  JobQueueTest() { modules_.Add<Reverser>("reverser", {.version = "1"}); }

  static Task<StartResult> StartQueue(Self& t) {
    StartSpec spec;
    spec.module = "reverser";
    return StartModule(t, spec, {});
  }
};

TEST_F(JobQueueTest, WorksOffJobsInOrder) {
  Run([&](Self& t) -> Task<void> {
    StartResult q = co_await StartQueue(t);
    Ref slow = t.SendRequest(q.pid, Word("slow"));
    absl::StatusOr<Payload> second = co_await t.Call(q.pid, Word("abc"));
    EXPECT_EQ(TextOf(*second), "cba");
    CallReply first = co_await t.AwaitReply(slow, t.Now());
    EXPECT_EQ(first.outcome, CallReply::Outcome::kReply) << "the slow one came first";
    absl::StatusOr<Payload> bad = co_await t.Call(q.pid, Word("bad"));
    EXPECT_EQ(bad.status(), absl::InternalError("bad job"));
  });
}

TEST_F(JobQueueTest, BHV003RestartedBySupervisor) {
  Run([&](Self& t) -> Task<void> {
    Pid s = co_await Start(t, Spec(Strategy::kOneForOne, 2, 5, {Child("q", "reverser")}));
    Pid q = co_await PidOf(t, s, "q");
    absl::StatusOr<Payload> crash = co_await t.Call(q, Word("bad, crash"));
    EXPECT_EQ(GetErrorInfo(crash.status())->exit_reason->type(), "job_failed");
    co_await Settle(t);
    Pid again = co_await PidOf(t, s, "q");
    EXPECT_NE(again, q);
    absl::StatusOr<Payload> answer = co_await t.Call(again, Word("ab"));
    EXPECT_EQ(TextOf(*answer), "ba");
  });
}

TEST_F(JobQueueTest, BHV004AnswersSysWithoutCodeOfItsOwn) {
  Run([&](Self& t) -> Task<void> {
    StartResult q = co_await StartQueue(t);
    EXPECT_TRUE((co_await sys::Suspend(t, q.pid)).ok());
    Ref job = t.SendRequest(q.pid, Word("ab"));
    CallReply none = co_await t.AwaitReply(job, t.Now() + absl::Seconds(1));
    EXPECT_EQ(none.outcome, CallReply::Outcome::kTimeout);
    absl::StatusOr<SysStatus> status = co_await sys::GetStatus(t, q.pid);
    CO_ASSERT(status.ok());
    EXPECT_TRUE(status->suspended);
    EXPECT_EQ(status->module, "reverser");
    absl::StatusOr<Payload> state = co_await sys::GetState(t, q.pid);
    EXPECT_EQ(*state->As<size_t>(), 0u);
    EXPECT_TRUE((co_await sys::Resume(t, q.pid)).ok());
    absl::StatusOr<Payload> answer = co_await t.Call(q.pid, Word("ab"));
    EXPECT_EQ(TextOf(*answer), "ba");
  });
}

TEST_F(JobQueueTest, BHV011ExceptionBecomesTheReason) {
  Run([&](Self& t) -> Task<void> {
    StartResult q = co_await StartQueue(t);
    absl::StatusOr<Payload> answer = co_await t.Call(q.pid, Word("throw"));
    EXPECT_EQ(ErrorReason(answer.status()), "CALLEE_EXITED");
    std::optional<ExitReason> reason = co_await ExitOf(t, q.pid);
    EXPECT_EQ(reason, ExitReason::Error("std::out_of_range", "no such job"));
  });
}

TEST_F(JobQueueTest, BHV012Stop) {
  Run([&](Self& t) -> Task<void> {
    StartResult q = co_await StartQueue(t);
    EXPECT_TRUE((co_await sys::Stop(t, q.pid, ExitReason::Error("why"), absl::Seconds(1))).ok());
    absl::Status dead = co_await sys::Stop(t, q.pid);
    EXPECT_EQ(ErrorReason(dead), "NOPROC");
    q = co_await StartQueue(t);
    t.Cast(q.pid, Word("slow"));
    co_await t.Sleep(absl::Milliseconds(1));
    absl::Status stuck = co_await sys::Stop(t, q.pid, {}, absl::Milliseconds(10));
    EXPECT_EQ(ErrorReason(stuck), "CALL_TIMEOUT");
  });
}

}  // namespace
}  // namespace banyan
