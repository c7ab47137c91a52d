#include "server/cluster/peer_session.h"

#include <algorithm>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/mutant.h"
#include "server/runtime/undeliverable.h"

namespace banyan {
namespace {

namespace pb = internal::v1;

// No peer has that much to give; keeps sums of what it says within bounds.
constexpr uint64_t kCreditMax = uint64_t{1} << 40;
// Of protobuf around the batch, and of the acknowledgement.
constexpr size_t kBatchSlack = 4 * 1024;

bool SaysOnlyThatItLives(const pb::PeerBatch& batch) {
  return std::all_of(batch.frames().begin(), batch.frames().end(),
                     [](const pb::Frame& f) { return f.has_ping(); });
}

}  // namespace

PeerSession::PeerSession(Context context, bool dialled, bool relayed)
    : context_(std::move(context)),
      dialled_(dialled),
      relayed_(relayed),
      state_(dialled ? State::kDialling : State::kGreeting),
      outbox_(context_.options),
      defragmenter_(context_.options->message_bytes_max, context_.options->reassembly_bytes_max),
      timer_(context_.deps.timers, context_.deps.executor),
      credit_timer_(context_.deps.timers, context_.deps.executor) {}

void PeerSession::Attach(std::unique_ptr<Stream> stream) {
  stream_ = std::move(stream);
  last_sent_ = last_heard_ = last_used_ = write_began_ = context_.deps.clock->Now();
  // An accepted stream that never says who it is; one that waits to be accepted is the owner's
  // affair.
  timer_.Set(last_heard_ + context_.options->connect_timeout, [this] {
    if (state_ == State::kGreeted) return;
    Close(pb::CloseFrame::REASON_TIMEOUT, "the handshake took too long");
  });
}

void PeerSession::SendHello(const pb::PeerHello& hello, wire::NodeIdentity self,
                            wire::NodeIdentity peer) {
  self_ = self;
  peer_ = peer;
  pb::PeerBatch batch;
  *batch.add_frames()->mutable_hello() = hello;
  batch.mutable_frames(0)->mutable_hello()->set_initial_credit(FirstCredit());
  Write(std::move(batch));
}

void PeerSession::Accept(const pb::PeerHelloAck& ack, wire::NodeIdentity self,
                         wire::NodeIdentity peer) {
  self_ = self;
  peer_ = peer;
  pb::PeerBatch batch;
  *batch.add_frames()->mutable_hello_ack() = ack;
  batch.mutable_frames(0)->mutable_hello_ack()->set_initial_credit(FirstCredit());
  Write(std::move(batch));
  SetPeersWindow(hello_.initial_credit());
  BecomeUp();
}

void PeerSession::BecomeUp() {
  state_ = State::kUp;
  decoder_.emplace(context_.deps.runtime, self_, peer_, context_.holds);
  ++context_.stats->sessions_opened;
  opened_ = last_heard_ = last_used_ = context_.deps.clock->Now();
  ArmTick();
  if (ungranted_ > 0) GrantCredit();
}

// ----------------------------------------------------------------- sending

void PeerSession::Push(SignalPtr signal) {
  if (decoder_) decoder_->OnSend(*signal);
  absl::Status ok = outbox_.Check(*signal);
  if (!ok.ok()) return Refuse(std::move(signal), std::move(ok));
  outbox_.Push(std::move(signal), context_.deps.clock->Now());
  LookIfBusy();
}

void PeerSession::LookIfBusy() {
  const bool busy = busy_ ? !outbox_.relieved() : outbox_.busy();
  if (busy == busy_) return;
  busy_ = busy;
  context_.owner->OnBusy(this, busy);
}

void PeerSession::Refuse(SignalPtr signal, absl::Status why) {
  ++context_.stats->dropped;
  if (!signal->from.local()) return;
  if (signal->kind == SignalKind::kReply) {
    // The caller must not wait for an answer that cannot travel.
    signal->payload = Payload();
    signal->status = std::move(why);
    return outbox_.Push(std::move(signal), context_.deps.clock->Now());
  }
  if (SignalPtr answer = Undeliverable(*signal, ExitReason::NoConnection(), std::move(why))) {
    context_.deps.runtime->Deliver(std::move(answer));
  }
}

void PeerSession::Flush() {
  if (state_ != State::kUp) return;
  if (outbox_.overloaded()) {
    return Close(pb::CloseFrame::REASON_OVERLOAD,
                 fmt::format("{} messages of {} bytes and {} other signals wait to be sent",
                             outbox_.messages().entries, outbox_.messages().bytes,
                             outbox_.control().entries));
  }
  while (!outbox_.empty() && stream_->queued() == 0) {
    pb::PeerBatch batch;
    outbox_.Fill(
        self_, context_.deps.clock->Now(), HasCredit(), &batch,
        [this](SignalPtr signal, absl::Status why) { Refuse(std::move(signal), std::move(why)); });
    if (batch.frames_size() == 0) break;  // all were refused, or wait for credit
    last_used_ = context_.deps.clock->Now();
    Write(std::move(batch));
  }
  LookIfBusy();
}

// ------------------------------------------------------------------ credit

void PeerSession::SetPeersWindow(uint64_t bytes) {
  limited_ = bytes != 0;
  // One byte is the word of a node that has no room now (FirstCredit). A batch for it in each
  // session of a peer that flaps would be too much.
  credit_ = bytes == 1 ? 0 : static_cast<int64_t>(std::min(bytes, kCreditMax));
}

absl::Status PeerSession::HandleCredit(uint64_t bytes) {
  if (bytes > kCreditMax || credit_ > static_cast<int64_t>(kCreditMax)) {
    return absl::InvalidArgumentError(fmt::format("a credit of {} bytes", bytes));
  }
  credit_ += static_cast<int64_t>(bytes);
  return absl::OkStatus();
}

bool PeerSession::Full() const {
  return context_.deps.runtime->inbound_bytes() >
         static_cast<int64_t>(context_.options->inbound_bytes_max);
}

// A node whose mailboxes are full grants one batch and the rest of the window later: else each new
// session would bring a window more.
uint64_t PeerSession::FirstCredit() {
  const uint64_t window = context_.options->receive_window;
  if (window == 0 || !Full()) return window;
  ungranted_ = window - 1;
  return 1;
}

void PeerSession::CountReceived(size_t bytes) {
  if (context_.options->receive_window == 0) return;
  ungranted_ += bytes;
  // Not for every batch: a fourth of the window keeps the peer going.
  if (ungranted_ >= context_.options->receive_window / 4 && !credit_timer_.armed()) GrantCredit();
}

// What has been read is given back while the mailboxes of this node have room. Otherwise messages
// stay at the other side, whose senders are held in the end.
void PeerSession::GrantCredit() {
  if (state_ != State::kUp) return;
  if (Full()) {
    return credit_timer_.Set(context_.deps.clock->Now() + context_.options->credit_retry, [this] {
      GrantCredit();
      Flush();
    });
  }
  pb::Frame frame;
  frame.mutable_credit()->set_bytes(std::exchange(ungranted_, 0));
  outbox_.PushFrame(std::move(frame), context_.deps.clock->Now());
}

void PeerSession::Write(pb::PeerBatch batch) {
  batch.set_seq(next_seq_++);
  batch.set_ack(seen_seq_);
  ++context_.stats->batches_sent;
  context_.stats->frames_sent += static_cast<uint64_t>(batch.frames_size());
  std::string bytes;
  if (dialled_) {
    pb::SessionRequest frame;
    *frame.mutable_batch() = std::move(batch);
    frame.SerializeToString(&bytes);
  } else {
    pb::SessionResponse frame;
    *frame.mutable_batch() = std::move(batch);
    frame.SerializeToString(&bytes);
  }
  context_.stats->bytes_sent += bytes.size();
  if (state_ == State::kUp) credit_ -= static_cast<int64_t>(bytes.size());
  last_sent_ = write_began_ = context_.deps.clock->Now();
  stream_->Write(std::move(bytes));
}

// --------------------------------------------------------------- receiving

void PeerSession::OnFrame(std::string bytes) {
  if (state_ == State::kClosed && !Mutant("no-frame-session-check")) return;
  const size_t size = bytes.size();
  if (size > context_.options->batch_bytes_hard + kBatchSlack) {
    return ProtocolError(absl::InvalidArgumentError(fmt::format("a batch of {} bytes", size)));
  }
  pb::PeerBatch batch;
  bool parsed;
  if (dialled_) {
    pb::SessionResponse frame;
    parsed = frame.ParseFromString(bytes);
    batch.Swap(frame.mutable_batch());
  } else {
    pb::SessionRequest frame;
    parsed = frame.ParseFromString(bytes);
    batch.Swap(frame.mutable_batch());
  }
  if (!parsed) return ProtocolError(absl::InvalidArgumentError("bytes that are no batch"));
  context_.stats->bytes_received += size;
  if (state_ == State::kUp) CountReceived(size);
  absl::Status status = HandleBatch(std::move(batch));
  if (!status.ok()) return ProtocolError(status);
  if (state_ == State::kUp) Flush();  // the answers
}

absl::Status PeerSession::HandleBatch(pb::PeerBatch batch) {
  if (batch.seq() != seen_seq_ + 1) {
    return absl::InvalidArgumentError(fmt::format("batch {} after {}", batch.seq(), seen_seq_));
  }
  seen_seq_ = batch.seq();
  last_heard_ = context_.deps.clock->Now();
  if (!SaysOnlyThatItLives(batch)) last_used_ = last_heard_;
  ++context_.stats->batches_received;
  context_.stats->frames_received += static_cast<uint64_t>(batch.frames_size());
  Runtime::DeliverBatch wake_once(context_.deps.runtime);
  for (pb::Frame& frame : *batch.mutable_frames()) {
    if (state_ == State::kClosed && !Mutant("no-frame-session-check")) return absl::OkStatus();
    absl::Status status = HandleFrame(std::move(frame), batch.strings());
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status PeerSession::HandleFrame(pb::Frame frame, const FrameDecoder::Strings& strings) {
  if (frame.has_close()) {
    Closed(frame.close().reason(), fmt::format("closed by the peer: {}", frame.close().message()));
    stream_->Close(absl::OkStatus());
    return absl::OkStatus();
  }
  if (frame.has_ping()) return absl::OkStatus();
  if (frame.has_credit() && state_ == State::kUp) return HandleCredit(frame.credit().bytes());
  const bool relic = state_ == State::kClosed && Mutant("no-frame-session-check");
  if ((state_ != State::kUp && !relic) || frame.has_hello() || frame.has_hello_ack())
    return HandleHandshake(frame);
  if (frame.has_fragment()) return HandleFragment(std::move(*frame.mutable_fragment()));
  return DecodeSignal(std::move(frame), strings);
}

absl::Status PeerSession::HandleHandshake(const pb::Frame& frame) {
  if (state_ == State::kGreeting && frame.has_hello()) {
    state_ = State::kGreeted;
    hello_ = frame.hello();
    peer_ = {hello_.node_id(), hello_.incarnation()};
    context_.owner->OnHello(this);
    return absl::OkStatus();
  }
  if (state_ == State::kDialling && frame.has_hello_ack()) {
    SetPeersWindow(frame.hello_ack().initial_credit());
    BecomeUp();
    context_.owner->OnHelloAck(this);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("a frame that does not fit the handshake");
}

absl::Status PeerSession::HandleFragment(pb::FragmentFrame fragment) {
  pb::PeerBatch whole;
  const absl::Duration age = absl::Milliseconds(fragment.age_ms());
  absl::StatusOr<bool> complete = defragmenter_.Add(std::move(fragment), &whole);
  BANYAN_RETURN_IF_ERROR(complete.status());
  if (!*complete) return absl::OkStatus();
  return DecodeSignal(std::move(*whole.mutable_frames(0)), whole.strings(), age);
}

absl::Status PeerSession::DecodeSignal(pb::Frame frame, const FrameDecoder::Strings& strings,
                                       absl::Duration age) {
  Inbound inbound;
  BANYAN_RETURN_IF_ERROR(
      decoder_->Decode(std::move(frame), strings, context_.deps.clock->Now() - age, &inbound));
  for (pb::Frame& answer : inbound.answers)
    outbox_.PushFrame(std::move(answer), context_.deps.clock->Now());
  inbound.answers.clear();
  context_.owner->OnInbound(this, std::move(inbound));
  return absl::OkStatus();
}

// ----------------------------------------------------------- signs of life

void PeerSession::ArmTick() {
  const PeerOptions& o = *context_.options;
  timer_.Set(std::min({last_sent_ + o.ping_every, last_heard_ + o.silence_max,
                       outbox_.oldest() + o.write_stall_max}),
             [this] { Tick(); });
}

void PeerSession::Tick() {
  if (state_ != State::kUp) return;
  const PeerOptions& o = *context_.options;
  const Instant now = context_.deps.clock->Now();
  if (now - last_heard_ >= o.silence_max) {
    return Close(pb::CloseFrame::REASON_TIMEOUT,
                 fmt::format("nothing was heard for {}", absl::FormatDuration(o.silence_max)));
  }
  const bool stalled = stream_->queued() > 0 && now - write_began_ >= o.write_stall_max;
  if (stalled || now >= outbox_.oldest() + o.write_stall_max)
    return Close(pb::CloseFrame::REASON_SLOW_PEER, "the peer takes no more");
  if (now - last_sent_ >= o.ping_every) {
    if (stream_->queued() == 0) {
      pb::PeerBatch batch;
      batch.add_frames()->mutable_ping();
      Write(std::move(batch));
    } else {
      last_sent_ = now;  // a batch is on its way: that is a sign of life
    }
  }
  ArmTick();
}

// ----------------------------------------------------------------- closing

void PeerSession::ProtocolError(const absl::Status& why) {
  ++context_.stats->protocol_errors;
  Close(pb::CloseFrame::REASON_PROTOCOL, std::string(why.message()));
}

void PeerSession::Close(CloseReason reason, const std::string& message) {
  if (state_ == State::kClosed) return;
  // A stream that is stuck would not take a last frame.
  const bool stuck =
      reason == pb::CloseFrame::REASON_TIMEOUT ||
      (reason == pb::CloseFrame::REASON_SLOW_PEER && stream_ && stream_->queued() > 0);
  if (stream_ && !stuck) {
    pb::PeerBatch batch;
    pb::CloseFrame* close = batch.add_frames()->mutable_close();
    close->set_reason(reason);
    close->set_message(message);
    Write(std::move(batch));
    stream_->Close(absl::OkStatus());
  } else if (stream_) {
    stream_->Abort();
  }
  Closed(reason, message);
}

void PeerSession::Closed(CloseReason reason, std::string message) {
  if (state_ == State::kClosed) return;
  if (state_ == State::kUp) ++context_.stats->sessions_closed;
  state_ = State::kClosed;
  close_reason_ = reason;
  close_message_ = std::move(message);
  timer_.Cancel();
  credit_timer_.Cancel();
  context_.owner->OnSessionClosed(this);
}

void PeerSession::OnClose(absl::Status status) {
  Closed(pb::CloseFrame::REASON_UNSPECIFIED,
         fmt::format("the stream ended: {}", status.ToString()));
  context_.owner->OnStreamOver(this);
}

}  // namespace banyan
