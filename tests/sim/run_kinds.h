#pragma once

#include <memory>

#include "server/cluster/options.h"
#include "server/coordinator/options.h"
#include "tests/sim/run.h"
#include "tests/sim/workload.h"

namespace banyan::sim {

// What the kinds of runs differ in.

// Limits that are reached, and batches that are split, where a run has more than others.
PeerOptions SessionLimits(const RunOptions& options);
void Tighten(const RunOptions& options, CoordinatorOptions* o);
// What goes on beside the children, where something does.
std::unique_ptr<Workload> MakeWorkload(const RunOptions& options);

}  // namespace banyan::sim
