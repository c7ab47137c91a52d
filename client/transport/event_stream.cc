#include "client/transport/event_stream.h"

#include <algorithm>

#include "absl/time/clock.h"

#include "banyan/v1/supervisors.grpc.pb.h"

namespace banyan::client {
namespace {

constexpr absl::Duration kFirstDelay = absl::Milliseconds(100);
constexpr absl::Duration kLongestDelay = absl::Seconds(2);
constexpr absl::Duration kCancelCheck = absl::Milliseconds(50);

// Whether opening the stream again can help. An end with OK is the server's restart.
bool CanResume(const ApiError& error) {
  switch (error.code) {
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::UNIMPLEMENTED:
      return false;
    default:
      return true;
  }
}

}  // namespace

void EventStream::Cancel() {
  MutexLock lock(&mutex_);
  cancelled_ = true;
  if (context_ != nullptr) context_->TryCancel();
}

bool EventStream::cancelled() {
  MutexLock lock(&mutex_);
  return cancelled_;
}

void EventStream::Pause(absl::Duration length) {
  const absl::Time end = absl::Now() + length;
  while (!cancelled() && absl::Now() < end) absl::SleepFor(std::min(kCancelCheck, length));
}

ApiError EventStream::RunOnce(const Callbacks& callbacks, bool* stopped, bool* had_message) {
  if (ApiError error = session_->Connect(); !error.ok()) return error;
  grpc::ClientContext context;
  {
    MutexLock lock(&mutex_);
    if (cancelled_) return LocalError(grpc::StatusCode::CANCELLED, "stopped");
    context_ = &context;
  }
  auto stub = v1::Supervisors::NewStub(session_->channel());
  auto stream = stub->WatchEvents(&context, request_);
  v1::WatchEventsResponse message;
  while (stream->Read(&message)) {
    *had_message = true;
    const Next next = callbacks.on_message(message);
    if (!message.resume_token().empty()) {
      request_.set_resume_token(message.resume_token());
      request_.set_send_snapshot(false);
    }
    if (next == Next::kStop) {
      *stopped = true;
      context.TryCancel();
      break;
    }
  }
  const ApiError error = DecodeError(stream->Finish(), &context);
  MutexLock lock(&mutex_);
  context_ = nullptr;
  return error;
}

ApiError EventStream::Run(const Callbacks& callbacks) {
  absl::Duration delay = kFirstDelay;
  bool answered = false;
  absl::Time last_message = absl::Now();
  for (;;) {
    bool stopped = false;
    bool had_message = false;
    ApiError error = RunOnce(callbacks, &stopped, &had_message);
    if (stopped) return ApiError{};
    if (cancelled()) return LocalError(grpc::StatusCode::CANCELLED, "stopped");
    answered = answered || had_message || error.connected;
    if (!answered || !CanResume(error)) return error;
    if (had_message) last_message = absl::Now();
    if (absl::Now() - last_message > callbacks.patience) return error;
    if (callbacks.on_break) callbacks.on_break(error);
    if (error.code == grpc::StatusCode::OUT_OF_RANGE) {
      request_.clear_resume_token();
      request_.set_send_snapshot(true);
    }
    session_->Disconnect();
    if (had_message) delay = kFirstDelay;
    Pause(delay);
    delay = std::min(delay * 2, kLongestDelay);
  }
}

}  // namespace banyan::client
