// A state machine without CallbackMode. Must not compile.
#include "server/behaviours/gen_statem.h"
#include "server/behaviours/module.h"

namespace {

using namespace banyan;  // NOLINT

class Incomplete : public GenStatem<int> {
  Task<InitResult> Init(std::vector<Payload>) override { return Ok(1); }
};

}  // namespace

int main() {
  Modules m;
  m.Add<Incomplete>("incomplete");
}
