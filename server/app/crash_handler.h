#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "server/node/options.h"
#include "server/node/watcher/watch_page.h"

namespace banyan::app {

// C++ code that crashes takes its whole node along. Whose code it was is written down while the
// process dies, so that the crash counts as that child's own end and the node's other children are
// not suspected (cluster.md 6.5): into the state folder, for the node's next life, and on the
// watcher's page, which is faster.

// For SIGSEGV, SIGABRT, SIGBUS, SIGFPE and SIGILL, from now to the end of the process. A crash of
// nobody's code, of a node that is no member, leaves nothing behind. What handled these signals
// before does so afterwards. `file`: in the state folder. `page`: may be null.
void InstallCrashHandler(const std::string& file, WatchPage* page);
// Which life of the node a crash from now on is of; 0: none.
void SetCrashIncarnation(uint32_t incarnation);
// A stack of its own for this thread's handler, since code also crashes by running out of stack.
void UseCrashStack();

// What the crash of an earlier life left; nullopt: nothing that can be read.
std::optional<internal::v1::LastCrash> ReadCrashFile(const std::string& file);

}  // namespace banyan::app
