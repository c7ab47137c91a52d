#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace banyan {

struct KeyValue {
  std::string key;
  std::string value;  // any bytes
  friend bool operator==(const KeyValue&, const KeyValue&) = default;
};

// One atomic change: all of it is in the store or none of it. Deletes come first, then the puts in
// order, so a key in both ends with the put's value. Deleting an absent key is no error.
struct Txn {
  std::vector<KeyValue> puts;
  std::vector<std::string> deletes;
  // When a transaction fails, all others of its attempt and of earlier ones fail too, also those
  // that come after. 0: of none.
  uint64_t attempt = 0;

  Txn& Put(std::string key, std::string value) {
    puts.push_back({std::move(key), std::move(value)});
    return *this;
  }
  Txn& Delete(std::string key) {
    deletes.push_back(std::move(key));
    return *this;
  }
  bool empty() const { return puts.empty() && deletes.empty(); }
};

// What the coordinator must not forget: a transactional map from keys such as "epoch", "node/NAME",
// "child/PATH/asg" to bytes. It has one writer, the coordinator's leader.
//
// Order: transactions are applied, and their `done` called, in the order of Commit. When one fails,
// every other one queued at that moment fails with it, and so does what still comes of the same
// attempt (Txn::attempt), so that none is applied without those that it was built on.
class Store {
 public:
  // The revision of the transaction, which rises by 1 with each, or why it is not in the store:
  //   STORE_FULL (RESOURCE_EXHAUSTED)  nothing was written; trying again later may help
  //   CANCELLED                        the store is closing
  using Done = std::function<void(absl::StatusOr<uint64_t> revision)>;

  virtual ~Store() = default;

  // Applies `txn` and calls `done` once it would survive a power loss. Never blocks on the disk and
  // never calls `done` from inside. `done` may run on the store's own thread: it must only hand
  // over work, and must not destroy the store. It may call Commit.
  virtual void Commit(Txn txn, Done done) = 0;

  // Every pair whose key begins with `prefix`, by key in byte order; committed ones only. Blocks;
  // for the start.
  virtual absl::StatusOr<std::vector<KeyValue>> Load(std::string_view prefix) = 0;

  // Writes a consistent copy to a new file at `path` while commits go on. Blocks: not on the
  // leader's thread. ALREADY_EXISTS when something is there.
  virtual absl::Status Backup(const std::string& path) = 0;

  // Revision of the last durable transaction; 0 for a new store. Any thread.
  virtual uint64_t revision() const = 0;
  // 16 random bytes made with the store: revisions compare only under the same id.
  virtual std::string store_id() const = 0;
};

}  // namespace banyan
