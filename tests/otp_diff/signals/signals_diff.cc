// Compares links, monitors, exits and names with OTP's own on random scripts:
//   signals_diff ERL_SOURCE [FIRST_SEED [COUNT]]
// Without numbers: 1000 from seed 1, or what BANYAN_SEED and BANYAN_SEEDS say. Prints the smallest
// script found that differs, with both traces; exit status 1 then.
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "diff.h"
#include "script.h"

namespace banyan::otp_diff {
namespace {

std::vector<std::function<void(Script*)>> AllCuts(const Script& script) {
  std::vector<std::function<void(Script*)>> cuts;
  for (size_t i = script.batches.size(); i-- > 0;) {
    cuts.push_back(Without<Script>(i, [](Script* s) -> auto& { return s->batches; }));
    for (size_t j = script.batches[i].ops.size(); j-- > 0;) {
      cuts.push_back(Without<Script>(j, [i](Script* s) -> auto& { return s->batches[i].ops; }));
    }
  }
  // Only the last: letters are places.
  if (script.traps.size() > 2) cuts.push_back([](Script* s) { s->traps.pop_back(); });
  return cuts;
}

// The monitors of one process by another fire in any order.
void Canonicalize(const Script&, Trace* trace) {
  for (auto it = trace->begin(); it != trace->end();) {
    const size_t down = it->find(":DOWN ");
    auto end = it + 1;
    if (down != std::string::npos) {
      const auto alike = [&](const std::string& line) {
        return line.starts_with(it->substr(0, down + 6)) &&
               line.ends_with(it->substr(it->rfind(' ')));
      };
      while (end != trace->end() && alike(*end)) ++end;
      std::sort(it, end);
    }
    it = end;
  }
}

}  // namespace
}  // namespace banyan::otp_diff

int main(int argc, char** argv) {
  using namespace banyan::otp_diff;
  return Compare<Script>(argc, argv, 1000,
                         {Generate, ToErlang, RunOnProcesses, Canonicalize, AllCuts});
}
