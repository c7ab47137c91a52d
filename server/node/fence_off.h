#pragma once

#include <functional>
#include <memory>

#include "server/runtime/runtime.h"

namespace banyan {

// Kills every process that belongs to a child of a cluster-wide supervisor, at any depth, and calls
// `done` on the executor when a look through the whole runtime finds none. A process whose code is
// on a thread is waited for: `stuck` is called after `patience` while there is one, and again each
// time that it passes.
void FenceOff(Runtime* runtime, Timers* timers, Executor* executor, absl::Duration patience,
              std::function<void()> stuck, std::function<void()> done);

}  // namespace banyan
