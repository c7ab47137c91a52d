// Compares supervisors with OTP's own on random scenarios:
//   otp_diff ERL_SOURCE [FIRST_SEED [COUNT]]
// Without numbers: 1000 from seed 1, or what BANYAN_SEED and BANYAN_SEEDS say.
// Prints the smallest scenario found that differs, with both traces; exit status 1 then.
#include <functional>
#include <vector>

#include "diff.h"
#include "scenario.h"

namespace banyan::otp_diff {
namespace {

using Change = std::function<void(Scenario*)>;

// Everything that can be left out of the tree that `find` finds in a scenario.
void Cuts(const Tree& tree, const std::function<Tree*(Scenario*)>& find, std::vector<Change>* out) {
  for (size_t i = 0; i < tree.children.size(); ++i) {
    const auto child = [find, i](Scenario* s) { return &find(s)->children[i]; };
    if (tree.strategy != Strategy::kSimpleOneForOne) {
      out->push_back([find, i](Scenario* s) {
        auto& children = find(s)->children;
        children.erase(children.begin() + static_cast<long>(i));
      });
    }
    if (!tree.children[i].outcomes.empty()) {
      out->push_back([child](Scenario* s) { child(s)->outcomes.clear(); });
    }
    for (const Tree& nested : tree.children[i].tree) {
      Cuts(nested, [child](Scenario* s) { return &child(s)->tree[0]; }, out);
    }
  }
}

std::vector<Change> AllCuts(const Scenario& s) {
  std::vector<Change> changes;
  for (size_t i = s.steps.size(); i-- > 0;) {
    changes.push_back(
        [i](Scenario* x) { x->steps.erase(x->steps.begin() + static_cast<long>(i)); });
    for (size_t j = 0; j < s.steps[i].queued.size(); ++j) {
      changes.push_back([i, j](Scenario* x) {
        x->steps[i].queued.erase(x->steps[i].queued.begin() + static_cast<long>(j));
      });
    }
    if (!s.steps[i].child.outcomes.empty())
      changes.push_back([i](Scenario* x) { x->steps[i].child.outcomes.clear(); });
    for (const Tree& nested : s.steps[i].child.tree) {
      Cuts(nested, [i](Scenario* x) { return &x->steps[i].child.tree[0]; }, &changes);
    }
  }
  Cuts(s.top, [](Scenario* x) { return &x->top; }, &changes);
  return changes;
}

}  // namespace
}  // namespace banyan::otp_diff

int main(int argc, char** argv) {
  using namespace banyan::otp_diff;
  return Compare<Scenario>(argc, argv, 1000,
                           {Generate, ToErlang, RunOnActors, Canonicalize, AllCuts});
}
