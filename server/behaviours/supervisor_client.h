#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "server/behaviours/supervisor_requests.h"
#include "server/runtime/runtime.h"
#include "server/runtime/self.h"

namespace banyan {

// OTP's operations on a local supervisor. Every function has a form for actors (awaited) and one
// for code outside (`done` runs once on some runtime thread and must not block).
//
// An OpResult is the supervisor's word, also where that is an error in OTP; a status is why there
// is none: NOPROC, CALLEE_EXITED, CALL_TIMEOUT, CALL_NOT_HANDLED (not a supervisor), SPEC_INVALID
// with the wrong fields, and SIMPLE_ONE_FOR_ONE for extra arguments to a supervisor that takes
// specs or the reverse. OpError() turns an OpResult into the platform's error.
class SupervisorClient {
 public:
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;

  // OTP waits for ever by default.
  explicit SupervisorClient(Pid supervisor, absl::Duration timeout = absl::InfiniteDuration())
      : supervisor_(supervisor), timeout_(timeout) {}

  Task<absl::StatusOr<OpResult>> StartChild(Self& self, ChildSpec spec) const;
  // simple_one_for_one: a child of the template with these arguments appended.
  Task<absl::StatusOr<OpResult>> StartChild(Self& self, std::vector<Payload> extra_args) const;
  Task<absl::StatusOr<OpResult>> TerminateChild(Self& self, ChildRef child) const;
  Task<absl::StatusOr<OpResult>> RestartChild(Self& self, ChildRef child) const;
  Task<absl::StatusOr<OpResult>> DeleteChild(Self& self, ChildRef child) const;
  Task<absl::StatusOr<std::vector<ChildEntry>>> WhichChildren(Self& self) const;
  // Nothing: not found.
  Task<absl::StatusOr<std::optional<ChildEntry>>> WhichChild(Self& self, ChildRef child) const;
  Task<absl::StatusOr<ChildCounts>> CountChildren(Self& self) const;
  // Null: not found.
  Task<absl::StatusOr<std::shared_ptr<const ChildSpec>>> GetChildSpec(Self& self,
                                                                      ChildRef child) const;
  Task<absl::StatusOr<SupervisorInfo>> GetInfo(Self& self) const;

  void StartChild(Runtime& rt, ChildSpec spec, Done<OpResult> done) const;
  void StartChild(Runtime& rt, std::vector<Payload> extra_args, Done<OpResult> done) const;
  void TerminateChild(Runtime& rt, ChildRef child, Done<OpResult> done) const;
  void RestartChild(Runtime& rt, ChildRef child, Done<OpResult> done) const;
  void DeleteChild(Runtime& rt, ChildRef child, Done<OpResult> done) const;
  void WhichChildren(Runtime& rt, Done<std::vector<ChildEntry>> done) const;
  void WhichChild(Runtime& rt, ChildRef child, Done<std::optional<ChildEntry>> done) const;
  void CountChildren(Runtime& rt, Done<ChildCounts> done) const;
  void GetChildSpec(Runtime& rt, ChildRef child, Done<std::shared_ptr<const ChildSpec>> done) const;
  void GetInfo(Runtime& rt, Done<SupervisorInfo> done) const;

 private:
  // Static, so that a client may be a temporary: `co_await
  // SupervisorClient(pid).CountChildren(self)`.
  template <typename T>
  static Task<absl::StatusOr<T>> Call(Self& self, Pid supervisor, absl::Duration timeout,
                                      SupervisorRequest request);
  template <typename T>
  Task<absl::StatusOr<T>> Ask(Self& self, SupervisorRequest request) const {
    return Call<T>(self, supervisor_, timeout_, std::move(request));
  }
  template <typename T>
  void Ask(Runtime& rt, SupervisorRequest request, Done<T> done) const;

  Pid supervisor_;
  absl::Duration timeout_;
};

// Ok for kOk and kIgnored; else the error of docs/errors.md, with `supervisor` and `child` in its
// text.
absl::Status OpError(const OpResult& result, const std::string& supervisor,
                     const std::string& child);

}  // namespace banyan
