#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "server/behaviours/host.h"
#include "server/runtime/crash_reason.h"
#include "server/runtime/process_exit.h"
#include "server/runtime/self.h"

namespace banyan {

namespace internal {
// Task<X> -> X, and what a step of it gives.
template <typename X>
struct StepOf;
template <typename X>
struct StepOf<Task<X>> {
  using Result = X;
  using Value = X;
};
template <>
struct StepOf<Task<absl::Status>> {
  using Result = absl::Status;
  using Value = void;
};
template <typename T>
struct StepOf<Task<absl::StatusOr<T>>> {
  using Result = absl::StatusOr<T>;
  using Value = T;
};
template <typename X>
using StepValue = typename StepOf<X>::Value;
}  // namespace internal

// Initialisation in steps that depend on each other: when one fails, those before it are taken
// back, last first. GenServer::steps() is one, as is GenStatem::steps():
//
//   Task<InitResult> Init(std::vector<Payload> args) override {
//     co_await steps().Run("open db", [this] { return OpenDb(); }, [this] { return CloseDb(); });
//     Pid feed = co_await steps().Run("start feed", [this] { return StartFeed(); });
//     co_await steps().Run("subscribe", [=, this] { return Subscribe(feed); },
//                          [=, this] { return Unsubscribe(feed); });
//     co_return Ok();
//   }
//   Task<void> Terminate(ExitReason) override { return steps().Unwind(); }
//
// A step is a function that returns a Task, as is its undo. A step fails by throwing, or with a
// status that is not OK: `co_await Run(..)` of a Task<absl::Status> gives void, of a
// Task<absl::StatusOr<T>> gives T.
//
// Every undo runs at most once. An undo that throws is a warning to Host::reports; the others run,
// and the first reason stays. What cannot be undone this way: a start that times out and a process
// that is killed have no time left, so what must never leak belongs to a linked process or to a
// destructor. Linked helpers outlive `ignore` and `{stop,normal}` unless an undo stops them.
class InitSteps {
 public:
  using Undo = std::function<Task<void>()>;

  // `self` outlives this; `module` is for warnings.
  explicit InitSteps(Self* self, std::string module = {})
      : self_(self), module_(std::move(module)) {}
  InitSteps(const InitSteps&) = delete;
  InitSteps& operator=(const InitSteps&) = delete;

  // Runs `step`. Done: its undo is kept. Failed: unwinds, then throws ProcessExit with the step's
  // reason; an ERROR's message then begins with the step's name. A status is an ERROR of its reason
  // word (`failed_step` if it has none) whose cause is the exit reason that it carries.
  template <typename F>
  auto Run(std::string name, F step, Undo undo = nullptr)
      -> Task<internal::StepValue<std::invoke_result_t<F>>>;

  // Takes back all steps that are done, last first. For Terminate, and for an Init of one's own
  // that gives up after some steps.
  Task<void> Unwind();

  // For a behaviour that has steps: waits for `init`, and unwinds what is left of `steps`, if any
  // were asked for, unless `runs` says of the result that the process runs.
  template <typename T, typename Runs>
  static Task<T> Guard(Task<T> init, const std::unique_ptr<InitSteps>& steps, Runs runs);

  // Of steps that are done and have an undo.
  size_t size() const { return done_.size(); }

 private:
  struct Done {
    std::string name;
    Undo undo;
  };
  Task<void> Fail(std::string name, ExitReason reason);  // unwinds and throws
  static ExitReason ReasonOf(const absl::Status& status);

  Self* const self_;
  const std::string module_;
  std::vector<Done> done_;
};

template <typename T, typename Runs>
Task<T> InitSteps::Guard(Task<T> init, const std::unique_ptr<InitSteps>& steps, Runs runs) {
  std::optional<T> result;
  std::exception_ptr error;
  try {
    result = co_await std::move(init);
  } catch (...) {
    error = std::current_exception();
  }
  if (steps && !(result && runs(*result))) co_await steps->Unwind();
  if (error) std::rethrow_exception(error);
  co_return *std::move(result);
}

template <typename F>
auto InitSteps::Run(std::string name, F step, Undo undo)
    -> Task<internal::StepValue<std::invoke_result_t<F>>> {
  using Result = typename internal::StepOf<std::invoke_result_t<F>>::Result;
  constexpr bool kStatus = std::is_same_v<Result, absl::Status>;
  constexpr bool kStatusOr = !std::is_same_v<Result, internal::StepValue<Task<Result>>> && !kStatus;
  std::optional<std::conditional_t<std::is_void_v<Result>, bool, Result>> result;
  std::optional<ExitReason> failure;
  try {
    if constexpr (std::is_void_v<Result>) {
      co_await step();
    } else {
      result.emplace(co_await step());
    }
  } catch (...) {
    failure = CrashReason(std::current_exception());
  }
  if constexpr (kStatus) {
    if (result && !result->ok()) failure = ReasonOf(*result);
  } else if constexpr (kStatusOr) {
    if (result && !result->ok()) failure = ReasonOf(result->status());
  }
  if (failure) co_await Fail(std::move(name), *std::move(failure));
  if (undo) done_.push_back({std::move(name), std::move(undo)});
  if constexpr (kStatusOr) {
    co_return **std::move(result);
  } else if constexpr (!kStatus && !std::is_void_v<Result>) {
    co_return *std::move(result);
  }
}

}  // namespace banyan
