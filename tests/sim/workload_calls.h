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
// 4.1: a call by name does not run in a process that had given the name up before the call was
// made. INV-21: a call runs at most once, if it is not idempotent, not at all if its outcome is
// `not_executed`, and not after its time is over. A late reply never reaches the caller's mailbox.
class CallWorkload : public ActorWorkload {
 public:
  std::string_view name() const override { return "calls"; }

 private:
  class Server;
  struct ServerActor : Actor {
    std::string name;   // of the cluster, if it has one
    Instant nameless;   // since when its node knows that it has none
    bool slow = false;  // mostly: calls wait there
  };
  struct Call {
    std::string who;
    Instant due;
    Instant made;
    std::string name;  // by which it was made; empty: by pid
    int runs = 0;
    bool refused = false;     // its outcome: it did not run
    bool idempotent = false;  // it may run any number of times
    bool cancelled = false;   // it is not answered
  };

  void OnLife(int node) override;
  void OnTick() override;
  void StartServer(int node);
  void RegisterServer(ServerActor* server);
  void GiveUpAName();
  Task<ExitReason> RunCaller(Self& self, Actor* me);
  void CallFromOutside(int node);
  void CallByName(int node);
  size_t NewCall(std::string who, absl::Duration timeout);
  static Payload Request(size_t number);
  // `after_deadline`: by the callee's clock and what it knows of the caller's time.
  void OnRun(size_t number, const ServerActor& server, absl::Duration after_deadline);
  std::function<void(absl::StatusOr<Payload>, Pid)> AnswerOf(size_t number);
  void OnAnswer(size_t number, const absl::StatusOr<Payload>& answer);
  absl::Duration SomeTimeout();

  std::vector<Call> calls_;
};

}  // namespace banyan::sim
