#include "common/os/filesystem.h"

#include <cerrno>
#include <string_view>

#include "fmt/format.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/os/unique_fd.h"

namespace banyan {
namespace {

// Magic numbers of statfs(2); not all are in one header.
std::string_view NetworkFilesystem(unsigned long magic) {
  switch (magic & 0xFFFFFFFF) {
    case 0x6969:
      return "NFS";
    case 0x517B:
      return "SMB";
    case 0xFF534D42:
      return "CIFS";
    case 0xFE534D42:
      return "SMB2";
    case 0x5346414F:
      return "AFS";
    case 0x73757245:
      return "Coda";
    case 0x00C36400:
      return "Ceph";
    default:
      return {};
  }
}

absl::Status SyncPath(const std::string& path, int flags) {
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC));
  if (!fd.valid() || fsync(fd.get()) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot sync {}", path));
  }
  return absl::OkStatus();
}

}  // namespace

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status CheckLocalFilesystem(const std::string& path) {
  struct statfs fs;
  if (statfs(path.c_str(), &fs) != 0 && statfs(DirectoryOf(path).c_str(), &fs) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot look at {}", path));
  }
  const std::string_view network = NetworkFilesystem(static_cast<unsigned long>(fs.f_type));
  if (network.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "{} is on a network file system ({}), where locks and fsync cannot be trusted; put "
      "it on a local disk (--state-dir)",
      path, network));
}

absl::Status CreateDirectories(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (!part.empty() && mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return absl::ErrnoToStatus(errno, fmt::format("cannot create the folder {}", part));
    }
    if (end == std::string::npos) break;
  }
  struct stat st;
  if (stat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) {
    return absl::FailedPreconditionError(fmt::format("{} is not a folder", path));
  }
  return absl::OkStatus();
}

absl::Status WriteFileAtomically(const std::string& path, const std::string& content) {
  const std::string partial = path + ".partial";
  UniqueFd fd(open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, fmt::format("cannot create {}", partial));
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = write(fd.get(), content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, fmt::format("cannot write {}", partial));
    done += static_cast<size_t>(n);
  }
  if (fsync(fd.get()) != 0)
    return absl::ErrnoToStatus(errno, fmt::format("cannot sync {}", partial));
  if (rename(partial.c_str(), path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("cannot create {}", path));
  }
  return SyncDirectoryOf(path);
}

absl::Status SyncFile(const std::string& path) { return SyncPath(path, O_RDWR); }

absl::Status SyncDirectoryOf(const std::string& path) {
  return SyncPath(DirectoryOf(path), O_RDONLY | O_DIRECTORY);
}

}  // namespace banyan
