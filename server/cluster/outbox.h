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
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"

#include "banyan/internal/v1/peer.pb.h"
#include "common/wire/pid.h"
#include "server/cluster/frame_encoder.h"
#include "server/cluster/options.h"
#include "server/runtime/signal.h"

namespace banyan {

// What waits to be sent over one session, and how it becomes batches. Order is kept for every pair
// of processes: what follows a large message of the same pair waits behind its last fragment, other
// pairs do not. Whom a name means is known at the other side only: it may be anybody. Without
// credit messages wait, and what follows them of the same pair; all other signals pass.
class Outbox {
 public:
  explicit Outbox(const PeerOptions* options) : options_(options) {}

  // PAYLOAD_TOO_LARGE: refused, and the signal is still the caller's.
  absl::Status Check(const Signal& signal) const;
  void Push(SignalPtr signal, Instant now = Instant());
  void PushFrame(internal::v1::Frame frame, Instant now = Instant());
  struct Gauge {
    size_t entries = 0;
    size_t bytes = 0;
  };
  const Gauge& messages() const { return messages_; }  // calls and answers too
  const Gauge& control() const { return control_; }
  bool empty() const { return messages_.entries + control_.entries == 0; }
  // Messages should not come as fast.
  bool busy() const { return messages_.bytes > options_->message_bytes_soft; }
  bool relieved() const { return messages_.bytes <= options_->message_bytes_soft / 2; }
  bool overloaded() const {
    return messages_.bytes > options_->message_bytes_hard ||
           control_.entries > options_->control_entries_max ||
           control_.bytes > options_->control_bytes_max;
  }
  // Since when the one waits that has waited for longest; infinite: none does.
  Instant oldest() const;

  // Moves what goes into the next batch there: nothing, if all must wait for credit. `refused` gets
  // each signal that cannot be encoded.
  using Refused = std::function<void(SignalPtr, absl::Status)>;
  void Fill(wire::NodeIdentity self, Instant now, bool credit, internal::v1::PeerBatch* batch,
            const Refused& refused);

  // Empties the box: every signal that was not handed over in full, in order of each pair.
  std::vector<SignalPtr> TakeAll();

 private:
  using Pair = std::pair<uint64_t, uint64_t>;  // sender, receiver
  struct Item {
    SignalPtr signal;  // or:
    std::unique_ptr<internal::v1::Frame> frame;
    size_t bytes = 0;
    Instant since;
    Pair pair() const;
    bool named() const;
    bool message() const;
  };
  struct Large {
    uint64_t id = 0;
    Pair pair;
    SignalPtr signal;   // without its payload: for an answer, should the session end
    std::string bytes;  // serialized
    size_t sent = 0;
    bool named = false;  // it or one behind it is for a name
    bool message = false;
    Instant since;
    Instant written;
    std::deque<Item> behind;
  };

  absl::Status TooLarge(const Signal& signal, size_t size) const;
  Gauge& GaugeOf(bool message) { return message ? messages_ : control_; }
  void Add(Item item);
  void Forget(const Item& item);
  void Unpark();
  // Takes an item that may not go now; false: it may.
  bool PutAside(Item* item, bool credit);
  Large* LargeBefore(const Item& item);
  bool ParkedBefore(const Item& item) const;
  void AddFragments(Instant now, internal::v1::PeerBatch* batch);
  // Returns the bytes added to the batch: 0 for what has become a Large or was refused.
  size_t Encode(Item item, wire::NodeIdentity self, Instant now, FrameEncoder* encoder,
                internal::v1::PeerBatch* batch, const Refused& refused);
  void StartLarge(Item item, wire::NodeIdentity self, Instant now, const Refused& refused);
  size_t MergeExits(const Signal& first, FrameEncoder* encoder);

  const PeerOptions* const options_;
  std::deque<Item> queue_;
  std::deque<Item> parked_;  // for want of credit; all older than the queue
  absl::flat_hash_set<Pair> parked_pairs_;
  absl::flat_hash_set<uint64_t> parked_senders_;       // of any of them
  absl::flat_hash_set<uint64_t> parked_name_senders_;  // of those to a name
  std::list<Large> large_;                             // the one whose turn is next in front
  absl::flat_hash_map<Pair, Large*> large_by_pair_;
  size_t large_to_names_ = 0;
  uint64_t next_fragment_ = 1;
  Gauge messages_;
  Gauge control_;
};

}  // namespace banyan
