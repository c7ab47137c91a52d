#include "server/behaviours/supervisor_client.h"

#include <type_traits>
#include <utility>

#include "fmt/format.h"

#include "common/base/error.h"
#include "server/behaviours/supervisor_spec_errors.h"

namespace banyan {
namespace {

using Op = SupervisorRequest::Op;

SupervisorRequest Of(Op op, ChildRef child = {}) {
  SupervisorRequest r;
  r.op = op;
  r.child = std::move(child);
  return r;
}

SupervisorRequest StartOf(ChildSpec spec) {
  SupervisorRequest r = Of(Op::kStartChild);
  r.spec = std::make_shared<const ChildSpec>(std::move(spec));
  return r;
}

SupervisorRequest StartOf(std::vector<Payload> extra_args) {
  SupervisorRequest r = Of(Op::kStartChild);
  r.args = std::move(extra_args);
  return r;
}

template <typename T>
absl::StatusOr<T> Decode(absl::StatusOr<Payload> answer) {
  if (!answer.ok()) return answer.status();
  const T* value = answer->As<T>();
  if (!value)
    return MakeError("NOT_A_SUPERVISOR", "the process answered, but not as a supervisor does");
  return *value;
}

}  // namespace

template <typename T>
Task<absl::StatusOr<T>> SupervisorClient::Call(Self& self, Pid supervisor, absl::Duration timeout,
                                               SupervisorRequest request) {
  Payload payload = Payload::Local(std::move(request));
  absl::StatusOr<Payload> answer = co_await self.Call(supervisor, std::move(payload), timeout);
  co_return Decode<T>(std::move(answer));
}

template <typename T>
void SupervisorClient::Ask(Runtime& rt, SupervisorRequest request, Done<T> done) const {
  const Instant deadline =
      timeout_ == absl::InfiniteDuration() ? Instant::Infinite() : rt.clock().Now() + timeout_;
  rt.Call(supervisor_, Payload::Local(std::move(request)), deadline,
          [done = std::move(done)](absl::StatusOr<Payload> answer, Pid) {
            done(Decode<T>(std::move(answer)));
          });
}

// What is wrong in any case is said before anybody is asked.
Task<absl::StatusOr<OpResult>> SupervisorClient::StartChild(Self& self, ChildSpec spec) const {
  absl::Status bad = SpecStatus(ValidateChildSpec(spec, nullptr, "spec"));
  if (!bad.ok()) return absl::StatusOr<OpResult>(std::move(bad));
  return Ask<OpResult>(self, StartOf(std::move(spec)));
}
Task<absl::StatusOr<OpResult>> SupervisorClient::StartChild(Self& self,
                                                            std::vector<Payload> extra_args) const {
  return Ask<OpResult>(self, StartOf(std::move(extra_args)));
}
Task<absl::StatusOr<OpResult>> SupervisorClient::TerminateChild(Self& self, ChildRef child) const {
  return Ask<OpResult>(self, Of(Op::kTerminateChild, std::move(child)));
}
Task<absl::StatusOr<OpResult>> SupervisorClient::RestartChild(Self& self, ChildRef child) const {
  return Ask<OpResult>(self, Of(Op::kRestartChild, std::move(child)));
}
Task<absl::StatusOr<OpResult>> SupervisorClient::DeleteChild(Self& self, ChildRef child) const {
  return Ask<OpResult>(self, Of(Op::kDeleteChild, std::move(child)));
}
Task<absl::StatusOr<std::vector<ChildEntry>>> SupervisorClient::WhichChildren(Self& self) const {
  return Ask<std::vector<ChildEntry>>(self, Of(Op::kWhichChildren));
}
Task<absl::StatusOr<std::optional<ChildEntry>>> SupervisorClient::WhichChild(Self& self,
                                                                             ChildRef child) const {
  return Ask<std::optional<ChildEntry>>(self, Of(Op::kWhichChild, std::move(child)));
}
Task<absl::StatusOr<ChildCounts>> SupervisorClient::CountChildren(Self& self) const {
  return Ask<ChildCounts>(self, Of(Op::kCountChildren));
}
Task<absl::StatusOr<std::shared_ptr<const ChildSpec>>> SupervisorClient::GetChildSpec(
    Self& self, ChildRef child) const {
  return Ask<std::shared_ptr<const ChildSpec>>(self, Of(Op::kGetChildSpec, std::move(child)));
}
Task<absl::StatusOr<SupervisorInfo>> SupervisorClient::GetInfo(Self& self) const {
  return Ask<SupervisorInfo>(self, Of(Op::kGetInfo));
}

void SupervisorClient::StartChild(Runtime& rt, ChildSpec spec, Done<OpResult> done) const {
  absl::Status bad = SpecStatus(ValidateChildSpec(spec, nullptr, "spec"));
  if (!bad.ok()) return done(std::move(bad));
  Ask<OpResult>(rt, StartOf(std::move(spec)), std::move(done));
}
void SupervisorClient::StartChild(Runtime& rt, std::vector<Payload> extra_args,
                                  Done<OpResult> done) const {
  Ask<OpResult>(rt, StartOf(std::move(extra_args)), std::move(done));
}
void SupervisorClient::TerminateChild(Runtime& rt, ChildRef child, Done<OpResult> done) const {
  Ask<OpResult>(rt, Of(Op::kTerminateChild, std::move(child)), std::move(done));
}
void SupervisorClient::RestartChild(Runtime& rt, ChildRef child, Done<OpResult> done) const {
  Ask<OpResult>(rt, Of(Op::kRestartChild, std::move(child)), std::move(done));
}
void SupervisorClient::DeleteChild(Runtime& rt, ChildRef child, Done<OpResult> done) const {
  Ask<OpResult>(rt, Of(Op::kDeleteChild, std::move(child)), std::move(done));
}
void SupervisorClient::WhichChildren(Runtime& rt, Done<std::vector<ChildEntry>> done) const {
  Ask<std::vector<ChildEntry>>(rt, Of(Op::kWhichChildren), std::move(done));
}
void SupervisorClient::WhichChild(Runtime& rt, ChildRef child,
                                  Done<std::optional<ChildEntry>> done) const {
  Ask<std::optional<ChildEntry>>(rt, Of(Op::kWhichChild, std::move(child)), std::move(done));
}
void SupervisorClient::CountChildren(Runtime& rt, Done<ChildCounts> done) const {
  Ask<ChildCounts>(rt, Of(Op::kCountChildren), std::move(done));
}
void SupervisorClient::GetChildSpec(Runtime& rt, ChildRef child,
                                    Done<std::shared_ptr<const ChildSpec>> done) const {
  Ask<std::shared_ptr<const ChildSpec>>(rt, Of(Op::kGetChildSpec, std::move(child)),
                                        std::move(done));
}
void SupervisorClient::GetInfo(Runtime& rt, Done<SupervisorInfo> done) const {
  Ask<SupervisorInfo>(rt, Of(Op::kGetInfo), std::move(done));
}

absl::Status OpError(const OpResult& result, const std::string& supervisor,
                     const std::string& child) {
  std::map<std::string, std::string> who{{"supervisor", supervisor}, {"childId", child}};
  std::map<std::string, std::string> where = who;
  if (result.pid) where["pid"] = FormatPid(result.pid);
  switch (result.code) {
    case OpResult::Code::kOk:
    case OpResult::Code::kIgnored:
      return absl::OkStatus();
    case OpResult::Code::kStartFailed:
      return MakeError("CHILD_START_FAILED",
                       fmt::format("child {} of {} failed to start: {}", child, supervisor,
                                   result.reason.ToString()),
                       std::move(who), result.reason);
    case OpResult::Code::kAlreadyStarted:
      return MakeError("CHILD_ALREADY_STARTED",
                       fmt::format("{} has a running child {} already", supervisor, child),
                       std::move(where));
    case OpResult::Code::kAlreadyPresent:
      return MakeError("CHILD_ALREADY_PRESENT",
                       fmt::format("{} has a child {} already, not running: restart or delete it",
                                   supervisor, child),
                       std::move(who));
    case OpResult::Code::kNotFound:
      return MakeError("CHILD_NOT_FOUND", fmt::format("{} has no child {}", supervisor, child),
                       std::move(who));
    case OpResult::Code::kRunning:
      return MakeError("CHILD_RUNNING",
                       fmt::format("child {} of {} runs: terminate it first", child, supervisor),
                       std::move(where));
    case OpResult::Code::kRestarting:
      return MakeError("CHILD_RESTARTING",
                       fmt::format("child {} of {} is being restarted", child, supervisor),
                       std::move(who));
    case OpResult::Code::kSimpleOneForOne:
      return MakeError(
          "SIMPLE_ONE_FOR_ONE",
          fmt::format("{} is a simple_one_for_one supervisor: this operation takes pids or nothing",
                      supervisor),
          std::move(who));
    case OpResult::Code::kMaxChildren:
      return MakeError("MAX_CHILDREN", fmt::format("{} has as many children as it may", supervisor),
                       std::move(who));
    case OpResult::Code::kShuttingDown:
      return MakeError("NOPROC", fmt::format("the supervisor {} is shutting down", supervisor),
                       {{"target", supervisor}});
  }
  return absl::OkStatus();
}

}  // namespace banyan
