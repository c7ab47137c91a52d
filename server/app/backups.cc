#include "server/app/backups.h"

#include <cerrno>
#include <cstdio>
#include <utility>

#include "fmt/format.h"
#include <fcntl.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/mutex.h"
#include "common/os/unique_fd.h"

namespace banyan::app {
namespace {
constexpr size_t kPartBytes = 256 * 1024;
}

// Whoever holds it may read; its end lets the next backup begin.
struct Backups::File {
  explicit File(std::shared_ptr<std::atomic<bool>> b) : busy(std::move(b)) {}
  ~File() { busy->store(false); }
  const std::shared_ptr<std::atomic<bool>> busy;
  UniqueFd fd;
};

// The way to the thread, for readers that may outlive it.
struct Backups::Strand {
  Mutex mu;
  ThreadExecutor* thread ABSL_GUARDED_BY(mu);

  bool Post(std::function<void()> fn) {
    MutexLock lock(&mu);
    if (thread != nullptr) thread->Post(std::move(fn));
    return thread != nullptr;
  }
};

Backups::Backups(Store* store, std::string folder)
    : store_(store), folder_(std::move(folder)), strand_(std::make_shared<Strand>()) {
  MutexLock lock(&strand_->mu);
  strand_->thread = &thread_;
}

Backups::~Backups() {
  MutexLock lock(&strand_->mu);
  strand_->thread = nullptr;
}

void Backups::Open(std::function<void(absl::StatusOr<Read>)> done) {
  if (busy_->exchange(true)) {
    return done(MakeError("BACKUP_RUNNING", "another backup is being read; try again after it"));
  }
  thread_.Post(
      [this, file = std::make_shared<File>(busy_), done = std::move(done)] { done(Make(file)); });
}

absl::StatusOr<Backups::Read> Backups::Make(std::shared_ptr<File> file) {
  const std::string path = folder_ + "/backup.tmp";
  std::remove(path.c_str());  // of a process that was killed
  if (absl::Status copied = store_->Backup(path); !copied.ok()) return copied;
  file->fd = UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const int error = errno;
  std::remove(path.c_str());
  if (!file->fd.valid()) return absl::ErrnoToStatus(error, fmt::format("cannot read {}", path));
  return Read([strand = strand_, file](std::function<void(absl::StatusOr<std::string>)> done) {
    const bool posted = strand->Post([file, done] {
      std::string part(kPartBytes, '\0');
      const ssize_t n = read(file->fd.get(), part.data(), part.size());
      if (n < 0) return done(absl::ErrnoToStatus(errno, "cannot read the backup"));
      part.resize(static_cast<size_t>(n));
      done(std::move(part));
    });
    if (!posted) done(MakeError("COORDINATOR_UNAVAILABLE", "the coordinator stops"));
  });
}

}  // namespace banyan::app
