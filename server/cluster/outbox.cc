#include "server/cluster/outbox.h"

#include <algorithm>

#include "fmt/format.h"

#include "common/base/error.h"
#include "common/base/mutant.h"
#include "common/base/named_pid.h"

namespace banyan {
namespace {

namespace pb = internal::v1;

constexpr size_t kItemOverhead = 64;
// Of large messages that take turns; keeps a batch below its hard limit.
constexpr int kFragmentsPerBatch = 2;
constexpr size_t kExitTargetsMax = 4096;
// What a message's frame, headers and names may add to it.
constexpr size_t kEnvelopeMax = 64 * 1024;

}  // namespace

Outbox::Pair Outbox::Item::pair() const {
  if (frame) return {frame->src(), frame->dst()};
  return {signal->from.local() ? signal->from.id : 0, signal->to.id};
}

bool Outbox::Item::named() const { return signal && NameOf(signal->to) != nullptr; }

bool Outbox::Item::message() const { return signal && signal->kind <= SignalKind::kReply; }

absl::Status Outbox::Check(const Signal& s) const {
  const size_t size = s.payload.is_local() ? 0 : s.payload.size();
  return size <= options_->message_bytes_max ? absl::OkStatus() : TooLarge(s, size);
}

absl::Status Outbox::TooLarge(const Signal& s, size_t size) const {
  std::map<std::string, std::string> metadata{
      {"limitBytes", fmt::format("{}", options_->message_bytes_max)}};
  // The request of an answer has run.
  if (s.kind == SignalKind::kReply) metadata["outcome"] = std::string(kOutcomeUnknown);
  return MakeError("PAYLOAD_TOO_LARGE",
                   fmt::format("the {} has {} bytes; {} is the most that is sent to another node",
                               s.kind == SignalKind::kReply ? "answer" : "message", size,
                               options_->message_bytes_max),
                   std::move(metadata));
}

void Outbox::Push(SignalPtr signal, Instant now) {
  Item item;
  item.since = now;
  item.bytes = kItemOverhead + (signal->payload.is_local() ? 0 : signal->payload.size());
  item.signal = std::move(signal);
  Add(std::move(item));
}

void Outbox::PushFrame(pb::Frame frame, Instant now) {
  Item item;
  item.since = now;
  item.bytes = kItemOverhead;
  item.frame = std::make_unique<pb::Frame>(std::move(frame));
  Add(std::move(item));
}

void Outbox::Add(Item item) {
  Gauge& gauge = GaugeOf(item.message());
  ++gauge.entries;
  gauge.bytes += item.bytes;
  queue_.push_back(std::move(item));
}

void Outbox::Forget(const Item& item) {
  Gauge& gauge = GaugeOf(item.message());
  --gauge.entries;
  gauge.bytes -= item.bytes;
}

Instant Outbox::oldest() const {
  Instant oldest = Instant::Infinite();
  if (!queue_.empty()) oldest = std::min(oldest, queue_.front().since);
  if (!parked_.empty()) oldest = std::min(oldest, parked_.front().since);
  for (const Large& large : large_) oldest = std::min(oldest, large.since);
  return oldest;
}

void Outbox::Unpark() {
  queue_.insert(queue_.begin(), std::make_move_iterator(parked_.begin()),
                std::make_move_iterator(parked_.end()));
  parked_.clear();
  parked_pairs_.clear();
  parked_senders_.clear();
  parked_name_senders_.clear();
}

// What is on its way in parts and may be for the same process; null: nothing.
Outbox::Large* Outbox::LargeBefore(const Item& item) {
  if (large_.empty()) return nullptr;
  const Pair pair = item.pair();
  auto of_sender = [&](bool named) -> Large* {
    for (Large& large : large_) {
      if (large.pair.first == pair.first && (large.named || !named)) return &large;
    }
    return nullptr;
  };
  // First the one that a name waits for, of which a sender has one at most: all that follows does.
  if (large_to_names_ > 0) {
    if (Large* large = of_sender(true)) return large;
  }
  if (auto it = large_by_pair_.find(pair); it != large_by_pair_.end()) return it->second;
  return item.named() ? of_sender(false) : nullptr;
}

bool Outbox::ParkedBefore(const Item& item) const {
  const Pair pair = item.pair();
  return parked_pairs_.contains(pair) || parked_name_senders_.contains(pair.first) ||
         (!parked_senders_.empty() && item.named() && parked_senders_.contains(pair.first));
}

bool Outbox::PutAside(Item* item, bool credit) {
  if (Large* large = LargeBefore(*item)) {
    if (!large->named && item->named()) {
      large->named = true;
      ++large_to_names_;
    }
    large->behind.push_back(std::move(*item));
    return true;
  }
  if (credit || Mutant("no-credit")) return false;
  if (!item->message() && !ParkedBefore(*item)) return false;
  const Pair pair = item->pair();
  parked_pairs_.insert(pair);
  parked_senders_.insert(pair.first);
  if (item->named()) parked_name_senders_.insert(pair.first);
  parked_.push_back(std::move(*item));
  return true;
}

void Outbox::Fill(wire::NodeIdentity self, Instant now, bool credit, pb::PeerBatch* batch,
                  const Refused& refused) {
  if (credit) {
    Unpark();
    AddFragments(now, batch);
  }
  FrameEncoder encoder(self, now, batch);
  const size_t soft =
      batch->frames_size() > 0 ? options_->batch_bytes_soft / 2 : options_->batch_bytes_soft;
  const auto frames_max = static_cast<int>(options_->batch_frames_max);
  size_t bytes = 0;
  while (!queue_.empty() && bytes < soft && batch->frames_size() < frames_max) {
    Item item = std::move(queue_.front());
    queue_.pop_front();
    if (PutAside(&item, credit)) continue;
    Forget(item);
    bytes += Encode(std::move(item), self, now, &encoder, batch, refused);
  }
  // The first fragment of one that has just begun need not wait for the next batch.
  if (credit && batch->frames_size() == 0) AddFragments(now, batch);
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
        next.signal->from != first.from || LargeBefore(next) != nullptr || ParkedBefore(next) ||
        !(next.signal->reason == first.reason)) {
      break;
    }
    encoder->AddExitTarget(next.signal->to.id);
    Forget(next);
    queue_.pop_front();
  }
  return merged;
}

void Outbox::StartLarge(Item item, wire::NodeIdentity self, Instant now, const Refused& refused) {
  pb::PeerBatch whole;
  absl::Status status = FrameEncoder(self, now, &whole).Add(*item.signal);
  if (!status.ok()) return refused(std::move(item.signal), std::move(status));
  std::string bytes = whole.SerializeAsString();
  if (bytes.size() > options_->message_bytes_max + kEnvelopeMax) {
    status = TooLarge(*item.signal, bytes.size());
    return refused(std::move(item.signal), std::move(status));
  }
  Large& large = large_.emplace_back();
  large.id = next_fragment_++;
  large.pair = item.pair();
  large.named = item.named();
  large_to_names_ += large.named ? 1 : 0;
  large.message = item.message();
  large.since = item.since;
  large.written = now;
  large.bytes = std::move(bytes);
  item.signal->payload = Payload();
  large.signal = std::move(item.signal);
  large_by_pair_[large.pair] = &large;
  Gauge& gauge = GaugeOf(large.message);
  ++gauge.entries;
  gauge.bytes += large.bytes.size();
}

void Outbox::AddFragments(Instant now, pb::PeerBatch* batch) {
  for (int i = 0; i < kFragmentsPerBatch && !large_.empty(); ++i) {
    Large& large = large_.front();
    const size_t n = std::min(options_->fragment_bytes, large.bytes.size() - large.sent);
    pb::FragmentFrame* f = batch->add_frames()->mutable_fragment();
    f->set_fragment_id(large.id);
    f->set_chunk(large.bytes.substr(large.sent, n));
    large.sent += n;
    GaugeOf(large.message).bytes -= n;
    if (large.sent < large.bytes.size()) {
      large_.splice(large_.end(), large_, large_.begin());  // the others' turn
      continue;
    }
    f->set_last(true);
    f->set_age_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(now - large.written)));
    --GaugeOf(large.message).entries;
    large_by_pair_.erase(large.pair);
    large_to_names_ -= large.named ? 1 : 0;
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
  take(parked_);
  take(queue_);
  large_.clear();
  large_by_pair_.clear();
  large_to_names_ = 0;
  parked_pairs_.clear();
  parked_senders_.clear();
  parked_name_senders_.clear();
  messages_ = control_ = {};
  return out;
}

}  // namespace banyan
