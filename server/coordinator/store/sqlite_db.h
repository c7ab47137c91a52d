#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "server/coordinator/store/store.h"

struct sqlite3;
struct sqlite3_stmt;

namespace banyan {

// The one SQLite connection of a SqliteStore with its prepared statements. Not thread-safe.
//
// Its errors: RESOURCE_EXHAUSTED (STORE_FULL) for a full disk; FAILED_PRECONDITION for a file that
// is locked or of another schema; DATA_LOSS for a damaged one; INTERNAL for every other, which
// after a write means that the state on the disk is unknown.
class SqliteDb {
 public:
  // Opens or creates the file, locks it for good, checks it and brings its schema up.
  static absl::StatusOr<std::unique_ptr<SqliteDb>> Open(const std::string& path,
                                                        uint64_t file_bytes_max);
  ~SqliteDb();
  SqliteDb(const SqliteDb&) = delete;
  SqliteDb& operator=(const SqliteDb&) = delete;

  absl::Status Begin();
  absl::Status Put(std::string_view key, std::string_view value);
  absl::Status Delete(std::string_view key);
  // Durable when it returns OK.
  absl::Status CommitWithRevision(uint64_t revision);
  void Rollback();
  // Moves what is in the log into the file if there is much of it. OK too if there is no room: it
  // is tried again. Any other error: INTERNAL, as of a write.
  absl::Status CheckpointIfDue();

  absl::StatusOr<std::vector<KeyValue>> Range(std::string_view prefix);
  absl::StatusOr<std::string> GetMeta(const std::string& name);  // empty: absent
  absl::Status SetMeta(const std::string& name, std::string_view value);

  sqlite3* handle() { return db_; }

 private:
  explicit SqliteDb(std::string path) : path_(std::move(path)) {}
  absl::Status Configure(uint64_t file_bytes_max);
  absl::Status TakeLock();
  absl::Status Check();
  absl::Status CreateSchema();
  absl::Status Exec(const char* sql);
  absl::Status Prepare(const char* sql, sqlite3_stmt** out);
  absl::StatusOr<std::string> FirstValue(const char* sql);
  absl::Status RunOnce(sqlite3_stmt* stmt);
  absl::Status ToStatus(int rc, std::string_view what);

  const std::string path_;
  int log_pages_ = 0;  // in the log after the last commit
  sqlite3* db_ = nullptr;
  sqlite3_stmt* put_ = nullptr;
  sqlite3_stmt* delete_ = nullptr;
  sqlite3_stmt* range_ = nullptr;
  sqlite3_stmt* range_open_ = nullptr;  // without an upper bound
  sqlite3_stmt* get_meta_ = nullptr;
  sqlite3_stmt* set_meta_ = nullptr;
};

}  // namespace banyan
