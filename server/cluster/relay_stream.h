#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "common/wire/pid.h"
#include "server/cluster/transport.h"

namespace banyan {

// The stream of a session between two nodes that cannot reach each other: each of them has a kRelay
// stream to the coordinator, which passes on what comes. For its session it is a kPeer stream like
// any other; the session's own rules hold from end to end.
//
// What the other node has not taken is bounded, whatever it is, for the coordinator has to keep it:
// above the window queued() says that the stream takes no more.
class RelayStream : public Stream, public StreamHandler {
 public:
  struct Ends {
    wire::NodeIdentity self;
    wire::NodeIdentity peer;
    uint64_t relay_id = 0;  // of the peer's offer; 0: the peer is asked
  };
  // What may be on its way, beyond one frame.
  static constexpr uint64_t kWindow = 256 * 1024;

  // Opens it. `handler` outlives it, and reads SessionRequest or SessionResponse.
  RelayStream(Transport* transport, const std::string& coordinator, Ends ends,
              StreamHandler* handler);

  void Write(std::string bytes) override;
  size_t queued() const override { return stream_->queued() + (full() ? 1 : 0); }
  void Close(absl::Status status) override { stream_->Close(std::move(status)); }
  void Abort() override { stream_->Abort(); }
  std::string peer() const override { return stream_->peer(); }

  void OnFrame(std::string bytes) override;
  void OnClose(absl::Status status) override { handler_->OnClose(std::move(status)); }
  void OnWritable() override;

 private:
  bool full() const { return sent_ - taken_by_peer_ > kWindow; }

  StreamHandler* const handler_;
  // Bytes of batches: written here, and of those what the peer has said to have taken; read here,
  // and of those what the peer has been told.
  uint64_t sent_ = 0;
  uint64_t taken_by_peer_ = 0;
  uint64_t read_ = 0;
  uint64_t told_ = 0;
  std::unique_ptr<Stream> stream_;
};

}  // namespace banyan
