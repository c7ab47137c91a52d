// A reply as the result of a cast. Must not compile: results are typed.
#include "server/behaviours/gen_server.h"
#include "server/behaviours/module.h"

namespace {

using namespace banyan;  // NOLINT

class Wrong : public GenServer {
  Task<InitResult> Init(std::vector<Payload>) override { return Ok(); }
  Task<CallResult> HandleCall(Payload request, CallFrom) override { return Reply(request); }
  Task<Result> HandleCast(Payload request) override { return Reply(request); }
};

}  // namespace

int main() {
  Modules m;
  m.Add<Wrong>("wrong");
}
