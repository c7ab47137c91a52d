// The worked example: a behaviour of a third party's and a module of it.
#include "docs/sdk_example/job_queue.h"

#include "common/base/error.h"
#include "tests/support/actors/supervisor_test.h"

namespace banyan {
namespace {

using jobs::JobQueue;

class Reverser : public JobQueue {
 public:
  Task<absl::StatusOr<Payload>> HandleJob(Payload job) override {
    std::string text = TextOf(job);
    if (text == "throw") throw std::out_of_range("no such job");
    if (text == "slow") co_await self().Sleep(absl::Seconds(1));
    if (text.starts_with("bad")) co_return absl::InternalError("bad job");
    co_return Word(std::string(text.rbegin(), text.rend()) + suffix_);
  }
  Verdict HandleFailure(const Payload& job, const absl::Status& why, int attempt) override {
    if (TextOf(job) == "bad, crash") return Verdict::kCrash;
    return attempt < 3 ? Verdict::kRetry : Verdict::kGiveUp;
  }
  absl::Status HandleUpgrade(const CodeChange& change) override {
    if (TextOf(change.extra) == "throw") throw std::out_of_range("no such version");
    if (TextOf(change.extra) == "bad") return absl::InternalError("bad upgrade");
    suffix_ = TextOf(change.extra);
    return absl::OkStatus();
  }

 private:
  std::string suffix_;
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
    EXPECT_EQ(bad.status().code(), absl::StatusCode::kInternal);
    EXPECT_EQ(bad.status().message(), "bad job");
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

TEST_F(JobQueueTest, BHV004SuspendResumeStatusAndState) {
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
    EXPECT_EQ(status->engine, "job queue");
    absl::StatusOr<Payload> state = co_await sys::GetState(t, q.pid);
    EXPECT_EQ(state->As<JobQueue::State>()->size(), 0u);
    EXPECT_TRUE((co_await sys::Resume(t, q.pid)).ok());
    absl::StatusOr<Payload> answer = co_await t.Call(q.pid, Word("ab"));
    EXPECT_EQ(TextOf(*answer), "ba");
  });
}

TEST_F(JobQueueTest, BHV004ReplacedStateIsWorkedOff) {
  Run([&](Self& t) -> Task<void> {
    StartResult q = co_await StartQueue(t);
    co_await Settle(t);
    Ref alias = t.OpenAlias(q.pid);
    auto add = [&](const Payload& state) -> absl::StatusOr<Payload> {
      JobQueue::State jobs = *state.As<JobQueue::State>();
      jobs.push_back({Word("ab"), CallFrom{t.pid(), alias, q.pid}, 0});
      return Payload::Local(jobs);
    };
    EXPECT_TRUE((co_await sys::ReplaceState(t, q.pid, add)).ok());
    CallReply reply = co_await t.AwaitReply(alias, t.Now() + absl::Seconds(1));
    EXPECT_EQ(TextOf(reply.payload), "ba");
    auto junk = [](const Payload&) -> absl::StatusOr<Payload> { return Word("junk"); };
    absl::StatusOr<Payload> refused = co_await sys::ReplaceState(t, q.pid, junk);
    EXPECT_EQ(ErrorReason(refused.status()), "STATE_INVALID");
    EXPECT_TRUE(t.runtime().IsAlive(q.pid));
  });
}

TEST_F(JobQueueTest, SDK014EventsOfItsOwnAreLoggedAndCountedLikeOthers) {
  Run([&](Self& t) -> Task<void> {
    StartResult q = co_await StartQueue(t);
    EXPECT_TRUE((co_await sys::Debug(t, q.pid, DebugOption::Log())).ok());
    EXPECT_TRUE((co_await sys::Debug(t, q.pid, DebugOption::Statistics())).ok());
    std::vector<std::string> lines;
    auto note = [&lines](Payload state, const SysEvent& event,
                         const DebugInfo& info) -> std::optional<Payload> {
      lines.push_back(info.behaviour.FormatEvent(event));
      return state;
    };
    EXPECT_TRUE((co_await sys::Debug(t, q.pid, DebugOption::Install("note", note))).ok());
    (void)co_await t.Call(q.pid, Word("ab"));
    absl::StatusOr<std::vector<SysEvent>> log = co_await sys::GetLog(t, q.pid);
    CO_ASSERT(log.ok() && !log->empty());
    EXPECT_EQ(log->back().type, "done");
    EXPECT_THAT(lines.back(), testing::StartsWith("job done: "));
    absl::StatusOr<std::optional<SysStatistics>> counted = co_await sys::GetStatistics(t, q.pid);
    CO_ASSERT(counted.ok() && counted->has_value());
    EXPECT_GE((*counted)->messages_in, 1u);
  });
}

TEST_F(JobQueueTest, BHV016AFailingUpgradeLeavesTheOldStateAndTheSuspension) {
  Run([&](Self& t) -> Task<void> {
    StartResult q = co_await StartQueue(t);
    EXPECT_TRUE((co_await sys::Suspend(t, q.pid)).ok());
    CodeChange change;
    change.extra = Word("!");
    EXPECT_TRUE((co_await sys::ChangeCode(t, q.pid, change)).ok());
    for (const char* how : {"bad", "throw"}) {
      change.extra = Word(how);
      EXPECT_FALSE((co_await sys::ChangeCode(t, q.pid, change)).ok()) << how;
      absl::StatusOr<SysStatus> status = co_await sys::GetStatus(t, q.pid);
      EXPECT_TRUE(status->suspended) << how;
    }
    EXPECT_TRUE((co_await sys::Resume(t, q.pid)).ok());
    absl::StatusOr<Payload> answer = co_await t.Call(q.pid, Word("ab"));
    EXPECT_EQ(TextOf(*answer), "ba!");
  });
}

}  // namespace
}  // namespace banyan
