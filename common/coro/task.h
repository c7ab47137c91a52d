#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "common/base/check.h"
#include "common/base/slab.h"

namespace banyan {

// A lazy coroutine: starts when awaited, is awaited once, preferably in the expression that makes
// it. Destroying an unfinished task destroys its frame and everything it awaits: that is how an
// exit signal unwinds a process.
//
// A function that has its answer at once returns the value itself (`Task<int> F() { return 7; }`)
// and pays for no frame.
template <typename T>
class Task;

namespace internal {

struct FinalAwaiter {
  bool await_ready() noexcept { return false; }
  template <typename P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) noexcept {
    std::coroutine_handle<> next = h.promise().continuation;
    return next ? next : std::noop_coroutine();
  }
  void await_resume() noexcept {}
};

// Frames are in slabs.
struct PromiseBase : InSlab {
  std::coroutine_handle<> continuation;
  std::exception_ptr error;
  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { error = std::current_exception(); }
};

template <typename T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object() noexcept;
  template <typename U>
  void return_value(U&& v) {
    value.emplace(std::forward<U>(v));
  }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object() noexcept;
  void return_void() noexcept {}
};

}  // namespace internal

template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type = internal::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task(T value) : ready_(std::move(value)) {}  // NOLINT: implicit, so that `return value;` works
  template <typename U>
    requires(!std::is_same_v<std::remove_cvref_t<U>, T> &&
             !std::is_same_v<std::remove_cvref_t<U>, Task> && std::is_convertible_v<U, T>)
  Task(U&& value) : ready_(T(std::forward<U>(value))) {}  // NOLINT
  explicit Task(Handle h) : h_(h) {}
  Task(Task&& o) noexcept : h_(std::exchange(o.h_, nullptr)), ready_(std::move(o.ready_)) {}
  Task& operator=(Task&& o) noexcept {
    if (this != &o) {
      if (h_) h_.destroy();
      h_ = std::exchange(o.h_, nullptr);
      ready_ = std::move(o.ready_);
    }
    return *this;
  }
  ~Task() {
    if (h_) h_.destroy();
  }

  bool await_ready() const noexcept { return ready_.has_value(); }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
    h_.promise().continuation = awaiting;
    return h_;
  }
  T await_resume() {
    if (ready_) return *std::move(ready_);
    if (h_.promise().error) std::rethrow_exception(h_.promise().error);
    return *std::move(h_.promise().value);
  }

  // For whoever drives a root task: see server/runtime.
  Handle handle() const { return h_; }
  Handle Release() { return std::exchange(h_, nullptr); }  // the caller destroys the frame
  bool ready() const { return ready_.has_value(); }
  bool done() const { return ready_.has_value() || h_.done(); }
  // The result of a finished task.
  T Result() { return await_resume(); }

 private:
  Handle h_ = nullptr;
  std::optional<T> ready_;
};

template <>
class [[nodiscard]] Task<void> {
 public:
  using promise_type = internal::Promise<void>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;  // done already
  explicit Task(Handle h) : h_(h) {}
  Task(Task&& o) noexcept : h_(std::exchange(o.h_, nullptr)) {}
  Task& operator=(Task&& o) noexcept {
    if (this != &o) {
      if (h_) h_.destroy();
      h_ = std::exchange(o.h_, nullptr);
    }
    return *this;
  }
  ~Task() {
    if (h_) h_.destroy();
  }

  bool await_ready() const noexcept { return !h_; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
    h_.promise().continuation = awaiting;
    return h_;
  }
  void await_resume() {
    if (h_ && h_.promise().error) std::rethrow_exception(h_.promise().error);
  }
  Handle handle() const { return h_; }
  bool ready() const { return !h_; }
  bool done() const { return !h_ || h_.done(); }
  void Result() { await_resume(); }

 private:
  Handle h_ = nullptr;
};

namespace internal {
template <typename T>
Task<T> Promise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}
}  // namespace internal

}  // namespace banyan
