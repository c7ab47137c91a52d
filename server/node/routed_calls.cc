#include "server/node/routed_calls.h"

#include <utility>

#include "common/base/error.h"
#include "common/base/mutex.h"
#include "server/core/call_tries.h"
#include "server/core/retry_budget.h"

namespace banyan {
namespace {

// What the platform says of this call; nothing of what its callee said.
struct Verdict {
  explicit Verdict(const absl::Status& status) {
    if (IsAnswered(status)) return;
    info = GetErrorInfo(status).value_or(ErrorInfo());
    not_executed = info.metadata["outcome"] == kNotExecuted;
    unknown = info.metadata["outcome"] == kOutcomeUnknown;
  }
  // Not by what the request did to its callee: a crash is not to be repeated.
  bool Repeatable(bool found_anew) const {
    if (info.reason == "NOCONNECTION" || info.reason == "NOT_DELIVERED") return true;
    return found_anew && info.reason == "CALLEE_EXITED" && info.exit_reason &&
           info.exit_reason->kind() != ExitReason::Kind::kError;
  }
  ErrorInfo info;
  bool not_executed = false;
  bool unknown = false;
};

}  // namespace

struct RoutedCalls::Shared {
  explicit Shared(Deps d) : deps(d) {}

  void OnCall() {
    MutexLock lock(&mu);
    budget.OnCall();
  }
  bool MayRepeat() {
    MutexLock lock(&mu);
    return budget.Take();
  }

  const Deps deps;
  Mutex mu;
  RetryBudget budget ABSL_GUARDED_BY(mu);
};

// One step follows the other, on whatever thread; only `cancelled` is everybody's.
class RoutedCalls::Call : public std::enable_shared_from_this<Call> {
 public:
  Call(Request request, std::weak_ptr<Shared> shared, Ref ref)
      : request_(std::move(request)), shared_(std::move(shared)), ref_(ref) {}

  void Find(Shared& shared) {
    if (!request_.find) return;
    request_.find([self = shared_from_this()](absl::StatusOr<Route> route) {
      const std::shared_ptr<Shared> shared = self->shared_.lock();
      if (!shared) return;
      route.ok() ? self->Send(*shared, *route) : self->OnFailure(*shared, route.status(), Pid());
    });
  }

  void Send(Shared& shared, const Route& to) {
    if (cancelled_) return;
    last_ = to;
    Runtime* runtime = shared.deps.runtime;
    runtime->Call(to.pid, request_.payload, request_.deadline,
                  [self = shared_from_this()](absl::StatusOr<Payload> reply, Pid callee) {
                    if (reply.ok()) return self->request_.done(std::move(reply), callee);
                    const std::shared_ptr<Shared> shared = self->shared_.lock();
                    if (!shared) return self->request_.done(std::move(reply), callee);
                    self->OnFailure(*shared, reply.status(), callee);
                  },
                  {.reg_version = to.reg_version, .ref = ref_});
    // Who cancelled it may have come too early for the runtime to know of it.
    if (cancelled_) runtime->CancelCall(ref_);
  }

  void Cancel() {
    cancelled_ = true;
    if (const std::shared_ptr<Shared> shared = shared_.lock())
      shared->deps.runtime->CancelCall(ref_);
  }

 private:
  void OnFailure(Shared& shared, const absl::Status& status, Pid callee) {
    if (cancelled_) return;
    const Verdict verdict(status);
    tries_.may_have_run |= verdict.unknown;
    if (Again(shared, verdict)) return;
    // That it did not run the last time says nothing of the times before.
    request_.done(tries_.may_have_run && verdict.not_executed ? MayHaveRun(status) : status,
                  callee);
  }

  bool Again(Shared& shared, const Verdict& verdict) {
    const Instant now = shared.deps.clock->Now();
    const bool move =
        request_.find && TargetMoved(verdict.info) && tries_.moves < CallTries::kMovesMax;
    const bool repeat = request_.idempotent && verdict.Repeatable(request_.find != nullptr);
    if (!move && !repeat) return false;
    const absl::Duration pause = tries_.Pause(move, shared.deps.random);
    if (now + pause >= request_.deadline) return false;
    if (!move && !shared.MayRepeat()) return false;
    ++(move ? tries_.moves : tries_.repeats);
    if (request_.forget) request_.forget();
    shared.deps.timers->ScheduleAt(now + pause, [self = shared_from_this()] {
      const std::shared_ptr<Shared> shared = self->shared_.lock();
      if (!shared || self->cancelled_) return;
      self->request_.find ? self->Find(*shared) : self->Send(*shared, self->last_);
    });
    return true;
  }

  const Request request_;
  const std::weak_ptr<Shared> shared_;
  const Ref ref_;
  Route last_;
  CallTries tries_;
  std::atomic<bool> cancelled_{false};
};

RoutedCalls::RoutedCalls(Deps deps) : shared_(std::make_shared<Shared>(deps)) {}
RoutedCalls::~RoutedCalls() = default;

std::weak_ptr<RoutedCalls::Call> RoutedCalls::Start(Request request, Route first) {
  shared_->OnCall();
  auto call = std::make_shared<Call>(std::move(request), shared_, shared_->deps.runtime->NewCall());
  std::weak_ptr<Call> handle = call;
  first.pid.valid() ? call->Send(*shared_, first) : call->Find(*shared_);
  return handle;
}

void RoutedCalls::Cancel(const std::weak_ptr<Call>& call) {
  if (std::shared_ptr<Call> open = call.lock()) open->Cancel();
}

}  // namespace banyan
