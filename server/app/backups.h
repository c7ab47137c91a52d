#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "common/time/thread_executor.h"
#include "server/coordinator/store/store.h"

namespace banyan::app {

// Copies of the store for those who ask for them, one at a time, on a thread of its own. A copy is
// a file in `folder` without a name, gone with its last reader.
class Backups {
 public:
  // Asks for the next part; empty: that was all.
  using Read = std::function<void(std::function<void(absl::StatusOr<std::string>)>)>;

  Backups(Store* store, std::string folder);
  // Reads that are asked for from now on fail.
  ~Backups();
  // Answers on the thread of the copies: BACKUP_RUNNING, STORE_FULL, or how to read it. Another one
  // may begin when all copies of `Read` are gone.
  void Open(std::function<void(absl::StatusOr<Read>)> done);

 private:
  struct File;
  struct Strand;
  absl::StatusOr<Read> Make(std::shared_ptr<File> file);

  Store* const store_;  // outlives this
  const std::string folder_;
  std::shared_ptr<std::atomic<bool>> busy_ = std::make_shared<std::atomic<bool>>(false);
  ThreadExecutor thread_{"backup"};
  const std::shared_ptr<Strand> strand_;
};

}  // namespace banyan::app
