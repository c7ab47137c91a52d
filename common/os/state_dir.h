#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace banyan {

// Where a node or coordinator called `name` keeps its state unless told otherwise:
// /var/lib/banyan/NAME as root, else $XDG_STATE_HOME/banyan/NAME, else ~/.local/state/banyan/NAME.
// INVALID_ARGUMENT for a name that is not a single path component; FAILED_PRECONDITION without a
// home.
absl::StatusOr<std::string> DefaultStateDir(std::string_view name);

struct StateDir {
  std::string path;        // without a trailing slash
  std::string machine_id;  // 32 hex digits, made at random with the folder
  std::string boot_id;     // of the running kernel

  std::string File(std::string_view name) const { return path + "/" + std::string(name); }
};

// Creates the folder (mode 0700) and its machine id if needed. Does not lock it: see FileLock.
absl::StatusOr<StateDir> OpenStateDir(const std::string& path);

}  // namespace banyan
