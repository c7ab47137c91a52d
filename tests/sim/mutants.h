#pragma once

#include <string>
#include <vector>

namespace banyan::sim {

// A planted bug: see common/base/mutant.h.
struct MutantInfo {
  std::string name;
  std::string what;
};
// Empty in builds without them.
const std::vector<MutantInfo>& Mutants();
// False: there is none of that name. Before the first run.
bool Activate(const std::string& mutant);

}  // namespace banyan::sim
