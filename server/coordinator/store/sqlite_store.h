#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/time/time.h"

#include "common/base/mutex.h"
#include "server/coordinator/store/store.h"

struct sqlite3;

namespace banyan {

class SqliteDb;

// A store in one SQLite file on a local disk (design/cluster.md 7.3). What `done` was told survives
// the loss of the process and of power, as far as the disk is honest about fsync.
//
// Thread-safe. One writer thread takes what is queued as one SQLite transaction with one fsync, and
// calls the `done`s. Destroying the store first writes what is queued and calls those `done`s.
class SqliteStore : public Store {
 public:
  struct Options {
    std::string path;
    // A group ends at this many transactions, or after this time, whichever comes first; it never
    // waits for more to come.
    size_t group_txns_max = 256;
    absl::Duration group_time_max = absl::Milliseconds(2);
    // The file may not grow beyond this; more is STORE_FULL. 0: no limit.
    uint64_t file_bytes_max = 0;
    // Called once when a write or fsync fails for another reason than a full disk. The state on the
    // disk is then unknown, so it must end the process; if it returns, the process aborts.
    // Default: prints the message and aborts.
    std::function<void(const std::string& message)> fatal;
    // Gives the store a new id: for a copy that takes the place of the original (restore).
    bool renew_store_id = false;
  };

  // Opens or creates the store, checks the file and takes the lock that keeps every other process
  // out. Errors: FAILED_PRECONDITION (open elsewhere, network file system, or written by a newer
  // release), DATA_LOSS (damaged: restore a backup), STORE_FULL, else what the system says.
  static absl::StatusOr<std::unique_ptr<SqliteStore>> Open(Options options);
  ~SqliteStore() override;

  void Commit(Txn txn, Done done) override;
  absl::StatusOr<std::vector<KeyValue>> Load(std::string_view prefix) override;
  // Holds commits up for a few milliseconds at a time. The file appears complete or not at all.
  absl::Status Backup(const std::string& path) override;
  uint64_t revision() const override { return revision_.load(std::memory_order_acquire); }
  std::string store_id() const override { return store_id_; }

 private:
  struct Entry {
    Txn txn;
    Done done;
  };

  SqliteStore(Options options, std::unique_ptr<SqliteDb> db, std::string store_id,
              uint64_t revision);
  void Run();
  // Writes the group that begins with the queue's front; moves what it took to `group`.
  absl::Status WriteGroup(std::vector<Entry>* group);
  bool TakeOne(std::vector<Entry>* group);
  void FailQueued(std::vector<Entry> group, const absl::Status& error);
  // Takes off the front what is of an attempt that has failed.
  std::vector<Entry> TakeStale();
  [[noreturn]] void Fatal(const absl::Status& error);

  const Options options_;
  const std::string store_id_;
  std::atomic<uint64_t> revision_;

  Mutex db_mu_;  // taken before mu_
  std::unique_ptr<SqliteDb> db_ ABSL_GUARDED_BY(db_mu_);

  Mutex mu_;
  std::condition_variable_any wake_;
  std::deque<Entry> queue_ ABSL_GUARDED_BY(mu_);
  uint64_t failed_attempt_ ABSL_GUARDED_BY(mu_) = 0;  // and all before it
  bool closing_ ABSL_GUARDED_BY(mu_) = false;
  std::thread writer_;
};

}  // namespace banyan
