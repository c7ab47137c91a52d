// A callback module over another type of state. Must not compile: a machine's modules share one.
#include "server/behaviours/gen_statem.h"
#include "server/behaviours/module.h"

namespace {

using namespace banyan;  // NOLINT

class Foreign : public StatemModule<bool> {
  Mode CallbackMode() override { return HandleEvents(&Foreign::HandleEvent); }
  Task<Result> HandleEvent(const Event&, const bool&) { return KeepState(); }
};

class Wrong : public GenStatem<int> {
  Task<InitResult> Init(std::vector<Payload>) override { return Ok(1); }
  Mode CallbackMode() override { return HandleEvents(&Wrong::HandleEvent); }
  Task<Result> HandleEvent(const Event&, const int&) {
    return KeepState().PushCallbackModule(std::make_unique<Foreign>());
  }
};

}  // namespace

int main() {
  Modules m;
  m.Add<Wrong>("wrong");
}
