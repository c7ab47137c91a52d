#pragma once

#include "server/runtime/runtime.h"

namespace banyan::bench {

// Starts `n` children of one simple_one_for_one supervisor, one after another as OTP's callers do,
// and returns children a second.
double StartChildRate(Runtime& rt, int n);

// Kills a permanent child `n` times; the median time from the kill to its successor's init.
double RestartMedianMicros(Runtime& rt, int n);

}  // namespace banyan::bench
