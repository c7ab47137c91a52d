// A module that has the mandatory callbacks of its behaviours, and none of the optional ones.
// Compiles.
#include "docs/sdk_example/job_queue.h"
#include "server/behaviours/gen_server.h"
#include "server/behaviours/module.h"

namespace {

using namespace banyan;  // NOLINT: a test of names as users write them

class Complete : public jobs::JobQueue {
  Task<absl::StatusOr<Payload>> HandleJob(Payload job) override { return job; }
  Verdict HandleFailure(const Payload&, const absl::Status&, int) override {
    return Verdict::kGiveUp;
  }
};

class Server : public GenServer {
  Task<InitResult> Init(std::vector<Payload>) override { return Ok(); }
  Task<CallResult> HandleCall(Payload request, CallFrom) override { return Reply(request); }
  Task<Result> HandleCast(Payload) override { return NoReply(); }
};

void Register(Modules* m) { m->Add<Complete>("complete").Add<Server>("server"); }

}  // namespace

int main() {
  Modules m;
  Register(&m);
}
