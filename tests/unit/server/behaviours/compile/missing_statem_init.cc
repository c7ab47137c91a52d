// A state machine without Init. Must not compile.
#include "server/behaviours/gen_statem.h"
#include "server/behaviours/module.h"

namespace {

using namespace banyan;  // NOLINT

class Incomplete : public GenStatem<int> {
  Mode CallbackMode() override { return HandleEvents(&Incomplete::HandleEvent); }
  Task<Result> HandleEvent(const Event&, const int&) { return KeepState(); }
};

}  // namespace

int main() {
  Modules m;
  m.Add<Incomplete>("incomplete");
}
