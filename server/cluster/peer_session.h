#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "banyan/internal/v1/peer.pb.h"
#include "common/wire/pid.h"
#include "server/cluster/defragmenter.h"
#include "server/cluster/frame_decoder.h"
#include "server/cluster/options.h"
#include "server/cluster/outbox.h"
#include "server/cluster/peer_router.h"
#include "server/cluster/strand_timer.h"
#include "server/cluster/transport.h"

namespace banyan {

class PeerSession;

// Who has the sessions: told of everything that concerns more than one of them.
class PeerSessionOwner {
 public:
  virtual ~PeerSessionOwner() = default;
  virtual void OnHello(PeerSession* session) = 0;
  virtual void OnHelloAck(PeerSession* session) = 0;
  // Signals of one frame of an established session.
  virtual void OnInbound(PeerSession* session, Inbound inbound) = 0;
  // It is closed, by whatever side; called once. The owner may not destroy it before it has
  // returned.
  virtual void OnSessionClosed(PeerSession* session) = 0;
  // More messages wait than is good (OnBusy), or no longer.
  virtual void OnBusy(PeerSession* session, bool busy) = 0;
  // Its stream is over too: it can go.
  virtual void OnStreamOver(PeerSession* session) = 0;
};

// One kPeer stream: handshake, numbered batches, signs of life (cluster.md 3.2, 3.3).
//
//   dialled:  dialling -> (HelloAck) -> up -> closed
//   accepted: greeting -> (Hello) -> greeted -> (Accept) -> up -> closed
class PeerSession : public StreamHandler {
 public:
  using CloseReason = internal::v1::CloseFrame::Reason;
  enum class State : uint8_t { kDialling, kGreeting, kGreeted, kUp, kClosed };
  struct Context {
    PeerRouter::Deps deps;
    const PeerOptions* options = nullptr;
    PeerRouter::Stats* stats = nullptr;
    PeerSessionOwner* owner = nullptr;
    FrameDecoder::Holds holds;
  };

  PeerSession(Context context, bool dialled, bool relayed = false);

  // Gives it its stream, and starts the clock of its handshake.
  void Attach(std::unique_ptr<Stream> stream);
  void SendHello(const internal::v1::PeerHello& hello, wire::NodeIdentity self,
                 wire::NodeIdentity peer);
  void Accept(const internal::v1::PeerHelloAck& ack, wire::NodeIdentity self,
              wire::NodeIdentity peer);

  // Queues; what is queued goes out with Flush(), or when the stream takes more.
  void Push(SignalPtr signal);
  void Flush();
  Outbox& outbox() { return outbox_; }
  bool busy() const { return busy_; }

  // Says why to the other side if that can still be said.
  void Close(CloseReason reason, const std::string& message);

  State state() const { return state_; }
  bool dialled() const { return dialled_; }
  bool relayed() const { return relayed_; }  // its stream goes through the coordinator
  bool up() const { return state_ == State::kUp; }
  wire::NodeIdentity peer() const { return peer_; }
  const internal::v1::PeerHello& hello() const { return hello_; }
  CloseReason close_reason() const { return close_reason_; }
  const std::string& close_message() const { return close_message_; }
  Instant last_used() const { return last_used_; }
  Instant opened() const { return opened_; }
  // For the owner: when a session that waits to be accepted is given up.
  Instant parked_until = Instant::Infinite();
  Instant parked_crossing;  // not before this, if a session of our own dial may be meant to stay

  void OnFrame(std::string bytes) override;
  void OnClose(absl::Status status) override;
  void OnWritable() override { Flush(); }

 private:
  void Write(internal::v1::PeerBatch batch);
  void Closed(CloseReason reason, std::string message);
  void ProtocolError(const absl::Status& why);
  absl::Status HandleBatch(internal::v1::PeerBatch batch);
  absl::Status HandleFrame(internal::v1::Frame frame, const FrameDecoder::Strings& strings);
  absl::Status HandleHandshake(const internal::v1::Frame& frame);
  absl::Status HandleFragment(internal::v1::FragmentFrame fragment);
  // `age`: since it was written.
  absl::Status DecodeSignal(internal::v1::Frame frame, const FrameDecoder::Strings& strings,
                            absl::Duration age = absl::ZeroDuration());
  void BecomeUp();
  void CountReceived(size_t bytes);
  void GrantCredit();
  bool Full() const;  // the mailboxes of this node
  uint64_t FirstCredit();
  absl::Status HandleCredit(uint64_t bytes);
  bool HasCredit() const { return !limited_ || credit_ > 0; }
  void SetPeersWindow(uint64_t bytes);
  void LookIfBusy();
  void ArmTick();
  void Tick();
  void Refuse(SignalPtr signal, absl::Status why);

  const Context context_;
  const bool dialled_;
  const bool relayed_;
  State state_;
  std::unique_ptr<Stream> stream_;
  wire::NodeIdentity self_;
  wire::NodeIdentity peer_;
  internal::v1::PeerHello hello_;
  std::optional<FrameDecoder> decoder_;
  Outbox outbox_;
  Defragmenter defragmenter_;
  uint64_t next_seq_ = 1;  // of the batch to be written
  uint64_t seen_seq_ = 0;  // of the last batch read
  // Whole batches count, once the session is up. What a batch takes beyond the credit is owed.
  bool limited_ = false;    // by the peer
  int64_t credit_ = 0;      // bytes that it will take
  uint64_t ungranted_ = 0;  // bytes read that it has not heard of
  bool busy_ = false;
  Instant opened_;
  Instant last_sent_;
  Instant last_heard_;
  Instant last_used_;  // by something other than signs of life
  Instant write_began_;
  StrandTimer timer_;
  StrandTimer credit_timer_;
  CloseReason close_reason_ = internal::v1::CloseFrame::REASON_UNSPECIFIED;
  std::string close_message_;
};

}  // namespace banyan
