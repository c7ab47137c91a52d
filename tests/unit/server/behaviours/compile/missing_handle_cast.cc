// A gen_server without HandleCast. Must not compile.
#include "server/behaviours/gen_server.h"
#include "server/behaviours/module.h"

namespace {

using namespace banyan;  // NOLINT

class Incomplete : public GenServer {
  Task<InitResult> Init(std::vector<Payload>) override { return Ok(); }
  Task<CallResult> HandleCall(Payload request, CallFrom) override { return Reply(request); }
};

}  // namespace

int main() {
  Modules m;
  m.Add<Incomplete>("incomplete");
}
