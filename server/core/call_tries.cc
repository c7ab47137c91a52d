#include "server/core/call_tries.h"

#include <algorithm>
#include <cstdint>

namespace banyan {
namespace {

// The next holder of a name is there a moment after the last one has ended, or a while.
constexpr absl::Duration kMoveFirst = absl::Milliseconds(20);
constexpr int kMoveFactor = 4;
constexpr absl::Duration kRepeatFirst = absl::Milliseconds(50);
constexpr absl::Duration kRepeatMax = absl::Seconds(1);

}  // namespace

absl::Duration CallTries::Pause(bool move, Random* random) const {
  if (!move) {
    const absl::Duration pause = kRepeatFirst * (int64_t{1} << std::min(repeats, 10));
    return std::min(kRepeatMax, pause) * (0.5 + random->Unit() / 2);
  }
  absl::Duration pause = kMoveFirst;
  for (int i = 0; i < moves; ++i) pause *= kMoveFactor;
  return pause;
}

bool TargetMoved(const ErrorInfo& info) {
  const auto outcome = info.metadata.find("outcome");
  if (outcome == info.metadata.end() || outcome->second != kNotExecuted) return false;
  return info.reason == "NOPROC" || info.reason == "NOT_DELIVERED" ||
         info.reason == "CALLEE_EXITED";
}

}  // namespace banyan
