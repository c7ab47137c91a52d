#include "server/coordinator/restore.h"

#include <algorithm>
#include <filesystem>
#include <future>

#include "fmt/format.h"

#include "banyan/internal/v1/store.pb.h"
#include "common/base/check.h"
#include "common/os/filesystem.h"
#include "server/coordinator/safe_mode.h"
#include "server/coordinator/store/sqlite_store.h"
#include "server/core/fence_allocator.h"

namespace banyan {
namespace {

namespace fs = std::filesystem;

// Terms that may have passed since the backup, if nobody says how many: there are 16 million.
constexpr uint32_t kEpochsSince = 1000;

absl::Status CopyTo(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(fmt::format("cannot copy {} to {}: {}", from, to, error.message()));
}

absl::Status CommitAndWait(Store* store, Txn txn) {
  std::promise<absl::Status> done;
  store->Commit(std::move(txn),
                [&done](absl::StatusOr<uint64_t> revision) { done.set_value(revision.status()); });
  return done.get_future().get();
}

template <typename Record>
absl::StatusOr<Record> LoadOne(Store* store, const std::string& key) {
  BANYAN_ASSIGN_OR_RETURN(std::vector<KeyValue> found, store->Load(key));
  Record record;
  if (found.empty() || found[0].key != key || !record.ParseFromString(found[0].value))
    return absl::DataLossError(fmt::format("it has no record \"{}\"", key));
  return record;
}

// What makes a store of a copy.
absl::StatusOr<Restored> Correct(Store* store, uint32_t min_epoch) {
  Restored result;
  BANYAN_ASSIGN_OR_RETURN(auto epoch, LoadOne<internal::v1::EpochRecord>(store, "epoch"));
  BANYAN_ASSIGN_OR_RETURN(auto meta, LoadOne<internal::v1::MetaRecord>(store, "meta"));
  BANYAN_ASSIGN_OR_RETURN(auto nodes, store->Load("node/"));
  uint32_t incarnation = 0;
  for (const KeyValue& kv : nodes) {
    internal::v1::NodeRecord node;
    if (!node.ParseFromString(kv.value))
      return absl::DataLossError(fmt::format("its record \"{}\" cannot be read", kv.key));
    incarnation = std::max(incarnation, node.incarnation());
  }
  result.nodes = nodes.size();
  result.backup_epoch = epoch.epoch();
  result.epoch = min_epoch == 0 ? epoch.epoch() + kEpochsSince : std::max(epoch.epoch(), min_epoch);
  if (result.epoch >= kFenceEpochMax)
    return absl::InvalidArgumentError(fmt::format("no epoch is left above {}", result.epoch));
  epoch.set_epoch(result.epoch);
  SafeMode::Begin("the store was restored from a backup", incarnation, &meta);
  Txn txn;
  txn.Put("epoch", epoch.SerializeAsString()).Put("meta", meta.SerializeAsString());
  BANYAN_RETURN_IF_ERROR(CommitAndWait(store, std::move(txn)));
  return result;
}

absl::StatusOr<Restored> MakeStore(const RestoreOptions& options, const std::string& partial) {
  BANYAN_RETURN_IF_ERROR(CopyTo(options.from, partial));
  // Of a store that was copied as it was rather than with `banyan backup`.
  if (fs::exists(options.from + "-wal"))
    BANYAN_RETURN_IF_ERROR(CopyTo(options.from + "-wal", partial + "-wal"));
  SqliteStore::Options store;
  store.path = partial;
  store.renew_store_id = true;
  auto opened = SqliteStore::Open(std::move(store));
  absl::StatusOr<Restored> result =
      opened.ok() ? Correct(opened->get(), options.min_epoch) : opened.status();
  if (result.ok() || !absl::IsDataLoss(result.status())) return result;
  return absl::DataLossError(
      fmt::format("{} is no backup of a coordinator's store, or is damaged: "
                  "{}",
                  options.from, std::string(result.status().message())));
}

}  // namespace

absl::StatusOr<Restored> RestoreStore(const RestoreOptions& options) {
  if (!fs::is_regular_file(options.from))
    return absl::NotFoundError(fmt::format("there is no file {}", options.from));
  const std::string to = fs::is_directory(options.to) ? options.to + "/banyan.db" : options.to;
  if (fs::exists(to)) {
    return absl::AlreadyExistsError(fmt::format(
        "{} exists: stop its coordinator and move it away, with {}-wal if that is there", to, to));
  }
  // A log left by another store would be applied to this one.
  if (fs::exists(to + "-wal"))
    return absl::AlreadyExistsError(
        fmt::format("{}-wal of an earlier store exists: move it away", to));
  const std::string partial = to + ".partial";
  absl::StatusOr<Restored> result = MakeStore(options, partial);
  std::error_code ignored;
  fs::remove(partial + "-wal", ignored);  // empty: the store was closed
  if (!result.ok()) {
    fs::remove(partial, ignored);
    return result;
  }
  BANYAN_RETURN_IF_ERROR(SyncFile(partial));
  std::error_code error;
  fs::rename(partial, to, error);
  if (error)
    return absl::UnavailableError(
        fmt::format("cannot name {} {}: {}", partial, to, error.message()));
  BANYAN_RETURN_IF_ERROR(SyncDirectoryOf(to));
  result->path = to;
  return result;
}

}  // namespace banyan
