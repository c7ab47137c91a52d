#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/sim_cluster.h"
#include "tests/sim/workload.h"

namespace banyan::sim {

// Children that crash the node under them, in the middle of a turn (cluster.md 6.5, F-24).
//
// In half of the runs the dying process writes down whose code it was: then each crash is an exit
// of that child, its supervisor gives up as after any other exits, and no other child gets a mark.
// In the others nobody knows: then marks on whoever was young must stop it after three nodes, and
// others may be given up with it.
class CrashWorkload : public Workload {
 public:
  std::string_view name() const override { return "segfaults"; }
  void AddModules(int node, Modules* modules) override;
  void Start(SimCluster& cluster) override;
  void StopLoad() override { quiet_ = true; }
  bool KeepsChildren() const override { return told_; }
  void AtQuiescence() override;

 private:
  class Bomb;
  struct CrashOf {
    uint32_t node_id = 0, incarnation = 0;
    Instant started;  // the child
    Instant at;
    bool counts = false;  // the coordinator knew in time
  };

  void Explode(int node, const std::vector<std::string>& path, uint64_t fence, Instant started);
  void Look();
  uint64_t Counted() const;
  void CheckInnocents();
  uint64_t Limit() const;

  SimCluster* cluster_ = nullptr;
  std::unique_ptr<Random> random_;
  bool told_ = false;  // whose code it was
  bool quiet_ = false;
  uint32_t intensity_ = 1;
  std::vector<CrashOf> crashes_;
  std::shared_ptr<bool> live_ = std::make_shared<bool>(true);
};

}  // namespace banyan::sim
