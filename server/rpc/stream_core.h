#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "grpcpp/support/byte_buffer.h"

#include "common/base/mutex.h"
#include "common/time/clock.h"
#include "server/cluster/transport.h"

namespace banyan::rpc {

// What a gRPC stream and the component that uses it share: the queue of writes, of which one is
// under way at a time, and the way of frames and of the end to the component's executor.
//
// Threads: the component's side (Bind, Write, Close, Abort, Release) is called on the executor, the
// call's side (Attach, On*) on gRPC's threads. What starts a gRPC operation is decided under the
// lock and done after it, for a reaction may end the call.
//
// Life of the call's side, server and client alike:
//   Attach -> reads and writes -> [ending: the queue is sent, then End] -> OnOver
// On the client a hold keeps the call until no operation can be started from outside any more.
class StreamCore : public std::enable_shared_from_this<StreamCore> {
 public:
  // The gRPC call. Its functions only start operations. It lives until OnOver() has returned.
  class Wire {
   public:
    virtual void StartReading(grpc::ByteBuffer* into) = 0;
    // `more`: another write follows at once, so this one may wait for it.
    virtual void StartWriting(const grpc::ByteBuffer* from, bool more) = 0;
    // A server finishes the call; a client says that it writes no more.
    virtual void End(const absl::Status& status) = 0;
    virtual void Cancel() = 0;
    virtual void RemoveTheHold() = 0;  // clients only

   protected:
    ~Wire() = default;
  };
  enum class Side { kServer, kClient };

  StreamCore(Side side, Executor* executor, std::string peer)
      : side_(side), executor_(executor), peer_(std::move(peer)) {}

  // --- the component's side, on the executor
  void Bind(StreamHandler* handler) { handler_ = handler; }
  void StartReading();
  void Write(std::string bytes);
  void Close(absl::Status status);
  void Abort();
  void Release();  // the Stream object is gone: nothing is reported any more
  size_t queued() const { return queued_.load(std::memory_order_relaxed); }
  const std::string& peer() const { return peer_; }
  Executor* executor() const { return executor_; }

  // --- the call's side
  void Attach(Wire* wire);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnCancelled();                // server
  void OnOver(absl::Status status);  // last
  // From any thread: cuts the call if it still runs.
  void Cut();

 private:
  enum class Op { kNone, kWrite, kEnd, kRemoveHold };
  Op NextOp(Wire** wire, bool* more) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Pump();
  void DropQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Deliver(std::string bytes);
  void OnReadsOver(bool unreadable);
  void ReadAgain() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Side side_;
  Executor* const executor_;
  const std::string peer_;

  StreamHandler* handler_ = nullptr;  // on the executor only; null once released

  std::atomic<size_t> queued_{0};  // out_ and the write under way
  grpc::ByteBuffer in_;            // the read under way
  grpc::ByteBuffer current_;       // the write under way

  Mutex mu_;
  Wire* wire_ ABSL_GUARDED_BY(mu_) = nullptr;  // null: not begun, or over
  std::deque<std::string> out_ ABSL_GUARDED_BY(mu_);
  bool busy_ ABSL_GUARDED_BY(mu_) = false;     // a write or the end is under way
  bool writing_ ABSL_GUARDED_BY(mu_) = false;  // it is a write
  bool ending_ ABSL_GUARDED_BY(mu_) = false;   // send what is queued, then end
  bool ended_ ABSL_GUARDED_BY(mu_) = false;    // End() was or is being called
  bool closed_here_ ABSL_GUARDED_BY(mu_) = false;
  bool reads_over_ ABSL_GUARDED_BY(mu_) = false;
  bool reading_ ABSL_GUARDED_BY(mu_) = false;  // a read is under way
  bool paused_ ABSL_GUARDED_BY(mu_) = false;   // no read: the executor is behind
  bool hold_ ABSL_GUARDED_BY(mu_) = false;
  size_t undelivered_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status end_status_ ABSL_GUARDED_BY(mu_);
};

// The component's handle.
class GrpcStream : public Stream {
 public:
  explicit GrpcStream(std::shared_ptr<StreamCore> core) : core_(std::move(core)) {}
  ~GrpcStream() override { core_->Release(); }
  void Write(std::string bytes) override { core_->Write(std::move(bytes)); }
  size_t queued() const override { return core_->queued(); }
  void Close(absl::Status status) override { core_->Close(std::move(status)); }
  void Abort() override { core_->Abort(); }
  std::string peer() const override { return core_->peer(); }

 private:
  const std::shared_ptr<StreamCore> core_;
};

}  // namespace banyan::rpc
