#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace banyan {

// A connection to an SQL database, as FencedWriter needs it: SqliteSql below is one for SQLite, one
// for PostgreSQL is a few lines. Blocking: use it within Self::Blocking.
class Sql {
 public:
  virtual ~Sql() = default;
  // Begins a transaction that will write.
  virtual absl::Status Begin() = 0;
  // A statement without parameters: COMMIT, ROLLBACK, CREATE TABLE.
  virtual absl::Status Execute(const std::string& statement) = 0;
  // INSERT or UPDATE with the parameters ?1, a text, and ?2, a number; the rows that it changed.
  virtual absl::StatusOr<int64_t> Change(const std::string& statement, std::string_view text,
                                         int64_t number) = 0;
};

// Writes to a database on behalf of one life of a child, so that no older life of it can write any
// more (docs/fencing.md). The highest fence that has written is kept in the database itself, in the
// table `banyan_fence`, and is looked at in the very transaction of each write: whatever a process
// that was paused or cut off still believes, its writes are refused from the moment a newer life
// has written once. Not thread-safe.
class FencedWriter {
 public:
  // `key`: whose writes exclude each other, as a rule self.child_path(). `fence`: self.fence(),
  // which must not be 0. `sql` outlives the writer.
  FencedWriter(Sql* sql, std::string key, uint64_t fence);

  // Creates the table if it is not there, and claims the key: lives before this one are refused
  // from now on. Once, before the first write. Errors as of Write.
  absl::Status Open();
  // Runs `write` in a transaction that this life is entitled to, and commits. FAILED_PRECONDITION
  // when a newer life has claimed the key: nothing was written, nothing ever will be, and the
  // process should end (IsFenced). An error of `write` rolls back and is passed on, as are errors
  // of the database.
  absl::Status Write(const std::function<absl::Status()>& write);

  // Whether the status says that a newer life has taken over.
  static bool IsFenced(const absl::Status& status);

 private:
  absl::Status Check();

  Sql* const sql_;
  const std::string key_;
  const int64_t fence_;
};

}  // namespace banyan
