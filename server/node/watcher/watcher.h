#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "server/node/watcher/watch_page.h"

namespace banyan {

struct NodeEnd {
  int wait_status = 0;  // as waitpid has it
  bool killed = false;  // by the watcher: exclusive children ran beyond their lease
};

struct WatcherOptions {
  absl::Duration check_every = absl::Milliseconds(200);  // how late an overrun may be noticed
  absl::Duration kill_limit = absl::Seconds(10);         // for the descendants' end
  // Tells the coordinator, once the node and all its descendants are gone. It runs in the watcher,
  // which has had no thread until now: gRPC may be started in it, never before. Not called for a
  // node that was no member, nor when a descendant would not end: then nothing is proven.
  std::function<void(const WatchPage&, const NodeEnd&)> report;
};

struct Watched {
  bool is_node = false;       // true: this is the forked child, go on as the node
  WatchPage* page = nullptr;  // shared
  int exit_status = 0;  // watcher only: what main returns; 128 + N when signal N ended the node
};

// Forks: the child returns at once and becomes the node; the parent stays as its watcher and
// returns when all is over. Call it first in main, before any thread and before gRPC.
//
// The watcher passes SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 on, except those that
// the terminal sends, which the node gets by itself, being in the same process group. Who signals
// the whole group or control group by hand reaches the node twice: a node takes a second SIGTERM
// for impatience only some time after the first (kSignalRepeatMin), and a service manager should
// signal the main process alone (systemd: KillMode=mixed).
//
// Its own end does not end the node, which notices through WatchPage::WatcherAlive.
absl::StatusOr<Watched> RunUnderWatcher(const WatcherOptions& options);

inline constexpr absl::Duration kSignalRepeatMin = absl::Seconds(1);

// For a node that runs without a watcher: a page that nobody reads.
Watched RunUnwatched();

}  // namespace banyan
