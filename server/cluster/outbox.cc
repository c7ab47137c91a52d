#include "server/cluster/outbox.h"

#include <algorithm>

#include "fmt/format.h"

#include "common/base/error.h"

namespace banyan {
namespace {

namespace pb = internal::v1;

constexpr size_t kItemOverhead = 64;
// Of large messages that take turns; keeps a batch below its hard limit.
constexpr int kFragmentsPerBatch = 2;
constexpr size_t kExitTargetsMax = 4096;

}  // namespace

Outbox::Pair Outbox::Item::pair() const {
  if (frame) return {frame->src(), frame->dst()};
  return {signal->from.local() ? signal->from.id : 0, signal->to.id};
}

absl::Status Outbox::Check(const Signal& s) const {
  const size_t size = s.payload.is_local() ? 0 : s.payload.size();
  if (size <= options_->message_bytes_max) return absl::OkStatus();
  return MakeError(
      "PAYLOAD_TOO_LARGE",
      fmt::format("the message has {} bytes; {} is the most that is sent to another node", size,
                  options_->message_bytes_max),
      {{"limitBytes", fmt::format("{}", options_->message_bytes_max)}});
}

void Outbox::Push(SignalPtr signal) {
  Item item;
  item.bytes = kItemOverhead + (signal->payload.is_local() ? 0 : signal->payload.size());
  item.signal = std::move(signal);
  Add(std::move(item));
}

void Outbox::PushFrame(pb::Frame frame) {
  Item item;
  item.bytes = kItemOverhead;
  item.frame = std::make_unique<pb::Frame>(std::move(frame));
  Add(std::move(item));
}

void Outbox::Add(Item item) {
  ++entries_;
  bytes_ += item.bytes;
  queue_.push_back(std::move(item));
}

void Outbox::Fill(wire::NodeIdentity self, Instant now, pb::PeerBatch* batch,
                  const Refused& refused) {
  AddFragments(batch);
  FrameEncoder encoder(self, now, batch);
  const size_t soft =
      batch->frames_size() > 0 ? options_->batch_bytes_soft / 2 : options_->batch_bytes_soft;
  const auto frames_max = static_cast<int>(options_->batch_frames_max);
  size_t bytes = 0;
  while (!queue_.empty() && bytes < soft && batch->frames_size() < frames_max) {
    Item item = std::move(queue_.front());
    queue_.pop_front();
    if (auto it = large_by_pair_.find(item.pair()); it != large_by_pair_.end()) {
      it->second->behind.push_back(std::move(item));
      continue;
    }
    --entries_;
    bytes_ -= item.bytes;
    bytes += Encode(std::move(item), self, now, &encoder, batch, refused);
  }
  // The first fragment of one that has just begun need not wait for the next batch.
  if (batch->frames_size() == 0) AddFragments(batch);
}

size_t Outbox::Encode(Item item, wire::NodeIdentity self, Instant now, FrameEncoder* encoder,
                      pb::PeerBatch* batch, const Refused& refused) {
  if (item.frame) {
    pb::Frame* frame = encoder->AddFrame();
    *frame = std::move(*item.frame);
    return frame->ByteSizeLong();
  }
  if (item.bytes > options_->fragment_bytes) {
    StartLarge(std::move(item), self, now, refused);
    return 0;
  }
  absl::Status status = encoder->Add(*item.signal);
  if (!status.ok()) {
    refused(std::move(item.signal), std::move(status));
    return 0;
  }
  size_t bytes = batch->frames(batch->frames_size() - 1).ByteSizeLong();
  if (bytes > options_->fragment_bytes) {
    batch->mutable_frames()->RemoveLast();
    StartLarge(std::move(item), self, now, refused);
    return 0;
  }
  if (item.signal->kind == SignalKind::kLinkExit)
    bytes += MergeExits(*item.signal, encoder) * sizeof(uint64_t);
  return bytes;
}

// A process with many links dies in one frame, not in one per link.
size_t Outbox::MergeExits(const Signal& first, FrameEncoder* encoder) {
  size_t merged = 0;
  for (; merged < kExitTargetsMax && !queue_.empty(); ++merged) {
    const Item& next = queue_.front();
    if (!next.signal || next.signal->kind != SignalKind::kLinkExit ||
        next.signal->from != first.from || large_by_pair_.contains(next.pair()) ||
        !(next.signal->reason == first.reason)) {
      break;
    }
    encoder->AddExitTarget(next.signal->to.id);
    --entries_;
    bytes_ -= next.bytes;
    queue_.pop_front();
  }
  return merged;
}

void Outbox::StartLarge(Item item, wire::NodeIdentity self, Instant now, const Refused& refused) {
  pb::PeerBatch whole;
  absl::Status status = FrameEncoder(self, now, &whole).Add(*item.signal);
  if (!status.ok()) return refused(std::move(item.signal), std::move(status));
  Large& large = large_.emplace_back();
  large.id = next_fragment_++;
  large.pair = item.pair();
  large.bytes = whole.SerializeAsString();
  item.signal->payload = Payload();
  large.signal = std::move(item.signal);
  large_by_pair_[large.pair] = &large;
  ++entries_;
  bytes_ += large.bytes.size();
}

void Outbox::AddFragments(pb::PeerBatch* batch) {
  for (int i = 0; i < kFragmentsPerBatch && !large_.empty(); ++i) {
    Large& large = large_.front();
    const size_t n = std::min(options_->fragment_bytes, large.bytes.size() - large.sent);
    pb::FragmentFrame* f = batch->add_frames()->mutable_fragment();
    f->set_fragment_id(large.id);
    f->set_chunk(large.bytes.substr(large.sent, n));
    large.sent += n;
    bytes_ -= n;
    if (large.sent < large.bytes.size()) {
      large_.splice(large_.end(), large_, large_.begin());  // the others' turn
      continue;
    }
    f->set_last(true);
    --entries_;
    large_by_pair_.erase(large.pair);
    // Before anything else of this pair, all of which is younger.
    queue_.insert(queue_.begin(), std::make_move_iterator(large.behind.begin()),
                  std::make_move_iterator(large.behind.end()));
    large_.pop_front();
  }
}

std::vector<SignalPtr> Outbox::TakeAll() {
  std::vector<SignalPtr> out;
  auto take = [&](std::deque<Item>& items) {
    for (Item& item : items) {
      if (item.signal) out.push_back(std::move(item.signal));
    }
    items.clear();
  };
  for (Large& large : large_) {
    out.push_back(std::move(large.signal));
    take(large.behind);
  }
  take(queue_);
  large_.clear();
  large_by_pair_.clear();
  entries_ = bytes_ = 0;
  return out;
}

}  // namespace banyan
