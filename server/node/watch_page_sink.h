#pragma once

#include "common/time/instant.h"
#include "common/wire/pid.h"

namespace banyan {

// What the node's watcher must know to judge a node that has stopped responding (cluster.md 2.4).
// The app implements it over the shared page. Called on the node's executor; must not block.
class WatchPageSink {
 public:
  virtual ~WatchPageSink() = default;
  // A life as a member begins; a zero identity: it has ended.
  virtual void SetIdentity(wire::NodeIdentity self) = 0;
  // When the newest acknowledged heartbeat was sent, and after that: when exclusive children freeze
  // and when none of their code may run any more.
  virtual void SetLease(Instant base, Instant freeze_at, Instant expires_at) = 0;
  virtual void SetHasExclusive(bool has) = 0;
  // No code of an exclusive child is on a thread, and none will be until the lease is renewed.
  virtual void SetFrozen(bool frozen) = 0;
  // Whether somebody still reads it.
  virtual bool WatcherAlive() const { return true; }
};

}  // namespace banyan
