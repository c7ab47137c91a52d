#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/workload_actors.h"

namespace banyan::sim {

// Servers on all nodes, some slow, some of which die; called by processes and from outside, by pid
// and by name, with deadlines.
//
// INV-21: a call runs at most once, not at all if its outcome is `not_executed`, and not after its
// time is over. A late reply never reaches the caller's mailbox.
class CallWorkload : public ActorWorkload {
 public:
  std::string_view name() const override { return "calls"; }

 private:
  class Server;
  struct ServerActor : Actor {
    std::string name;  // of the cluster, if it has one
  };
  struct Call {
    std::string who;
    Instant due;
    int runs = 0;
    bool refused = false;  // its last outcome: it did not run
  };
  // By name: not executed may be tried again, by the same number.
  struct NamedCall {
    size_t number;
    int node;
    std::string name;
    int tries = 0;
  };

  void OnLife(int node) override;
  void OnTick() override;
  void StartServer(int node);
  void RegisterServer(ServerActor* server);
  Task<ExitReason> RunCaller(Self& self, Actor* me);
  void CallFromOutside(int node);
  void CallByName(int node);
  void TryByName(NamedCall call);
  size_t NewCall(std::string who, absl::Duration timeout);
  static Payload Request(size_t number);
  // Of the cluster's clock; the callee's may run at another rate.
  void OnRun(size_t number, int node);
  void OnAnswer(size_t number, const absl::StatusOr<Payload>& answer);
  absl::Duration SomeTimeout();

  std::vector<Call> calls_;
};

}  // namespace banyan::sim
