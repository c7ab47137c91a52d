#pragma once

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"

#include "banyan/internal/v1/peer.pb.h"
#include "common/wire/pid.h"
#include "server/runtime/signal.h"

namespace banyan {

// Adds frames to one batch, whose strings it shares among them.
class FrameEncoder {
 public:
  FrameEncoder(wire::NodeIdentity self, Instant now, internal::v1::PeerBatch* batch)
      : self_(self), now_(now), batch_(batch) {}

  // Appends the signal's frame. An error, and nothing appended, if it cannot leave this node
  // (PAYLOAD_INVALID) or is late already (CALL_EXPIRED).
  absl::Status Add(const Signal& signal);
  // One more receiver for the exit frame that was added last.
  void AddExitTarget(uint64_t dst);
  internal::v1::Frame* AddFrame() { return batch_->add_frames(); }

 private:
  uint32_t Intern(const std::string& s);
  absl::Status FillData(const Payload& payload, internal::v1::Data* out);
  absl::Status FillCall(const Signal& s, internal::v1::CallFrame* out);
  absl::Status FillReply(const Signal& s, internal::v1::ReplyFrame* out);
  absl::Status Fill(const Signal& s, internal::v1::Frame* out);

  const wire::NodeIdentity self_;
  const Instant now_;
  internal::v1::PeerBatch* const batch_;
  absl::flat_hash_map<std::string, uint32_t> strings_;
};

}  // namespace banyan
