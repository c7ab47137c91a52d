#include "server/behaviours/example/job_queue.h"

#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"

namespace banyan {

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
    self().AnswerError(message.call_from(),
                       MakeError("MAILBOX_FULL", fmt::format("{} jobs wait already", jobs_.size()),
                                 {{"limit", fmt::format("{}", Capacity())}}));
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

absl::StatusOr<Payload> JobQueue::GetState() { return Payload::Local(jobs_.size()); }

}  // namespace banyan
