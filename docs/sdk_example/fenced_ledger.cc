// Two lives of one child and one SQLite file: what the older life still writes is refused.
// A real module takes the key and the fence from self().child_path() and self().fence(), and runs
// Write() within self().Blocking().
#include <cstdio>
#include <string>

#include "server/modules/fenced_writer.h"
#include "server/modules/sqlite_sql.h"

namespace {

// A process of the child, as far as the database is concerned.
class Ledger {
 public:
  Ledger(const char* file, uint64_t fence)
      : db_(Open(file)), sql_(db_), writer_(&sql_, kKey, fence) {}
  ~Ledger() { sqlite3_close(db_); }
  Ledger(const Ledger&) = delete;

  absl::Status Start() {
    absl::Status status =
        sql_.Execute("CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, text TEXT)");
    return status.ok() ? writer_.Open() : status;
  }
  absl::Status Append(const std::string& text) {
    return writer_.Write([&]() -> absl::Status {
      return sql_.Change("INSERT INTO entries (text) VALUES (?1 || ' ' || ?2)", text, 1).status();
    });
  }
  int64_t Count() {
    int64_t count = 0;
    const auto take = [](void* to, int, char** values, char**) {
      *static_cast<int64_t*>(to) = std::stoll(values[0]);
      return 0;
    };
    sqlite3_exec(db_, "SELECT COUNT(*) FROM entries", take, &count, nullptr);
    return count;
  }

 private:
  static constexpr char kKey[] = "bank/ledger";
  static sqlite3* Open(const char* file) {
    sqlite3* db = nullptr;
    sqlite3_open(file, &db);
    return db;
  }
  sqlite3* const db_;
  banyan::SqliteSql sql_;
  banyan::FencedWriter writer_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fenced_ledger FILE\n");
    return 2;
  }
  Ledger older(argv[1], 7);
  if (!older.Start().ok() || !older.Append("written by the first life,").ok()) return 1;
  // The first life is cut off, or its machine is paused. The next one is started elsewhere.
  Ledger newer(argv[1], 8);
  if (!newer.Start().ok() || !newer.Append("written by the second,").ok()) return 1;
  // Now the first one comes back, and does not know.
  const absl::Status refused = older.Append("written too late,");
  std::printf("the older life: %s\n", std::string(refused.message()).c_str());
  if (!banyan::FencedWriter::IsFenced(refused) || newer.Count() != 2) return 1;
  std::printf("the ledger has %d entries, none of them too late\n",
              static_cast<int>(newer.Count()));
  return 0;
}
