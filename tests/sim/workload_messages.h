#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/workload_actors.h"

namespace banyan::sim {

// Processes send each other numbered messages, casts and exit signals, small and large.
//
// INV-13: what one process sends another arrives in order and once, also over several sessions;
// something is missing only where a session has ended or none came about.
class MessageWorkload : public ActorWorkload {
 public:
  std::string_view name() const override { return "messages"; }

 private:
  // From one process to another, by the pid that it was sent to.
  struct Numbers {
    Actor* from = nullptr;
    Actor* to = nullptr;
    Pid to_pid;
    uint64_t sent = 0, received = 0;
    // Sessions closed at the sender's node when the last one received was sent, and opened at the
    // receiver's when it came; of the first one sent, until then.
    uint64_t closed = 0, opened = 0;
  };

  void OnLife(int node) override;
  void CheckAtRest() override;
  Task<ExitReason> Run(Self& self, Actor* me);
  void SendSome(Self& self, Actor* me);
  void OnMessage(Actor* me, const Message& message);
  bool MayHaveLost(const Numbers& n);

  static std::string Describe(const Numbers& n);

  std::vector<Numbers> pairs_;
  std::map<std::pair<const Actor*, Pid>, size_t> index_;
};

}  // namespace banyan::sim
