#include "common/os/file_lock.h"

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>

#include "fmt/format.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mutex.h"
#include "common/os/filesystem.h"

namespace banyan {
namespace {

Mutex held_mu;
// Record locks do not exclude a second lock of the same process; this does.
std::set<std::pair<dev_t, ino_t>>& Held() ABSL_EXCLUSIVE_LOCKS_REQUIRED(held_mu) {
  static auto* held = new std::set<std::pair<dev_t, ino_t>>;
  return *held;
}

std::string ProcessName(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/comm", pid));
  std::string name;
  std::getline(file, name);
  return name.empty() ? "?" : name;
}

absl::Status InUse(const std::string& path, pid_t pid) {
  return absl::FailedPreconditionError(
      fmt::format("{} is in use by process {} ({}); stop it, or use another --state-dir", path, pid,
                  ProcessName(pid)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileLock>> FileLock::Acquire(const std::string& path) {
  BANYAN_RETURN_IF_ERROR(CheckLocalFilesystem(path));
  MutexLock lock(&held_mu);
  struct stat st;
  // Before opening: closing a second descriptor would drop the lock that this process has.
  if (stat(path.c_str(), &st) == 0 && Held().contains({st.st_dev, st.st_ino})) {
    return InUse(path, getpid());
  }
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid() || fstat(fd.get(), &st) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot open the lock file {}", path));
  }
  struct flock range = {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  if (fcntl(fd.get(), F_SETLK, &range) != 0) {
    const int error = errno;
    if (error != EACCES && error != EAGAIN) {
      return absl::ErrnoToStatus(error, fmt::format("cannot lock {}", path));
    }
    if (fcntl(fd.get(), F_GETLK, &range) == 0 && range.l_type != F_UNLCK) {
      return InUse(path, range.l_pid);
    }
    return absl::FailedPreconditionError(fmt::format("{} is in use by another process", path));
  }
  Held().insert({st.st_dev, st.st_ino});
  return std::unique_ptr<FileLock>(new FileLock(std::move(fd), {st.st_dev, st.st_ino}));
}

FileLock::~FileLock() {
  MutexLock lock(&held_mu);
  fd_.Reset();
  Held().erase(id_);
}

std::string DescribeLockHolder(const std::string& path) {
  const std::string unknown = "in use by another process";
  struct stat st;
  if (stat(path.c_str(), &st) != 0) return unknown;
  const std::string file =
      fmt::format(" {:02x}:{:02x}:{} ", major(st.st_dev), minor(st.st_dev), st.st_ino);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    if (line.find(file) == std::string::npos) continue;
    // "1: POSIX  ADVISORY  WRITE 4711 fe:00:123 0 EOF"
    std::istringstream fields(line);
    std::string number, kind, mode, access;
    pid_t pid = 0;
    if (fields >> number >> kind >> mode >> access >> pid && pid > 0) {
      return fmt::format("in use by process {} ({})", pid, ProcessName(pid));
    }
  }
  return unknown;
}

}  // namespace banyan
