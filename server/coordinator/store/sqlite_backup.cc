#include "server/coordinator/store/sqlite_backup.h"

#include <cerrno>
#include <cstring>

#include "fmt/format.h"
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/os/filesystem.h"

namespace banyan {
namespace {
constexpr int kPagesPerStep = 256;  // 1 MiB: a few milliseconds
}

BackupCopy::~BackupCopy() {
  if (backup_ != nullptr) sqlite3_backup_finish(backup_);
  if (target_ != nullptr) {
    sqlite3_close(target_);
    unlink(partial_.c_str());
    unlink((partial_ + "-journal").c_str());
  }
}

absl::Status BackupCopy::Start(sqlite3* source) {
  struct stat st;
  if (stat(path_.c_str(), &st) == 0) {
    return absl::AlreadyExistsError(fmt::format("backup: {} exists; name a new file", path_));
  }
  unlink(partial_.c_str());  // of a backup that a crash cut off
  const int rc = sqlite3_open_v2(partial_.c_str(), &target_,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  if (rc != SQLITE_OK) return Error(rc, "create");
  backup_ = sqlite3_backup_init(target_, "main", source, "main");
  if (backup_ == nullptr) return Error(sqlite3_errcode(target_), "begin");
  return absl::OkStatus();
}

absl::StatusOr<bool> BackupCopy::Step() {
  const int rc = sqlite3_backup_step(backup_, kPagesPerStep);
  if (rc == SQLITE_DONE) return true;
  if (rc == SQLITE_OK) return false;
  return Error(rc, "copy");
}

absl::Status BackupCopy::Finish() {
  int rc = sqlite3_backup_finish(backup_);
  backup_ = nullptr;
  if (rc != SQLITE_OK) return Error(rc, "finish");
  sqlite3_close(target_);
  target_ = nullptr;
  BANYAN_RETURN_IF_ERROR(SyncFile(partial_));
  if (rename(partial_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    unlink(partial_.c_str());
    return absl::ErrnoToStatus(error, fmt::format("backup: cannot name it {}", path_));
  }
  return SyncDirectoryOf(path_);
}

absl::Status BackupCopy::Error(int rc, const char* what) {
  const std::string text = fmt::format("backup to {}: {}: {}", path_, what,
                                       target_ ? sqlite3_errmsg(target_) : sqlite3_errstr(rc));
  if ((rc & 0xFF) == SQLITE_FULL) return absl::ResourceExhaustedError(text);
  if ((rc & 0xFF) == SQLITE_CANTOPEN) {
    return absl::FailedPreconditionError(text +
                                         "; check that the folder exists and can be written");
  }
  return absl::InternalError(text);
}

}  // namespace banyan
