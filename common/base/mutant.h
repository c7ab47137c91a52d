#pragma once

#include <string_view>

namespace banyan {

// Bugs that are planted on purpose, one at a time, so that the simulator can show that it finds
// them (docs/simulator.md): `if (Mutant("no-session-check") || session == session_)`. Only the
// simulator's own build has them; in all others this is a constant and costs nothing.
#ifdef BANYAN_MUTANTS
// Of this process; set before anything else runs.
inline std::string_view active_mutant;
inline bool Mutant(std::string_view name) {
  return !active_mutant.empty() && name == active_mutant;
}
#else
constexpr bool Mutant(std::string_view) { return false; }
#endif

}  // namespace banyan
