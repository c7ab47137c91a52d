#include "server/core/fence_allocator.h"

namespace banyan {

std::optional<Fence> FenceAllocator::Next() {
  if (seq_ >= kFenceSeqMax) return std::nullopt;
  return Fence::Make(epoch_, ++seq_);
}

bool FenceAllocator::SetEpoch(uint32_t epoch) {
  if (epoch <= epoch_ || epoch > kFenceEpochMax) return false;
  epoch_ = epoch;
  seq_ = 0;
  return true;
}

std::optional<Fence> NextAttempt(Fence fence) {
  constexpr uint32_t kAttemptMax = 0x7FF;
  if (fence.attempt() >= kAttemptMax) return std::nullopt;
  return Fence::Make(fence.epoch(), fence.seq(), fence.attempt() + 1);
}

}  // namespace banyan
