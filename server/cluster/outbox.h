#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"

#include "banyan/internal/v1/peer.pb.h"
#include "common/wire/pid.h"
#include "server/cluster/frame_encoder.h"
#include "server/cluster/options.h"
#include "server/runtime/signal.h"

namespace banyan {

// What waits to be sent over one session, and how it becomes batches. Order is kept for every pair
// of processes: what follows a large message of the same pair waits behind its last fragment, other
// pairs do not.
class Outbox {
 public:
  explicit Outbox(const PeerOptions* options) : options_(options) {}

  // PAYLOAD_TOO_LARGE: refused, and the signal is still the caller's.
  absl::Status Check(const Signal& signal) const;
  void Push(SignalPtr signal);
  void PushFrame(internal::v1::Frame frame);
  bool empty() const { return entries_ == 0; }
  bool overloaded() const {
    return entries_ > options_->outbound_entries_max || bytes_ > options_->outbound_bytes_max;
  }
  size_t entries() const { return entries_; }

  // Moves what goes into the next batch there. `refused` gets each signal that cannot be encoded.
  using Refused = std::function<void(SignalPtr, absl::Status)>;
  void Fill(wire::NodeIdentity self, Instant now, internal::v1::PeerBatch* batch,
            const Refused& refused);

  // Empties the box: every signal that was not handed over in full, in order of each pair.
  std::vector<SignalPtr> TakeAll();

 private:
  using Pair = std::pair<uint64_t, uint64_t>;  // sender, receiver
  struct Item {
    SignalPtr signal;  // or:
    std::unique_ptr<internal::v1::Frame> frame;
    size_t bytes = 0;
    Pair pair() const;
  };
  struct Large {
    uint64_t id = 0;
    Pair pair;
    SignalPtr signal;   // without its payload: for an answer, should the session end
    std::string bytes;  // serialized
    size_t sent = 0;
    std::deque<Item> behind;
  };

  void Add(Item item);
  void AddFragments(internal::v1::PeerBatch* batch);
  // Returns the bytes added to the batch: 0 for what has become a Large or was refused.
  size_t Encode(Item item, wire::NodeIdentity self, Instant now, FrameEncoder* encoder,
                internal::v1::PeerBatch* batch, const Refused& refused);
  void StartLarge(Item item, wire::NodeIdentity self, Instant now, const Refused& refused);
  size_t MergeExits(const Signal& first, FrameEncoder* encoder);

  const PeerOptions* const options_;
  std::deque<Item> queue_;
  std::list<Large> large_;  // the one whose turn is next in front
  absl::flat_hash_map<Pair, Large*> large_by_pair_;
  uint64_t next_fragment_ = 1;
  size_t entries_ = 0;
  size_t bytes_ = 0;
};

}  // namespace banyan
