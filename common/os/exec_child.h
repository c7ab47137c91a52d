#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <sys/types.h>

#include "common/os/child_process.h"
#include "common/os/unique_fd.h"

namespace banyan {

struct StartedChild {
  pid_t pid = 0;
  UniqueFd pidfd;
};

// Forks and runs the program; returns when exec has succeeded or failed. The calling thread must
// live as long as the program shall. Errors as ProcessSpawner::Spawn.
absl::StatusOr<StartedChild> StartChild(const ChildSpawn& spawn);

}  // namespace banyan
