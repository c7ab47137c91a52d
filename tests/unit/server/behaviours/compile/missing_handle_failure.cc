// A module of a custom behaviour that lacks a mandatory callback. Must not compile.
#include "docs/sdk_example/job_queue.h"
#include "server/behaviours/module.h"

namespace {

using namespace banyan;  // NOLINT

class Incomplete : public jobs::JobQueue {
  Task<absl::StatusOr<Payload>> HandleJob(Payload job) override { return job; }
};

}  // namespace

int main() {
  Modules m;
  m.Add<Incomplete>("incomplete");
}
