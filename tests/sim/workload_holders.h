#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "tests/sim/workload_actors.h"

namespace banyan::sim {

// Processes that hold names exclusively, and run all the time.
//
// INV-14: while who has such a name runs, nobody runs who had it before: a holder stands still
// without a lease, and does not go on after its node was declared dead.
class HolderWorkload : public ActorWorkload {
 public:
  std::string_view name() const override { return "holders"; }

 private:
  struct Holder : Actor {
    std::map<std::string, uint64_t> held;  // by name: the version
    std::map<std::string, Instant> asked;
  };

  void OnLife(int node) override;
  void CheckAtRest() override;
  Task<ExitReason> Run(Self& self, Holder* me);
  void Turn(Holder* me);
  void Act(Holder* me);

  // The newest registration under which somebody has run.
  std::map<std::string, uint64_t> newest_;
};

}  // namespace banyan::sim
