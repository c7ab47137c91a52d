// A state machine of each callback mode, with the mandatory callbacks only. Compiles.
#include "server/behaviours/gen_statem.h"
#include "server/behaviours/module.h"

namespace {

using namespace banyan;  // NOLINT: a test of names as users write them

enum class Lock { kLocked, kOpen };

class Door : public GenStatem<Lock> {
  Task<InitResult> Init(std::vector<Payload>) override { return Ok(Lock::kLocked); }
  Mode CallbackMode() override {
    return StateFunctions({{Lock::kLocked, &Door::Locked}, {Lock::kOpen, &Door::Open}});
  }
  Task<Result> Locked(const Event& e) {
    if (e.is_call()) return KeepState().Postpone();
    return NextState(Lock::kOpen).StateTimeout(absl::Seconds(10));
  }
  Task<Result> Open(const Event& e) {
    if (e.is_call()) co_return Stop().Reply(e.from(), e.content());
    co_await self().Sleep(absl::Seconds(1));
    co_return NextState(Lock::kLocked);
  }
};

// A state of any type that can be compared, and data of its own.
struct Position {
  int x = 0;
  friend bool operator==(const Position&, const Position&) = default;
};
class Walker : public GenStatem<Position, std::string> {
  Task<InitResult> Init(std::vector<Payload>) override { return Ok({.x = 1}, "data").Timeout({}); }
  Mode CallbackMode() override { return HandleEvents(&Walker::HandleEvent).StateEnter(); }
  Task<Result> HandleEvent(const Event& e, const Position& at) {
    data() += e.TypeText();
    return NextState(Position{at.x + 1});
  }
};

void Register(Modules* m) { m->Add<Door>("door").Add<Walker>("walker"); }

}  // namespace

int main() {
  Modules m;
  Register(&m);
}
