#pragma once

#include <memory>
#include <string>

#include "absl/time/time.h"

#include "server/behaviours/gen_server.h"
#include "tests/sim/history.h"

namespace banyan::sim {

class SimCluster;

// What a child does to its supervisor: chances per start, and per second of running.
struct ProbeScript {
  double init_fails = 0;
  double init_hangs = 0;
  double crashes_per_s = 0;
  double hangs_per_s = 0;  // in a handler
  absl::Duration hang;     // at most
};

// The child that runs watch: its code runs every 200 ms and says so, and now and then writes to a
// place outside of the cluster that checks its fence.
class Probe : public GenServer {
 public:
  Probe(SimCluster* cluster, int slot) : cluster_(cluster), slot_(slot) {}
  ~Probe() override;
  Task<InitResult> Init(std::vector<Payload> args) override;
  Task<CallResult> HandleCall(Payload request, CallFrom from) override;
  Task<Result> HandleCast(Payload request) override { return NoReply(); }
  Task<Result> HandleInfo(Message message) override;
  Task<void> Terminate(ExitReason reason) override;

 private:
  void Run();
  Task<Result> Hang(absl::Duration d);

  SimCluster* const cluster_;
  const int slot_;
  Life life_;
  std::string why_ = "gone";
};

}  // namespace banyan::sim
