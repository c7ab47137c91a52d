#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"

namespace banyan {

// The streams that tie nodes to each other and to the coordinator, as the cluster code sees them:
// whole frames of encoded protobuf bytes, so that the simulator tests the codecs too. Production:
// gRPC (server/rpc/grpc_transport); tests: tests/sim.
//
// Threads: each end is used on one executor (strand), the one given when it was made; its handler's
// functions are called there, never inside a call to Write() or Close().
enum class StreamKind { kLease, kControl, kWatcher, kPeer, kRelay };

class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // One frame: a serialized LeaseRequest/-Response, ControlRequest/-Response,
  // WatcherRequest/-Response, SessionRequest/-Response or RelayRequest/-Response, by kind and
  // direction.
  virtual void OnFrame(std::string bytes) = 0;
  // The stream is over, for whatever cause; called exactly once and last. OK: the other side closed
  // it orderly. The stream object may be destroyed from here.
  virtual void OnClose(absl::Status status) = 0;
  // The stream took what had been written: a writer that batches may hand over the next frame.
  virtual void OnWritable() {}
};

class Stream {
 public:
  // Destroying a stream closes it; its handler is not called any more.
  virtual ~Stream() = default;
  // Queues one frame; frames arrive in order. After a close: dropped.
  virtual void Write(std::string bytes) = 0;
  // Frames accepted by Write() that the transport has not taken yet. A batcher writes when it is 0.
  virtual size_t queued() const = 0;
  // Ends the stream after what is queued has been sent; a server's status reaches the client's
  // OnClose.
  virtual void Close(absl::Status status) = 0;
  // Ends it at once, dropping what is queued.
  virtual void Abort() = 0;
  // "host:port" of the other end, for logs; may be empty.
  virtual std::string peer() const = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  // Opens a stream to `address` ("host:port"). Never fails at once: a failure comes as OnClose.
  // `handler` must outlive the stream. kLease streams have a connection of their own.
  virtual std::unique_ptr<Stream> Dial(const std::string& address, StreamKind kind,
                                       StreamHandler* handler) = 0;
  // Called for each stream of this kind that others open here; it returns the handler, which must
  // outlive the stream. Set before the first stream can come.
  using Acceptor = std::function<StreamHandler*(std::unique_ptr<Stream> stream)>;
  virtual void Listen(StreamKind kind, Acceptor acceptor) = 0;
};

}  // namespace banyan
