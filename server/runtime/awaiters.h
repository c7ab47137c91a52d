#pragma once

// The awaitables that Self hands out. Included by self.h.

#include <type_traits>

#include "server/runtime/self.h"

namespace banyan {

class Self::ReceiveAwaiter {
 public:
  ReceiveAwaiter(Process* p, Instant deadline) : p_(p), deadline_(deadline) {}
  ReceiveAwaiter(Process* p, Instant deadline, std::function<bool(const Message&)> want)
      : p_(p), deadline_(deadline), want_(std::move(want)) {}
  bool await_ready();
  void await_suspend(std::coroutine_handle<> h);
  // Empty only with a deadline that has passed.
  std::optional<Message> await_resume();

 private:
  Process* const p_;
  const Instant deadline_;
  std::function<bool(const Message&)> want_;
  SignalPtr taken_;
};

class Self::ReplyAwaiter {
 public:
  ReplyAwaiter(Process* p, Ref alias, Instant deadline)
      : p_(p), alias_(alias), deadline_(deadline) {}
  bool await_ready();
  void await_suspend(std::coroutine_handle<> h);
  // Closes the alias.
  CallReply await_resume();

 private:
  Process* const p_;
  const Ref alias_;
  const Instant deadline_;
};

class Self::SleepAwaiter {
 public:
  SleepAwaiter(Process* p, Instant until, bool yield) : p_(p), until_(until), yield_(yield) {}
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> h);
  void await_resume();

 private:
  Process* const p_;
  const Instant until_;
  const bool yield_;
};

struct Self::ExitAwaiter {
  Process* p;
  ExitReason reason;
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<>);
  void await_resume() {}
};

namespace internal {
// Waits for a job of the blocking pool.
struct BlockingAwaiter {
  Process* p;
  Ref ref;
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> h);
  void await_resume();
};
// Starts `job` on the pool and returns the ref that its end is announced with.
Ref StartBlocking(Process* p, std::function<void()> job);
}  // namespace internal

template <typename F, typename R>
Task<R> Self::Blocking(F fn) {
  static_assert(!std::is_void_v<R>, "return something, e.g. absl::Status: a failure must be seen");
  auto result = std::make_shared<std::optional<R>>();
  Ref ref = internal::StartBlocking(
      p_, [result, fn = std::move(fn)]() mutable { result->emplace(fn()); });
  co_await internal::BlockingAwaiter{p_, ref};
  co_return *std::move(*result);
}

}  // namespace banyan
