#include "tests/sim/workload.h"

namespace banyan::sim {

std::vector<std::unique_ptr<Workload>> MakeWorkloads() { return {}; }

}  // namespace banyan::sim
