#pragma once

#include <string_view>

#include "server/behaviours/module.h"

namespace banyan::sim {

class SimCluster;

// Something that goes on in a simulated cluster beside the children of its supervisors (links,
// monitors, calls, names, groups), with the checker of the invariants that it is about.
//
// All methods run in the simulation's one thread, between events. What a workload finds wrong it
// says with cluster.history().Violation("INV-9: ..."), rare paths that it saw with
// cluster.history().Mark("..."). Its choices come from cluster.Fork(name()), so that one workload
// more or less does not change what the others and the faults do.
//
//   AddModules for each life of each node, before it starts
//   Start once, when all nodes have joined; faults begin after it
//   OnNodeStarted / OnNodeEnding for each life of a node, OnSessionFault for some faults, from then
//   on StopLoad once, when the faults are over: from here on nothing new is begun AtQuiescence
//   once, when the cluster has come to rest; violations found there end the run
class Workload {
 public:
  virtual ~Workload() = default;
  virtual std::string_view name() const = 0;
  virtual void AddModules(int node, Modules* modules) {}
  virtual void Start(SimCluster& cluster) {}
  // The process of node `i` was made; it has not joined yet.
  virtual void OnNodeStarted(int i) {}
  // The process of node `i` is about to be destroyed (kill -9, or the end of an orderly stop).
  virtual void OnNodeEnding(int i) {}
  // The session between the two has just been lost, or at one end only: a good moment to want one.
  virtual void OnSessionFault(int a, int b) {}
  virtual void StopLoad() {}
  // False: children of others may be given up, rightly, so they are not judged at the end.
  virtual bool KeepsChildren() const { return true; }
  virtual void AtQuiescence() {}
};

}  // namespace banyan::sim
