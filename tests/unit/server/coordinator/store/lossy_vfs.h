#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <sqlite3.h>

#include "common/base/mutex.h"
#include "common/time/random.h"

namespace banyan {

// A disk in memory for SQLite that loses power. What was written to a file since its last sync may
// be there afterwards or not, sector by sector, and one sector may be there in part; so may a
// change of its length. A file that was never synced may be gone. Bytes that a write did not touch
// stay as they were, as SQLite expects of every disk of today.
//
// While it lives it is what SqliteStore opens its files on. Thread-safe.
class LossyDisk {
 public:
  explicit LossyDisk(uint64_t seed);
  ~LossyDisk();
  LossyDisk(const LossyDisk&) = delete;

  // Syncs say that they have happened, and have not.
  void LieAboutSyncs() { lies_ = true; }
  // The power goes at the `n`th write, sync or change of a length from now on. What comes later is
  // carried out for the process that goes on, and lost.
  void LosePowerAfter(uint64_t n);
  // It has gone: who is told something from here on is told it by a process that is no more.
  bool lost();
  // Changes so far.
  uint64_t changes();
  // What the next process finds. No file is open.
  void Restart();

 private:
  friend struct LossyFile;
  friend struct LossyCalls;
  struct Change {
    bool length = false;
    uint64_t at = 0;  // the new length, or where `bytes` are written
    std::string bytes;
  };
  struct File {
    std::string now;     // as processes see it
    std::string safe;    // as of the last sync
    bool named = false;  // its name is on the disk
    std::vector<Change> since;
  };
  static void Apply(const Change& change, std::string* to);
  void Note(File* file, Change change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Sync(File* file) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Step() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string Remains(const File& file) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Mutex mu_;
  SeededRandom random_ ABSL_GUARDED_BY(mu_);
  bool lies_ = false;
  std::map<std::string, std::shared_ptr<File>> files_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::string> remains_ ABSL_GUARDED_BY(mu_);
  uint64_t changes_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t left_ ABSL_GUARDED_BY(mu_) = 0;  // changes until the power goes; 0: it stays
  bool lost_ ABSL_GUARDED_BY(mu_) = false;
  sqlite3_vfs vfs_{};
};

}  // namespace banyan
