#pragma once

#include <deque>
#include <string>
#include <vector>

#include "server/behaviours/behaviour.h"

namespace banyan {

// An example of a behaviour of one's own, made with nothing but the SDK
// (server/behaviours/behaviour.h): a queue of jobs that are worked off one at a time while new ones
// are accepted. The behaviour owns the protocol and the order; the module says what a job is and
// what a failed one deserves.
//
//   class Resizer : public JobQueue {                       // the module
//     Task<absl::StatusOr<Payload>> HandleJob(Payload job) override;
//     Verdict HandleFailure(const Payload& job, const absl::Status& why, int attempt) override;
//   };
//   modules.Add<Resizer>("resizer", {.version = "1"});      // supervisors start it by that name
//
// A job is a call; its reply is the job's result. A cast is a job whose result nobody wants.
class JobQueue : public Behaviour {
 public:
  enum class Verdict : uint8_t {
    kGiveUp,  // the caller gets the error
    kRetry,   // once more, after the jobs that wait
    kCrash,   // the queue ends; waiting callers see that
  };

  // --- callbacks, mandatory
  virtual Task<absl::StatusOr<Payload>> HandleJob(Payload job) = 0;
  // `attempt`: 1 for the first failure of this job.
  virtual Verdict HandleFailure(const Payload& job, const absl::Status& why, int attempt) = 0;

  // --- callbacks, optional
  virtual absl::Status HandleStart(const std::vector<Payload>& args) { return absl::OkStatus(); }
  // A job that comes while so many wait is refused with MAILBOX_FULL.
  virtual size_t Capacity() const { return 1000; }

  // --- the behaviour's side
  Task<Initialised> OnInit(std::vector<Payload> args) final;
  Task<Next> OnMessage(Message message) final;
  Task<Next> OnTimeout() final;
  // The number of jobs that wait, as a local size_t.
  absl::StatusOr<Payload> GetState() final;

 private:
  struct Job {
    Payload payload;
    CallFrom from;  // nobody for a cast
    int failures = 0;
  };
  // New messages first: a job runs when none is there.
  Next Idle() const {
    return Next::Wait(jobs_.empty() ? absl::InfiniteDuration() : absl::ZeroDuration());
  }
  Next Finish(Job job, absl::StatusOr<Payload> result);

  std::deque<Job> jobs_;
};

}  // namespace banyan
