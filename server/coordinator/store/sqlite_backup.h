#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_backup;

namespace banyan {

// Copies a database through its own connection, the only one that its exclusive lock lets in, some
// pages at a time. No transaction may be open on the source during any call; between calls there
// may be: SQLite carries their changes over. Destroyed before Finish it leaves nothing behind.
class BackupCopy {
 public:
  explicit BackupCopy(std::string path) : path_(std::move(path)), partial_(path_ + ".partial") {}
  ~BackupCopy();
  BackupCopy(const BackupCopy&) = delete;
  BackupCopy& operator=(const BackupCopy&) = delete;

  absl::Status Start(sqlite3* source);
  absl::StatusOr<bool> Step();  // true: all pages are copied
  // Makes the copy durable under its final name.
  absl::Status Finish();

 private:
  absl::Status Error(int rc, const char* what);

  const std::string path_;
  const std::string partial_;
  sqlite3* target_ = nullptr;
  sqlite3_backup* backup_ = nullptr;
};

}  // namespace banyan
