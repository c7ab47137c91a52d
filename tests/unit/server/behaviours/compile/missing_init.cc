// A gen_server without Init. Must not compile.
#include "server/behaviours/gen_server.h"
#include "server/behaviours/module.h"

namespace {

using namespace banyan;  // NOLINT

class Incomplete : public GenServer {
  Task<CallResult> HandleCall(Payload request, CallFrom) override { return Reply(request); }
  Task<Result> HandleCast(Payload) override { return NoReply(); }
};

}  // namespace

int main() {
  Modules m;
  m.Add<Incomplete>("incomplete");
}
