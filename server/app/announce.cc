#include "server/app/announce.h"

#include <cstdio>

#include "fmt/format.h"
#include <unistd.h>

#include "common/os/filesystem.h"

namespace banyan::app {

absl::Status Announce(const Announcement& a) {
  fmt::print("banyand {}: serving on {}, pid {}, state in {}{}{}\n", a.what, a.address, getpid(),
             a.state_dir, a.detail.empty() ? "" : ", ", a.detail);
  fmt::print("try: banyan --addr {} status\n", a.address);
  std::fflush(stdout);
  if (a.port_file.empty()) return absl::OkStatus();
  return WriteFileAtomically(a.port_file, a.address + "\n");
}

}  // namespace banyan::app
