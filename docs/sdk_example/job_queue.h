#pragma once

#include <deque>
#include <string>
#include <vector>

#include "server/behaviours/behaviour.h"

namespace jobs {

// A behaviour of one's own, made with nothing but the SDK: a queue of jobs that are worked off one
// at a time while new ones are accepted. The behaviour owns the protocol and the order; the module
// says what a job is and what a failed one deserves.
//
//   class Resizer : public JobQueue {                       // the module
//     Task<absl::StatusOr<Payload>> HandleJob(Payload job) override;
//     Verdict HandleFailure(const Payload& job, const absl::Status& why, int attempt) override;
//   };
//   modules.Add<Resizer>("resizer", {.version = "1"});      // supervisors start it by that name
//
// A job is a call; its reply is the job's result. A cast is a job whose result nobody wants.
class JobQueue : public banyan::Behaviour {
 public:
  enum class Verdict : uint8_t {
    kGiveUp,  // the caller gets the error
    kRetry,   // once more, after the jobs that wait
    kCrash,   // the queue ends; waiting callers see that
  };
  struct Job {
    banyan::Payload payload;
    banyan::CallFrom from;  // nobody for a cast
    int failures = 0;
  };
  // What sys shows and replaces.
  using State = std::deque<Job>;

  // --- callbacks, mandatory
  virtual banyan::Task<absl::StatusOr<banyan::Payload>> HandleJob(banyan::Payload job) = 0;
  // `attempt`: 1 for the first failure of this job.
  virtual Verdict HandleFailure(const banyan::Payload& job, const absl::Status& why,
                                int attempt) = 0;

  // --- callbacks, optional
  virtual absl::Status HandleStart(const std::vector<banyan::Payload>& args) {
    return absl::OkStatus();
  }
  // A job that comes while so many wait is refused with MAILBOX_FULL.
  virtual size_t Capacity() const { return 1000; }
  // New code or configuration while the queue is suspended. An error leaves the old.
  virtual absl::Status HandleUpgrade(const banyan::CodeChange& change) {
    return absl::UnimplementedError("this queue cannot be upgraded");
  }
  // The queue ends in order; the jobs that wait are not worked off.
  virtual banyan::Task<void> Terminate(banyan::ExitReason reason) { return {}; }

  // --- the behaviour's side
  banyan::Task<banyan::Initialised> OnInit(std::vector<banyan::Payload> args) final;
  banyan::Task<banyan::Next> OnMessage(banyan::Message message) final;
  banyan::Task<banyan::Next> OnTimeout() final;
  banyan::Task<void> OnTerminate(banyan::ExitReason reason) final {
    return Terminate(std::move(reason));
  }
  // A local State.
  absl::StatusOr<banyan::Payload> GetState() final;
  absl::Status ReplaceState(const banyan::Payload& state) final;
  banyan::Task<absl::Status> OnCodeChange(banyan::CodeChange change) final {
    return HandleUpgrade(change);
  }
  std::string_view engine() const override { return "job queue"; }
  // The event "done" of a job; the others are as for every behaviour.
  std::string FormatEvent(const banyan::SysEvent& event) const override;

 private:
  // New messages first: a job runs when none is there.
  banyan::Next Idle() const {
    return banyan::Next::Wait(jobs_.empty() ? absl::InfiniteDuration() : absl::ZeroDuration());
  }
  banyan::Next Finish(Job job, absl::StatusOr<banyan::Payload> result);

  State jobs_;
};

}  // namespace jobs
