#pragma once

#include <string>
#include <string_view>

#include <sqlite3.h>

#include "server/modules/fenced_writer.h"

namespace banyan {

// An open SQLite database as FencedWriter takes it. Does not own `db`. Only this header needs
// SQLite: a module without it does not.
class SqliteSql final : public Sql {
 public:
  explicit SqliteSql(sqlite3* db) : db_(db) {}

  // IMMEDIATE: the database is locked for writing from here on, so the fence cannot change between
  // the look at it and the commit.
  absl::Status Begin() override { return Execute("BEGIN IMMEDIATE"); }

  absl::Status Execute(const std::string& statement) override {
    return StatusOf(sqlite3_exec(db_, statement.c_str(), nullptr, nullptr, nullptr));
  }

  absl::StatusOr<int64_t> Change(const std::string& statement, std::string_view text,
                                 int64_t number) override {
    sqlite3_stmt* prepared = nullptr;
    const int size = static_cast<int>(statement.size());
    int code = sqlite3_prepare_v2(db_, statement.c_str(), size, &prepared, nullptr);
    if (code != SQLITE_OK) return StatusOf(code);
    sqlite3_bind_text(prepared, 1, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
    sqlite3_bind_int64(prepared, 2, number);
    sqlite3_step(prepared);
    code = sqlite3_finalize(prepared);  // the step's error, if it had one
    if (code != SQLITE_OK) return StatusOf(code);
    return sqlite3_changes(db_);
  }

 private:
  absl::Status StatusOf(int code) const {
    if (code == SQLITE_OK) return absl::OkStatus();
    const std::string text = sqlite3_errmsg(db_);
    if (code == SQLITE_BUSY) return absl::UnavailableError("SQLite: " + text);
    if (code == SQLITE_FULL) return absl::ResourceExhaustedError("SQLite: " + text);
    return absl::InternalError("SQLite: " + text);
  }

  sqlite3* const db_;
};

}  // namespace banyan
