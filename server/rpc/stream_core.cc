#include "server/rpc/stream_core.h"

#include <utility>

#include "server/rpc/byte_buffer.h"

namespace banyan::rpc {
namespace {

// Bytes of frames that wait for the executor before reading stops; the other side then feels
// HTTP/2's flow control.
constexpr size_t kUndeliveredMax = size_t{4} << 20;
constexpr size_t kResumeBelow = kUndeliveredMax / 2;
// A frame counts as its bytes and this, so that many empty ones do not come for nothing.
constexpr size_t kFrameOverhead = 64;

}  // namespace

void StreamCore::Attach(Wire* wire) {
  MutexLock lock(&mu_);
  wire_ = wire;
  hold_ = side_ == Side::kClient;
}

void StreamCore::StartReading() {
  MutexLock lock(&mu_);
  ReadAgain();
}

// Under the lock although it starts an operation: only so is it certain that a server's call has
// not been finished meanwhile. A read's reaction comes on a thread of gRPC's, never inside the
// start.
void StreamCore::ReadAgain() {
  if (wire_ == nullptr || reading_ || reads_over_ || (side_ == Side::kServer && ended_)) return;
  reading_ = true;
  paused_ = false;
  wire_->StartReading(&in_);
}

void StreamCore::Write(std::string bytes) {
  {
    MutexLock lock(&mu_);
    // With the reads over a client has no hold any more: nothing may be started on its call.
    if (closed_here_ || ended_ || reads_over_ || wire_ == nullptr) return;
    out_.push_back(std::move(bytes));
    queued_.fetch_add(1, std::memory_order_relaxed);
  }
  Pump();
}

void StreamCore::Close(absl::Status status) {
  {
    MutexLock lock(&mu_);
    if (closed_here_) return;
    closed_here_ = true;
    if (!ending_) end_status_ = std::move(status);
    ending_ = true;
  }
  Pump();
}

void StreamCore::Abort() {
  MutexLock lock(&mu_);
  closed_here_ = true;
  DropQueue();
  if (wire_ != nullptr) wire_->Cancel();
}

void StreamCore::Cut() {
  MutexLock lock(&mu_);
  if (wire_ != nullptr) wire_->Cancel();
}

void StreamCore::Release() {
  handler_ = nullptr;
  Close(absl::OkStatus());
}

void StreamCore::DropQueue() {
  queued_.fetch_sub(out_.size(), std::memory_order_relaxed);
  out_.clear();
}

StreamCore::Op StreamCore::NextOp(Wire** wire, bool* more) {
  *wire = wire_;
  if (wire_ == nullptr || busy_) return Op::kNone;
  if (!out_.empty() && !ended_) {
    current_ = ToByteBuffer(std::move(out_.front()));
    out_.pop_front();
    *more = !out_.empty();
    busy_ = writing_ = true;
    return Op::kWrite;
  }
  if (reads_over_ && side_ == Side::kClient) {
    if (!hold_) return Op::kNone;
    hold_ = false;
    return Op::kRemoveHold;
  }
  if (ending_ && !ended_) {
    busy_ = ended_ = true;
    return Op::kEnd;
  }
  return Op::kNone;
}

void StreamCore::Pump() {
  Wire* wire = nullptr;
  bool more = false;
  Op op;
  absl::Status status;
  {
    MutexLock lock(&mu_);
    op = NextOp(&wire, &more);
    if (op == Op::kEnd) status = end_status_;
  }
  switch (op) {
    case Op::kNone:
      return;
    case Op::kWrite:
      return wire->StartWriting(&current_, more);
    case Op::kEnd:
      return wire->End(status);
    case Op::kRemoveHold:
      return wire->RemoveTheHold();
  }
}

void StreamCore::OnWritten(bool ok) {
  bool drained = false;
  {
    MutexLock lock(&mu_);
    const bool was_write = std::exchange(writing_, false);
    busy_ = false;
    if (was_write) {
      if (!ok) DropQueue();
      drained = queued_.fetch_sub(1, std::memory_order_relaxed) == 1 && ok;
      current_.Clear();
    }
  }
  Pump();
  if (!drained) return;
  executor_->Post([self = shared_from_this()] {
    if (self->handler_ != nullptr) self->handler_->OnWritable();
  });
}

void StreamCore::OnRead(bool ok) {
  std::string bytes;
  const bool readable = ok && ToString(&in_, &bytes);
  if (!readable) return OnReadsOver(ok);
  {
    MutexLock lock(&mu_);
    in_.Clear();
    undelivered_bytes_ += bytes.size() + kFrameOverhead;
  }
  // Before the next read starts: its reaction may come on another thread at once.
  Deliver(std::move(bytes));
  MutexLock lock(&mu_);
  reading_ = false;
  paused_ = undelivered_bytes_ > kUndeliveredMax;
  if (!paused_) ReadAgain();
}

void StreamCore::OnReadsOver(bool unreadable) {
  {
    MutexLock lock(&mu_);
    reading_ = false;
    reads_over_ = true;
    DropQueue();
    // The other side has closed, or the call is broken: a server answers by finishing.
    if (side_ == Side::kServer) ending_ = true;
    if (unreadable && wire_ != nullptr) wire_->Cancel();
  }
  Pump();
}

void StreamCore::Deliver(std::string bytes) {
  executor_->Post([self = shared_from_this(), bytes = std::move(bytes)]() mutable {
    const size_t size = bytes.size() + kFrameOverhead;
    if (self->handler_ != nullptr) self->handler_->OnFrame(std::move(bytes));
    MutexLock lock(&self->mu_);
    self->undelivered_bytes_ -= size;
    if (self->paused_ && self->undelivered_bytes_ < kResumeBelow) self->ReadAgain();
  });
}

void StreamCore::OnCancelled() {
  {
    MutexLock lock(&mu_);
    DropQueue();
    if (!ending_) end_status_ = absl::CancelledError("the stream was cancelled");
    ending_ = true;
  }
  Pump();
}

void StreamCore::OnOver(absl::Status status) {
  {
    MutexLock lock(&mu_);
    wire_ = nullptr;
    DropQueue();
  }
  executor_->Post([self = shared_from_this(), status = std::move(status)] {
    StreamHandler* handler = std::exchange(self->handler_, nullptr);
    if (handler != nullptr) handler->OnClose(status);
  });
}

}  // namespace banyan::rpc
