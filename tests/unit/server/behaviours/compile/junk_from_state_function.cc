// A state function that returns no result. Must not compile: results are typed.
#include "server/behaviours/gen_statem.h"
#include "server/behaviours/module.h"

namespace {

using namespace banyan;  // NOLINT

class Wrong : public GenStatem<int> {
  Task<InitResult> Init(std::vector<Payload>) override { return Ok(1); }
  Mode CallbackMode() override { return HandleEvents(&Wrong::HandleEvent); }
  Task<Result> HandleEvent(const Event& e, const int&) { return e.content(); }
};

}  // namespace

int main() {
  Modules m;
  m.Add<Wrong>("wrong");
}
