#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <sys/types.h>

#include "common/os/unique_fd.h"

namespace banyan {

// An exclusive POSIX record lock on a file, held by this process until destroyed or until it ends,
// however it ends. A forked child does not have it: take it after the fork.
// The file stays when the lock is given back. Nothing else in the process may open and close it:
// the kernel drops a process' record locks with any of its descriptors.
class FileLock {
 public:
  // Creates the file if needed. FAILED_PRECONDITION: on a network file system, or held by another
  // process (named) or already by this one.
  static absl::StatusOr<std::unique_ptr<FileLock>> Acquire(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  using FileId = std::pair<dev_t, ino_t>;
  FileLock(UniqueFd fd, FileId id) : fd_(std::move(fd)), id_(id) {}

  UniqueFd fd_;
  const FileId id_;
};

// "in use by process 4711 (banyand)", as far as that can be told. Does not open the file.
std::string DescribeLockHolder(const std::string& path);

}  // namespace banyan
