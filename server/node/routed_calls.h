#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"

#include "common/base/payload.h"
#include "common/base/pid.h"
#include "common/time/clock.h"
#include "server/runtime/runtime.h"

namespace banyan {

// Calls from outside any process, each made once or, where that is safe, again (cluster.md 4):
//
//   it did not run, for its target's process is not there any more: the target is found anew and
//     the call sent to the next one, at most three times
//   it may have run, and its caller says that running it twice does no harm: it is sent again under
//     the same ref, after pauses, as long as a tenth of all calls allows it
//
// All within its one deadline. Any thread.
class RoutedCalls {
 public:
  struct Route {
    Pid pid;                   // invalid: not known yet
    uint64_t reg_version = 0;  // of the registration that led there; 0: none
  };
  using Found = std::function<void(absl::StatusOr<Route>)>;
  struct Request {
    Payload payload;
    Instant deadline;
    bool idempotent = false;
    std::function<void(Found)> find;  // unset: only `first`
    std::function<void()> forget;     // what `find` remembers was wrong; may be unset
    Runtime::CallDone done;           // once, on any thread, unless the call was cancelled
  };
  struct Deps {
    Runtime* runtime = nullptr;  // all outlive this
    const Clock* clock = nullptr;
    Timers* timers = nullptr;
    Random* random = nullptr;  // thread-safe where there are threads
  };
  class Call;

  explicit RoutedCalls(Deps deps);
  ~RoutedCalls();

  // The call lives until it is answered; hold it weakly.
  std::weak_ptr<Call> Start(Request request, Route first);
  // Its caller has given up: a callee that has not begun it skips it.
  static void Cancel(const std::weak_ptr<Call>& call);

 private:
  struct Shared;
  const std::shared_ptr<Shared> shared_;
};

}  // namespace banyan
