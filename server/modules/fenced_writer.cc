#include "server/modules/fenced_writer.h"

#include <utility>

#include "absl/strings/cord.h"
#include "fmt/format.h"

#include "common/base/check.h"

namespace banyan {
namespace {

constexpr char kFenced[] = "banyan.fenced";

// Standard enough for SQLite (3.24) and PostgreSQL (9.5). A fence has 63 bits, so it fits.
constexpr char kCreate[] =
    "CREATE TABLE IF NOT EXISTS banyan_fence (owner TEXT PRIMARY KEY, fence BIGINT NOT NULL)";
constexpr char kClaim[] =
    "INSERT INTO banyan_fence (owner, fence) VALUES (?1, ?2) "
    "ON CONFLICT (owner) DO UPDATE SET fence = excluded.fence "
    "WHERE banyan_fence.fence <= excluded.fence";

}  // namespace

FencedWriter::FencedWriter(Sql* sql, std::string key, uint64_t fence)
    : sql_(sql), key_(std::move(key)), fence_(static_cast<int64_t>(fence)) {
  BANYAN_CHECK(sql != nullptr && !key_.empty() && fence_ > 0);
}

bool FencedWriter::IsFenced(const absl::Status& status) {
  return status.GetPayload(kFenced).has_value();
}

absl::Status FencedWriter::Open() {
  if (absl::Status status = sql_->Execute(kCreate); !status.ok()) return status;
  return Write([] { return absl::OkStatus(); });
}

// In the transaction, so that nothing can come between the look and the write.
absl::Status FencedWriter::Check() {
  absl::StatusOr<int64_t> rows = sql_->Change(kClaim, key_, fence_);
  if (!rows.ok()) return rows.status();
  if (*rows > 0) return absl::OkStatus();
  absl::Status refused = absl::FailedPreconditionError(fmt::format(
      "fence {} of {} is not the newest any more: a later life of it has written", fence_, key_));
  refused.SetPayload(kFenced, absl::Cord(key_));
  return refused;
}

absl::Status FencedWriter::Write(const std::function<absl::Status()>& write) {
  absl::Status status = sql_->Begin();
  if (!status.ok()) return status;
  status = Check();
  if (status.ok()) status = write();
  if (status.ok()) status = sql_->Execute("COMMIT");
  // After a failed commit too; where there is no transaction any more this fails, which is fine.
  if (!status.ok()) sql_->Execute("ROLLBACK").IgnoreError();
  return status;
}

}  // namespace banyan
