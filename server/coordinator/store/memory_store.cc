#include "server/coordinator/store/memory_store.h"

#include <algorithm>
#include <deque>
#include <fstream>
#include <utility>

#include <sys/stat.h>

#include "common/base/check.h"

namespace banyan {

struct MemoryStore::Queue {
  struct Entry {
    Txn txn;
    Done done;
  };
  std::shared_ptr<MemoryDisk> disk;
  Deps deps;
  Faults faults;
  std::deque<Entry> entries;
  uint64_t failed_attempt = 0;  // and all before it
  bool writing = false;         // a turn for the front entry is on its way
  bool crashed = false;
};

std::shared_ptr<MemoryDisk> MemoryStore::NewDisk(Random* random) {
  auto disk = std::make_shared<MemoryDisk>();
  for (int i = 0; i < 2; ++i) {
    const uint64_t word = random->Next();
    for (int shift = 0; shift < 64; shift += 8) {
      disk->store_id.push_back(static_cast<char>(word >> shift));
    }
  }
  return disk;
}

MemoryStore::MemoryStore(std::shared_ptr<MemoryDisk> disk, Deps deps, Faults faults)
    : disk_(std::move(disk)), queue_(std::make_shared<Queue>()) {
  BANYAN_CHECK(deps.executor != nullptr);
  BANYAN_CHECK(!faults.delay || (deps.clock != nullptr && deps.timers != nullptr));
  queue_->disk = disk_;
  queue_->deps = deps;
  queue_->faults = std::move(faults);
}

MemoryStore::~MemoryStore() { Crash(); }

void MemoryStore::Crash() {
  queue_->crashed = true;
  queue_->entries.clear();
}

size_t MemoryStore::queued() const { return queue_->entries.size(); }

void MemoryStore::Commit(Txn txn, Done done) {
  if (queue_->crashed) return;
  queue_->entries.push_back({std::move(txn), std::move(done)});
  if (!queue_->writing) StartNext(queue_);
}

void MemoryStore::StartNext(const std::shared_ptr<Queue>& q) {
  q->writing = !q->crashed && !q->entries.empty();
  if (!q->writing) return;
  const absl::Duration delay =
      q->faults.delay ? q->faults.delay(q->entries.front().txn) : absl::ZeroDuration();
  if (delay <= absl::ZeroDuration()) {
    q->deps.executor->Post([q] { Apply(q); });
    return;
  }
  q->deps.timers->ScheduleAt(q->deps.clock->Now() + delay,
                             [q] { q->deps.executor->Post([q] { Apply(q); }); });
}

void MemoryStore::Apply(const std::shared_ptr<Queue>& q) {
  if (q->crashed) return;
  const uint64_t attempt = q->entries.front().txn.attempt;
  if (attempt != 0 && attempt <= q->failed_attempt) {
    return FailAll(q, absl::ResourceExhaustedError("a transaction before it has failed"));
  }
  if (q->faults.before_commit) {
    const absl::Status status = q->faults.before_commit(q->entries.front().txn);
    if (q->crashed) return;
    if (!status.ok()) return FailAll(q, status);
  }
  Queue::Entry entry = std::move(q->entries.front());
  q->entries.pop_front();
  for (const std::string& key : entry.txn.deletes) q->disk->data.erase(key);
  for (const KeyValue& put : entry.txn.puts) q->disk->data[put.key] = put.value;
  const uint64_t revision = ++q->disk->revision;
  if (q->faults.after_commit) q->faults.after_commit(entry.txn);
  if (q->crashed) return;
  if (entry.done) entry.done(revision);
  StartNext(q);
}

void MemoryStore::FailAll(const std::shared_ptr<Queue>& q, const absl::Status& error) {
  // A `done` may commit again: that one is not among those that fail.
  std::deque<Queue::Entry> failed;
  // What was committed anew meanwhile has its own attempt.
  const uint64_t attempt = q->entries.front().txn.attempt;
  q->failed_attempt = std::max(q->failed_attempt, attempt);
  while (!q->entries.empty() && q->entries.front().txn.attempt <= q->failed_attempt) {
    failed.push_back(std::move(q->entries.front()));
    q->entries.pop_front();
  }
  for (Queue::Entry& entry : failed) {
    if (q->crashed) return;
    if (entry.done) entry.done(error);
  }
  StartNext(q);
}

absl::StatusOr<std::vector<KeyValue>> MemoryStore::Load(std::string_view prefix) {
  std::vector<KeyValue> out;
  for (auto it = disk_->data.lower_bound(std::string(prefix));
       it != disk_->data.end() && std::string_view(it->first).substr(0, prefix.size()) == prefix;
       ++it) {
    out.push_back({it->first, it->second});
  }
  return out;
}

absl::Status MemoryStore::Backup(const std::string& path) {
  struct stat st;
  if (stat(path.c_str(), &st) == 0) {
    return absl::AlreadyExistsError(fmt::format("backup: {} exists; name a new file", path));
  }
  std::ofstream file(path, std::ios::binary);
  for (const auto& [key, value] : disk_->data) {
    file << key.size() << ' ' << value.size() << '\n' << key << value << '\n';
  }
  file.close();
  if (!file) return absl::UnavailableError(fmt::format("backup: cannot write {}", path));
  return absl::OkStatus();
}

}  // namespace banyan
