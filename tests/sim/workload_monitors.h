#pragma once

#include <map>
#include <string>

#include "tests/sim/workload_actors.h"

namespace banyan::sim {

// Processes monitor others of other nodes, take monitors back and die.
//
// INV-12: at most one DOWN for a monitor, none once it was taken back; exactly one, within 9 s, if
// the process has ended or cannot be reached. `noproc` only of the dead, `noconnection` only when a
// connection was lost or none came about, else the reason of the end.
class MonitorWorkload : public ActorWorkload {
 public:
  std::string_view name() const override { return "monitors"; }

 private:
  enum class State : uint8_t { kOpen, kFired, kTakenBack };
  struct Watch {
    Pid target;
    State state = State::kOpen;
    bool reported = false;
    Instant since;
    uint64_t closed_then = 0;  // sessions closed at this node
  };
  struct MonitorActor : Actor {
    std::map<Ref, Watch> watches;
  };

  void OnLife(int node) override;
  void CheckAtRest() override;
  void OnTick() override;
  void SpawnActor(int node);
  Task<ExitReason> Run(Self& self, MonitorActor* me);
  bool Act(Self& self, MonitorActor* me);
  void DoMonitor(Self& self, MonitorActor* me);
  void DoDemonitor(Self& self, MonitorActor* me);
  void OnDown(MonitorActor* me, const Message& message);
  void CheckReason(const MonitorActor& me, const Watch& watch, const ExitReason& reason);
  std::string Describe(const MonitorActor& me, Ref ref, const Watch& watch) const;
};

}  // namespace banyan::sim
