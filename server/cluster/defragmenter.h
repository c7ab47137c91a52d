#pragma once

#include <cstddef>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

#include "banyan/internal/v1/peer.pb.h"

namespace banyan {

// Puts fragments together. The whole is a serialized PeerBatch of one frame with its own strings.
class Defragmenter {
 public:
  Defragmenter(size_t message_bytes_max, size_t total_bytes_max)
      : message_bytes_max_(message_bytes_max), total_bytes_max_(total_bytes_max) {}

  // True when `fragment` was the last one and `whole` is complete. Errors are breaches of the
  // protocol.
  absl::StatusOr<bool> Add(internal::v1::FragmentFrame fragment, internal::v1::PeerBatch* whole);
  size_t bytes() const { return bytes_; }

 private:
  // An unfinished message costs its peer more than its bytes.
  static constexpr size_t kUnfinishedMax = 1024;
  const size_t message_bytes_max_;
  const size_t total_bytes_max_;
  size_t bytes_ = 0;
  absl::flat_hash_map<uint64_t, std::string> parts_;
};

}  // namespace banyan
