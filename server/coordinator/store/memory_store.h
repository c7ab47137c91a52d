#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "common/time/clock.h"
#include "server/coordinator/store/store.h"

namespace banyan {

// The disk of a MemoryStore: outlives it, as a file outlives the process.
struct MemoryDisk {
  std::string store_id;  // 16 bytes
  uint64_t revision = 0;
  std::map<std::string, std::string> data;
};

// A store for tests and the simulator. Everything runs on `executor`, one transaction a turn, hence
// the same seed gives the same order. Single threaded: use it from that executor only.
// Destroying it is a crash: what is queued is not applied and its `done` never called.
class MemoryStore : public Store {
 public:
  // Called for each transaction in its turn; all optional.
  struct Faults {
    // How long its write takes. Needs Deps::clock and Deps::timers.
    std::function<absl::Duration(const Txn&)> delay;
    // Not OK: it fails with that, and so does everything queued. May call Crash(): not applied.
    std::function<absl::Status(const Txn&)> before_commit;
    // It is on the disk, its `done` was not called. May call Crash().
    std::function<void(const Txn&)> after_commit;
  };
  struct Deps {
    Executor* executor = nullptr;  // outlives this
    Clock* clock = nullptr;        // this and `timers` only for Faults::delay
    Timers* timers = nullptr;
  };

  // `random` names a new disk; a test may also fill the id itself.
  static std::shared_ptr<MemoryDisk> NewDisk(Random* random);

  MemoryStore(std::shared_ptr<MemoryDisk> disk, Deps deps, Faults faults = {});
  ~MemoryStore() override;

  void Commit(Txn txn, Done done) override;
  absl::StatusOr<std::vector<KeyValue>> Load(std::string_view prefix) override;
  // Each pair as "KEYBYTES VALUEBYTES\nKEYVALUE\n": for people who look at a failed run.
  absl::Status Backup(const std::string& path) override;
  uint64_t revision() const override { return disk_->revision; }
  std::string store_id() const override { return disk_->store_id; }

  // From here on nothing is applied and no `done` is called.
  void Crash();
  size_t queued() const;

 private:
  struct Queue;  // shared with what was posted, which may run after this is gone
  static void StartNext(const std::shared_ptr<Queue>& q);
  static void Apply(const std::shared_ptr<Queue>& q);
  static void FailAll(const std::shared_ptr<Queue>& q, const absl::Status& error);

  const std::shared_ptr<MemoryDisk> disk_;
  const std::shared_ptr<Queue> queue_;
};

}  // namespace banyan
