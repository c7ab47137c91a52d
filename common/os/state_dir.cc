#include "common/os/state_dir.h"

#include <cstdlib>
#include <fstream>

#include "fmt/format.h"
#include <unistd.h>

#include "common/base/check.h"
#include "common/os/filesystem.h"
#include "common/os/random_bytes.h"

namespace banyan {
namespace {

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

bool IsMachineId(const std::string& id) {
  return id.size() == 32 && id.find_first_not_of("0123456789abcdef") == std::string::npos;
}

absl::StatusOr<std::string> EnsureMachineId(const std::string& path) {
  std::string id = FirstLine(path);
  if (IsMachineId(id)) return id;
  if (access(path.c_str(), F_OK) == 0) {
    return absl::DataLossError(fmt::format(
        "{} holds no machine id (32 hex digits); remove the file to get a new one", path));
  }
  id = ToHex(RandomBytes(16));
  BANYAN_RETURN_IF_ERROR(WriteFileAtomically(path, id + "\n"));
  return id;
}

}  // namespace

absl::StatusOr<std::string> DefaultStateDir(std::string_view name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos ||
      name.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError(fmt::format(
        "name: '{}' cannot name a state folder; use letters, digits, '.', '-', '_'", name));
  }
  if (geteuid() == 0) return fmt::format("/var/lib/banyan/{}", name);
  const char* xdg = std::getenv("XDG_STATE_HOME");
  if (xdg != nullptr && xdg[0] == '/') return fmt::format("{}/banyan/{}", xdg, name);
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') {
    return fmt::format("{}/.local/state/banyan/{}", home, name);
  }
  return absl::FailedPreconditionError(
      "neither XDG_STATE_HOME nor HOME names a folder; give --state-dir");
}

absl::StatusOr<StateDir> OpenStateDir(const std::string& path) {
  if (path.empty()) return absl::InvalidArgumentError("state-dir: is empty; name a folder");
  StateDir dir{.path = path};
  while (dir.path.size() > 1 && dir.path.back() == '/') dir.path.pop_back();
  BANYAN_RETURN_IF_ERROR(CreateDirectories(dir.path));
  BANYAN_ASSIGN_OR_RETURN(dir.machine_id, EnsureMachineId(dir.File("machine-id")));
  dir.boot_id = FirstLine("/proc/sys/kernel/random/boot_id");
  return dir;
}

}  // namespace banyan
