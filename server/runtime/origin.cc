#include "server/runtime/origin.h"

#include "server/runtime/process.h"
#include "server/runtime/scheduler.h"

namespace banyan {
namespace {

thread_local const ProcessOrigin* job_of = nullptr;

}  // namespace

const ProcessOrigin* OriginOnThisThread() noexcept {
  if (job_of != nullptr) return job_of;
  const Process* running = Scheduler::RunningOnThisThread();
  return running != nullptr ? running->origin_.get() : nullptr;
}

WorkingFor::WorkingFor(const ProcessOrigin* origin) noexcept : before_(job_of) { job_of = origin; }
WorkingFor::~WorkingFor() { job_of = before_; }

}  // namespace banyan
