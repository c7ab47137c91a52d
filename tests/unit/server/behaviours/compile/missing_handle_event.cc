// An event handler without HandleEvent. Must not compile.
#include "server/behaviours/gen_event.h"

namespace {

using namespace banyan;  // NOLINT

class Incomplete : public EventHandler {
  Task<InitResult> Init(HandlerArgs) override { return Ok(); }
  Task<CallResult> HandleCall(Payload request) override { return NotHandled(request); }
};

}  // namespace

int main() {
  EventHandlers handlers;
  handlers.Add<Incomplete>("incomplete");
}
