#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace banyan {

struct RestoreOptions {
  std::string from;  // a backup; not changed
  std::string to;    // the store to make, or the folder to make it in; must not be there
  // The highest epoch that nodes have obeyed; 0: not known, then one far above the backup's.
  uint32_t min_epoch = 0;
};
struct Restored {
  std::string path;
  uint32_t backup_epoch = 0;
  uint32_t epoch = 0;  // the next term's is above it
  size_t nodes = 0;
};

// Makes a store of a backup (cluster.md 7.5). It has an id of its own, an epoch that no node has
// obeyed yet, and is in SAFE mode: an operator must say what becomes of what nodes run that is
// newer. Errors: NOT_FOUND, ALREADY_EXISTS, DATA_LOSS (not a backup, or damaged).
absl::StatusOr<Restored> RestoreStore(const RestoreOptions& options);

}  // namespace banyan
