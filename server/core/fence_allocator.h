#pragma once

#include <cstdint>
#include <optional>

#include "common/base/pid.h"

namespace banyan {

// Hands out the fencing tokens of one leader term: each greater than every earlier one of this and
// of all lower epochs. The epoch is durable, the sequence is not, so no counter is ever written.
class FenceAllocator {
 public:
  explicit FenceAllocator(uint32_t epoch) : epoch_(epoch) {}

  // Nullopt: the 2^28 - 1 numbers of this term are used up; take a new epoch (durably), then go on.
  std::optional<Fence> Next();
  // False: not higher than the present one, or more than 24 bits.
  bool SetEpoch(uint32_t epoch);

  uint32_t epoch() const { return epoch_; }
  uint32_t last_seq() const { return seq_; }
  void SetSeqForTest(uint32_t seq) { seq_ = seq; }

 private:
  uint32_t epoch_;
  uint32_t seq_ = 0;
};
inline constexpr uint32_t kFenceEpochMax = (1u << 24) - 1;

// The fence of the next nested restart under one start; nullopt: 2,047 were used, the node asks the
// coordinator for a new start fence.
std::optional<Fence> NextAttempt(Fence fence);

}  // namespace banyan
