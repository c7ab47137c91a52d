#include "job_queue.h"

#include <utility>

#include "common/base/error.h"

namespace jobs {

using namespace banyan;  // NOLINT: this file is about nothing else

Task<Initialised> JobQueue::OnInit(std::vector<Payload> args) {
  absl::Status started = HandleStart(args);
  if (!started.ok())
    return Initialised::Stop(ExitReason::Error("bad_start", std::string(started.message())));
  return Initialised::Ok();
}

Task<Next> JobQueue::OnMessage(Message message) {
  const bool is_job = message.is_call() || message.is_cast();
  if (is_job && jobs_.size() < Capacity()) {
    jobs_.push_back({message.payload(), message.is_call() ? message.call_from() : CallFrom{}, 0});
  } else if (message.is_call()) {
    self().Refuse(message.call_from(),
                  MakeError("MAILBOX_FULL", "as many jobs wait already as the queue takes",
                            {{"limit", std::to_string(Capacity())}}));
  }
  return Idle();
}

Task<Next> JobQueue::OnTimeout() {
  if (jobs_.empty()) co_return Idle();
  Job job = std::move(jobs_.front());
  jobs_.pop_front();
  absl::StatusOr<Payload> result = co_await HandleJob(job.payload);
  co_return Finish(std::move(job), std::move(result));
}

Next JobQueue::Finish(Job job, absl::StatusOr<Payload> result) {
  const bool called = job.from.ref != 0;
  if (result.ok()) {
    if (debugging()) {
      SysEvent done = SysEvent::Of(SysEvent::Kind::kOther);
      done.type = "done";
      done.content = job.payload;
      Debug(done);
    }
    if (called) self().Answer(job.from, *std::move(result));
    return Idle();
  }
  switch (HandleFailure(job.payload, result.status(), ++job.failures)) {
    case Verdict::kRetry:
      jobs_.push_back(std::move(job));
      break;
    case Verdict::kGiveUp:
      if (called) self().AnswerError(job.from, result.status());
      break;
    case Verdict::kCrash:
      return Next::Stop(ExitReason::Error("job_failed", std::string(result.status().message())));
  }
  return Idle();
}

absl::StatusOr<Payload> JobQueue::GetState() { return Payload::Local(jobs_); }

absl::Status JobQueue::ReplaceState(const Payload& state) {
  const auto* jobs = state.As<State>();
  if (!jobs) return MakeError("STATE_INVALID", "the state is a JobQueue::State");
  jobs_ = *jobs;
  // The loop goes on with the wait that it was in; a message makes it look at the jobs.
  self().Send(self().pid(), {});
  return absl::OkStatus();
}

std::string JobQueue::FormatEvent(const SysEvent& event) const {
  if (event.type == "done") return "job done: " + FormatPayload(event.content);
  return Behaviour::FormatEvent(event);
}

}  // namespace jobs
