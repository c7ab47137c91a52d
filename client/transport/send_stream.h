#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "client/transport/session.h"

#include "banyan/v1/actors.grpc.pb.h"
#include "common/base/mutex.h"

namespace banyan::client {

// Actors.SendStream: messages in order, never more unconfirmed than the server takes. A stream that
// breaks is not opened again, for what was not confirmed may have arrived.
class SendStream {
 public:
  explicit SendStream(Session* session) : session_(session) {}
  ~SendStream();

  ApiError Open(absl::Duration timeout);
  // Gives the message its number. Waits for room. False: the stream is over; Close() says why.
  bool Send(v1::SendStreamRequest message);
  // Waits until all is confirmed.
  ApiError Close();

  // After Close().
  uint64_t sent() const { return sent_; }
  uint64_t accepted() const;
  const std::vector<v1::SendFailure>& failures() const { return failures_; }

 private:
  void Read();

  Session* const session_;
  grpc::ClientContext context_;
  std::unique_ptr<v1::Actors::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SendStreamRequest, v1::SendStreamResponse>> stream_;
  std::thread reader_;
  uint64_t sent_ = 0;
  std::vector<v1::SendFailure> failures_;  // the reader's

  mutable Mutex mutex_;
  std::condition_variable_any changed_;
  uint64_t accepted_ ABSL_GUARDED_BY(mutex_) = 0;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace banyan::client
