#pragma once

#include <memory>
#include <string>

#include "tests/sim/workload_actors.h"

namespace banyan::sim {

// Processes flood others of other nodes, who are often asleep, so that mailboxes and what waits for
// the sessions fill up.
//
// INV-24: no queue is longer than its limit. At rest nobody is held, and nothing waits.
class QueueWorkload : public ActorWorkload {
 public:
  // `oversized`: now and then a message is larger than any may be; it is never seen.
  explicit QueueWorkload(bool oversized = false) : oversized_(oversized) {}
  std::string_view name() const override { return "queues"; }

 private:
  struct Flooder : Actor {
    uint64_t steps = 0;
  };
  struct Reader : Actor {};

  void OnLife(int node) override;
  void OnTick() override;
  void CheckAtRest() override;
  Task<ExitReason> RunFlooder(Self& self, Flooder* me);
  Task<ExitReason> RunReader(Self& self);
  void Flood(Self& self, Flooder* me);
  void CheckPeers(int node);
  void CheckMailboxes(int node);

  const bool oversized_;
  std::unique_ptr<Random> large_;
};

}  // namespace banyan::sim
