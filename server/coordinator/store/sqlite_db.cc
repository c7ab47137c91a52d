#include "server/coordinator/store/sqlite_db.h"

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "fmt/format.h"
#include <sqlite3.h>

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/os/file_lock.h"

namespace banyan {
namespace {

constexpr int kSchemaVersion = 1;
constexpr int kCheckpointPages = 1000;  // 4 MB of log

// The smallest string above all that begin with `prefix`; nullopt: there is none.
std::optional<std::string> UpperBound(std::string_view prefix) {
  std::string bound(prefix);
  while (!bound.empty() && static_cast<unsigned char>(bound.back()) == 0xFF) bound.pop_back();
  if (bound.empty()) return std::nullopt;
  bound.back() = static_cast<char>(static_cast<unsigned char>(bound.back()) + 1);
  return bound;
}

void BindKey(sqlite3_stmt* stmt, int index, std::string_view key) {
  // A null pointer would bind SQL NULL.
  sqlite3_bind_text64(stmt, index, key.empty() ? "" : key.data(), key.size(), SQLITE_STATIC,
                      SQLITE_UTF8);
}

void BindBlob(sqlite3_stmt* stmt, int index, std::string_view value) {
  sqlite3_bind_blob64(stmt, index, value.empty() ? "" : value.data(), value.size(), SQLITE_STATIC);
}

std::string Column(sqlite3_stmt* stmt, int index) {
  const void* data = sqlite3_column_blob(stmt, index);
  const int size = sqlite3_column_bytes(stmt, index);
  return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteDb>> SqliteDb::Open(const std::string& path,
                                                         uint64_t file_bytes_max) {
  auto db = std::unique_ptr<SqliteDb>(new SqliteDb(path));
  const int rc =
      sqlite3_open_v2(path.c_str(), &db->db_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr);
  if (rc != SQLITE_OK) return db->ToStatus(rc, "open");
  sqlite3_extended_result_codes(db->db_, 1);
  BANYAN_RETURN_IF_ERROR(db->Configure(file_bytes_max));
  BANYAN_RETURN_IF_ERROR(db->TakeLock());
  BANYAN_RETURN_IF_ERROR(db->Check());
  BANYAN_RETURN_IF_ERROR(db->CreateSchema());
  return db;
}

SqliteDb::~SqliteDb() {
  for (sqlite3_stmt* stmt : {put_, delete_, range_, range_open_, get_meta_, set_meta_}) {
    sqlite3_finalize(stmt);
  }
  sqlite3_close(db_);
}

absl::Status SqliteDb::Configure(uint64_t file_bytes_max) {
  // EXCLUSIVE before the first access: the log's index then stays in this process' memory and the
  // lock, once taken, is never given back.
  BANYAN_RETURN_IF_ERROR(Exec("PRAGMA locking_mode=EXCLUSIVE"));
  absl::StatusOr<std::string> mode = FirstValue("PRAGMA journal_mode=WAL");
  BANYAN_RETURN_IF_ERROR(mode.status());
  if (*mode != "wal") {
    return absl::FailedPreconditionError(
        fmt::format("store {}: cannot use a write-ahead log here (mode {})", path_, *mode));
  }
  // NORMAL may lose the last commits with power, and with them an epoch or a fence that was used.
  BANYAN_RETURN_IF_ERROR(Exec("PRAGMA synchronous=FULL"));
  BANYAN_RETURN_IF_ERROR(Exec("PRAGMA foreign_keys=ON"));
  // SQLite's own checkpoints would keep their errors to themselves; after a failed fsync the next
  // one may succeed although the pages are lost. This replaces them.
  sqlite3_wal_hook(
      db_,
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<SqliteDb*>(self)->log_pages_ = pages;
        return SQLITE_OK;
      },
      this);
  if (file_bytes_max == 0) return absl::OkStatus();
  absl::StatusOr<std::string> page = FirstValue("PRAGMA page_size");
  BANYAN_RETURN_IF_ERROR(page.status());
  const uint64_t pages = file_bytes_max / std::stoul(*page);
  return Exec(fmt::format("PRAGMA max_page_count={}", pages).c_str());
}

absl::Status SqliteDb::TakeLock() {
  // SQLite takes its lock at the first write; a second process shall fail now, not then.
  BANYAN_RETURN_IF_ERROR(Exec("BEGIN EXCLUSIVE"));
  return Exec("COMMIT");
}

absl::Status SqliteDb::Check() {
  absl::StatusOr<std::string> result = FirstValue("PRAGMA quick_check(1)");
  BANYAN_RETURN_IF_ERROR(result.status());
  if (*result == "ok") return absl::OkStatus();
  return absl::DataLossError(
      fmt::format("store {}: the file is damaged ({}); restore a backup with `banyand restore`",
                  path_, *result));
}

absl::Status SqliteDb::CreateSchema() {
  BANYAN_RETURN_IF_ERROR(Exec("BEGIN"));
  BANYAN_RETURN_IF_ERROR(Exec(
      "CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"));
  BANYAN_RETURN_IF_ERROR(Exec(
      "CREATE TABLE IF NOT EXISTS kv(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"));
  BANYAN_RETURN_IF_ERROR(
      Prepare("INSERT INTO kv VALUES(?1,?2) ON CONFLICT(key) DO UPDATE SET value=?2", &put_));
  BANYAN_RETURN_IF_ERROR(Prepare("DELETE FROM kv WHERE key=?1", &delete_));
  BANYAN_RETURN_IF_ERROR(
      Prepare("SELECT key,value FROM kv WHERE key>=?1 AND key<?2 ORDER BY key", &range_));
  BANYAN_RETURN_IF_ERROR(
      Prepare("SELECT key,value FROM kv WHERE key>=?1 ORDER BY key", &range_open_));
  BANYAN_RETURN_IF_ERROR(Prepare("SELECT value FROM meta WHERE name=?1", &get_meta_));
  BANYAN_RETURN_IF_ERROR(Prepare(
      "INSERT INTO meta VALUES(?1,?2) ON CONFLICT(name) DO UPDATE SET value=?2", &set_meta_));
  absl::StatusOr<std::string> version = GetMeta("schema_version");
  BANYAN_RETURN_IF_ERROR(version.status());
  if (version->empty()) {
    BANYAN_RETURN_IF_ERROR(SetMeta("schema_version", std::to_string(kSchemaVersion)));
  } else if (*version != std::to_string(kSchemaVersion)) {
    Rollback();
    return absl::FailedPreconditionError(fmt::format(
        "store {}: its schema version is {}, this release reads {}; run the release that "
        "wrote it, or a newer one",
        path_, *version, kSchemaVersion));
  }
  return Exec("COMMIT");
}

absl::Status SqliteDb::Begin() { return Exec("BEGIN IMMEDIATE"); }

absl::Status SqliteDb::Put(std::string_view key, std::string_view value) {
  BindKey(put_, 1, key);
  BindBlob(put_, 2, value);
  return RunOnce(put_);
}

absl::Status SqliteDb::Delete(std::string_view key) {
  BindKey(delete_, 1, key);
  return RunOnce(delete_);
}

absl::Status SqliteDb::CommitWithRevision(uint64_t revision) {
  BANYAN_RETURN_IF_ERROR(SetMeta("revision", std::to_string(revision)));
  return Exec("COMMIT");
}

absl::Status SqliteDb::CheckpointIfDue() {
  if (log_pages_ < kCheckpointPages) return absl::OkStatus();
  log_pages_ = 0;
  const int rc =
      sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  const absl::Status status = ToStatus(rc, "checkpoint");
  return absl::IsResourceExhausted(status) ? absl::OkStatus() : status;
}

void SqliteDb::Rollback() {
  // SQLite has already rolled back by itself after some errors.
  if (sqlite3_get_autocommit(db_) == 0) Exec("ROLLBACK").IgnoreError();
}

absl::StatusOr<std::vector<KeyValue>> SqliteDb::Range(std::string_view prefix) {
  const std::optional<std::string> bound = UpperBound(prefix);
  sqlite3_stmt* stmt = bound ? range_ : range_open_;
  BindKey(stmt, 1, prefix);
  if (bound) BindKey(stmt, 2, *bound);
  std::vector<KeyValue> out;
  int rc;
  while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    out.push_back({Column(stmt, 0), Column(stmt, 1)});
  }
  sqlite3_reset(stmt);
  sqlite3_clear_bindings(stmt);
  if (rc != SQLITE_DONE) return ToStatus(rc, "read");
  return out;
}

absl::StatusOr<std::string> SqliteDb::GetMeta(const std::string& name) {
  BindKey(get_meta_, 1, name);
  const int rc = sqlite3_step(get_meta_);
  std::string value = rc == SQLITE_ROW ? Column(get_meta_, 0) : std::string();
  sqlite3_reset(get_meta_);
  sqlite3_clear_bindings(get_meta_);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) return ToStatus(rc, "read");
  return value;
}

absl::Status SqliteDb::SetMeta(const std::string& name, std::string_view value) {
  BindKey(set_meta_, 1, name);
  BindBlob(set_meta_, 2, value);
  return RunOnce(set_meta_);
}

absl::Status SqliteDb::Exec(const char* sql) {
  return ToStatus(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr), sql);
}

absl::Status SqliteDb::Prepare(const char* sql, sqlite3_stmt** out) {
  return ToStatus(sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, out, nullptr), sql);
}

absl::StatusOr<std::string> SqliteDb::FirstValue(const char* sql) {
  sqlite3_stmt* stmt = nullptr;
  int rc = sqlite3_prepare_v2(db_, sql, -1, &stmt, nullptr);
  if (rc != SQLITE_OK) return ToStatus(rc, sql);
  rc = sqlite3_step(stmt);
  std::string value = rc == SQLITE_ROW ? Column(stmt, 0) : std::string();
  const absl::Status status =
      rc == SQLITE_ROW || rc == SQLITE_DONE ? absl::OkStatus() : ToStatus(rc, sql);
  sqlite3_finalize(stmt);
  if (!status.ok()) return status;
  return value;
}

absl::Status SqliteDb::RunOnce(sqlite3_stmt* stmt) {
  const int rc = sqlite3_step(stmt);
  const absl::Status status = rc == SQLITE_DONE ? absl::OkStatus() : ToStatus(rc, "write");
  sqlite3_reset(stmt);
  sqlite3_clear_bindings(stmt);
  return status;
}

absl::Status SqliteDb::ToStatus(int rc, std::string_view what) {
  if (rc == SQLITE_OK) return absl::OkStatus();
  const int error = db_ == nullptr ? 0 : sqlite3_system_errno(db_);
  const std::string text =
      fmt::format("store {}: {}: {}{}", path_, what, db_ ? sqlite3_errmsg(db_) : "out of memory",
                  error == 0 ? "" : fmt::format(" ({})", std::strerror(error)));
  // SQLite itself reports only ENOSPC as a full disk. A failed fsync is never one: what it lost is
  // unknown.
  const bool quota = rc == SQLITE_IOERR_WRITE && (error == ENOSPC || error == EDQUOT);
  switch (rc & 0xFF) {
    case SQLITE_FULL:
      return MakeError("STORE_FULL", text + "; free space on its disk, or raise its limit");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::FailedPreconditionError(
          fmt::format("store {}: {}; stop that process, or give this one another --state-dir",
                      path_, DescribeLockHolder(path_)));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(text + "; restore a backup with `banyand restore`");
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return absl::FailedPreconditionError(text + "; check the path and its permissions");
    default:
      if (quota) return MakeError("STORE_FULL", text + "; raise the disk quota");
      return absl::InternalError(text);
  }
}

}  // namespace banyan
