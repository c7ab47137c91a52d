// Compares servers with OTP's own gen_server on random scripts:
//   server_diff ERL_SOURCE [FIRST_SEED [COUNT]]
// Without numbers: 1000 from seed 1, or what BANYAN_SEED and BANYAN_SEEDS say. Prints the smallest
// script found that differs, with both traces; exit status 1 then.
#include <functional>
#include <vector>

#include "diff.h"
#include "script.h"

namespace banyan::otp_diff {
namespace {

using Cut = std::function<void(Script*)>;

// What can be left out of the callback that `find` finds.
void Cuts(const Callback& c, const std::function<Callback&(Script*)>& find, std::vector<Cut>* out) {
  for (size_t i = c.actions.size(); i-- > 0;) {
    out->push_back(Without<Script>(i, [find](Script* s) -> auto& { return find(s).actions; }));
  }
  if (c.timeout) out->push_back([find](Script* s) { find(s).timeout = false; });
  if (c.after.empty()) return;
  out->push_back([find](Script* s) { find(s).after.clear(); });
  Cuts(c.after[0], [find](Script* s) -> Callback& { return find(s).after[0]; }, out);
}

std::vector<Cut> AllCuts(const Script& script) {
  std::vector<Cut> cuts;
  for (size_t i = script.steps.size(); i-- > 0;) {
    cuts.push_back(Without<Script>(i, [](Script* s) -> auto& { return s->steps; }));
    Cuts(
        script.steps[i].callback, [i](Script* s) -> Callback& { return s->steps[i].callback; },
        &cuts);
  }
  for (size_t i = script.others.size(); i-- > 0;) {
    cuts.push_back(Without<Script>(i, [](Script* s) -> auto& { return s->others; }));
    Cuts(script.others[i], [i](Script* s) -> Callback& { return s->others[i]; }, &cuts);
  }
  Cuts(script.init, [](Script* s) -> Callback& { return s->init; }, &cuts);
  Cuts(script.terminate, [](Script* s) -> Callback& { return s->terminate; }, &cuts);
  if (script.terminate.result != Callback::Result::kNoReply) {
    cuts.push_back([](Script* s) { s->terminate.result = Callback::Result::kNoReply; });
  }
  return cuts;
}

}  // namespace
}  // namespace banyan::otp_diff

int main(int argc, char** argv) {
  using namespace banyan::otp_diff;
  return Compare<Script>(argc, argv, 1000, {Generate, ToErlang, RunOnServer, {}, AllCuts});
}
