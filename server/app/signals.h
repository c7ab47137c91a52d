#pragma once

#include <functional>

#include "absl/time/time.h"

namespace banyan::app {

// Blocks the signals that end the process, for this thread and those it makes from now on; they are
// taken by WaitForSignal. SIGPIPE is ignored.
void BlockSignals();

// Waits for SIGTERM or SIGINT and returns it.
int WaitForSignal();

// From now on a further signal ends the process at once. One that comes within a second of the
// first does not count: it is the same one, from the terminal and from the watcher.
void EndAtNextSignal();

// Ends the process if it still runs after `limit`, for a shutdown that hangs.
void EndAfter(absl::Duration limit);

}  // namespace banyan::app
