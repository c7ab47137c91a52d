#pragma once

#include "absl/time/time.h"

#include "common/base/error.h"
#include "common/time/clock.h"

namespace banyan {

// How often a call was sent again already, and why (cluster.md 4.1, 4.3).
struct CallTries {
  // How often a target is found anew.
  static constexpr int kMovesMax = 3;

  int moves = 0;    // it did not run, and its target may be elsewhere by now
  int repeats = 0;  // it may have run, and may be repeated
  bool may_have_run = false;

  // Before it is sent again. Of repeats, those that one lost connection has failed do not all come
  // back at once.
  absl::Duration Pause(bool move, Random* random) const;
};

// By what the platform says of it, a request did not run, and another process may be where this one
// was not.
bool TargetMoved(const ErrorInfo& info);

}  // namespace banyan
