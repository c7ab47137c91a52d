#include "server/coordinator/store/sqlite_store.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "fmt/format.h"

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/os/filesystem.h"
#include "common/os/random_bytes.h"
#include "server/coordinator/store/sqlite_backup.h"
#include "server/coordinator/store/sqlite_db.h"

namespace banyan {
namespace {

absl::StatusOr<std::string> EnsureStoreId(SqliteDb* db, bool renew) {
  absl::StatusOr<std::string> id = db->GetMeta("store_id");
  if (!id.ok() || (!id->empty() && !renew)) return id;
  std::string fresh = RandomBytes(16);
  BANYAN_RETURN_IF_ERROR(db->SetMeta("store_id", fresh));
  return fresh;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteStore>> SqliteStore::Open(Options options) {
  BANYAN_RETURN_IF_ERROR(CheckLocalFilesystem(options.path));
  absl::StatusOr<std::unique_ptr<SqliteDb>> db =
      SqliteDb::Open(options.path, options.file_bytes_max);
  BANYAN_RETURN_IF_ERROR(db.status());
  absl::StatusOr<std::string> id = EnsureStoreId(db->get(), options.renew_store_id);
  BANYAN_RETURN_IF_ERROR(id.status());
  absl::StatusOr<std::string> revision = (*db)->GetMeta("revision");
  BANYAN_RETURN_IF_ERROR(revision.status());
  const uint64_t last = std::strtoull(revision->c_str(), nullptr, 10);
  return std::unique_ptr<SqliteStore>(
      new SqliteStore(std::move(options), *std::move(db), *std::move(id), last));
}

SqliteStore::SqliteStore(Options options, std::unique_ptr<SqliteDb> db, std::string store_id,
                         uint64_t revision)
    : options_(std::move(options)),
      store_id_(std::move(store_id)),
      revision_(revision),
      db_(std::move(db)) {
  writer_ = std::thread([this] { Run(); });
}

SqliteStore::~SqliteStore() {
  {
    MutexLock lock(&mu_);
    closing_ = true;
  }
  wake_.notify_all();
  writer_.join();
}

void SqliteStore::Commit(Txn txn, Done done) {
  {
    MutexLock lock(&mu_);
    // After closing only a `done` on the writer thread can get here, and that thread still drains.
    queue_.push_back({std::move(txn), std::move(done)});
  }
  wake_.notify_one();
}

void SqliteStore::Run() {
  while (true) {
    {
      MutexLock lock(&mu_);
      while (queue_.empty() && !closing_) wake_.wait(mu_);
      if (queue_.empty()) return;
    }
    for (Entry& stale : TakeStale()) {
      if (stale.done) stale.done(MakeError("STORE_FULL", "a change before it was not stored"));
    }
    const uint64_t first = revision() + 1;
    std::vector<Entry> group;
    const absl::Status status = WriteGroup(&group);
    if (status.ok() && group.empty()) continue;  // all was stale
    if (!status.ok()) {
      FailQueued(std::move(group), status);
      continue;
    }
    for (size_t i = 0; i < group.size(); ++i) {
      if (group[i].done) group[i].done(first + i);
    }
  }
}

bool SqliteStore::TakeOne(std::vector<Entry>* group) {
  MutexLock lock(&mu_);
  if (queue_.empty()) return false;
  group->push_back(std::move(queue_.front()));
  queue_.pop_front();
  return true;
}

std::vector<SqliteStore::Entry> SqliteStore::TakeStale() {
  MutexLock lock(&mu_);
  std::vector<Entry> stale;
  while (!queue_.empty() && queue_.front().txn.attempt != 0 &&
         queue_.front().txn.attempt <= failed_attempt_) {
    stale.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return stale;
}

absl::Status SqliteStore::WriteGroup(std::vector<Entry>* group) {
  MutexLock lock(&db_mu_);
  if (MutexLock queue(&mu_); queue_.empty()) return absl::OkStatus();
  absl::Status status = db_->Begin();
  const absl::Time end = absl::Now() + options_.group_time_max;
  while (status.ok() && group->size() < options_.group_txns_max && TakeOne(group)) {
    const Txn& txn = group->back().txn;
    for (size_t i = 0; i < txn.deletes.size() && status.ok(); ++i) {
      status = db_->Delete(txn.deletes[i]);
    }
    for (size_t i = 0; i < txn.puts.size() && status.ok(); ++i) {
      status = db_->Put(txn.puts[i].key, txn.puts[i].value);
    }
    if (absl::Now() >= end) break;
  }
  const uint64_t revision = this->revision() + group->size();
  if (status.ok()) status = db_->CommitWithRevision(revision);
  if (status.ok()) {
    revision_.store(revision, std::memory_order_release);
    status = db_->CheckpointIfDue();
    if (!status.ok()) Fatal(status);
    return status;
  }
  db_->Rollback();
  if (!absl::IsResourceExhausted(status)) Fatal(status);
  return status;
}

void SqliteStore::FailQueued(std::vector<Entry> group, const absl::Status& error) {
  std::deque<Entry> rest;
  {
    MutexLock lock(&mu_);
    rest.swap(queue_);
    for (const Entry& entry : group) failed_attempt_ = std::max(failed_attempt_, entry.txn.attempt);
    for (const Entry& entry : rest) failed_attempt_ = std::max(failed_attempt_, entry.txn.attempt);
  }
  for (Entry& entry : group) {
    if (entry.done) entry.done(error);
  }
  for (Entry& entry : rest) {
    if (entry.done) entry.done(error);
  }
}

void SqliteStore::Fatal(const absl::Status& error) {
  const std::string message =
      fmt::format("{}; what is on the disk is unknown now, the process must start again",
                  std::string(error.message()));
  if (options_.fatal) options_.fatal(message);
  std::fprintf(stderr, "%s\n", message.c_str());
  std::abort();
}

absl::StatusOr<std::vector<KeyValue>> SqliteStore::Load(std::string_view prefix) {
  MutexLock lock(&db_mu_);
  return db_->Range(prefix);
}

absl::Status SqliteStore::Backup(const std::string& path) {
  BackupCopy copy(path);
  {
    MutexLock lock(&db_mu_);
    BANYAN_RETURN_IF_ERROR(copy.Start(db_->handle()));
  }
  bool done = false;
  while (!done) {
    MutexLock lock(&db_mu_);
    BANYAN_ASSIGN_OR_RETURN(done, copy.Step());
  }
  MutexLock lock(&db_mu_);
  return copy.Finish();
}

}  // namespace banyan
