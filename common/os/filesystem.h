#pragma once

#include <string>

#include "absl/status/status.h"

namespace banyan {

// FAILED_PRECONDITION when `path`, or its folder if it is not there yet, lies on a network file
// system: locks and fsync cannot be trusted there.
absl::Status CheckLocalFilesystem(const std::string& path);

// Creates the folder and those above it, each with mode 0700; what exists is left as it is.
absl::Status CreateDirectories(const std::string& path);

// Writes a file that appears under its name complete and durable, or not at all. Mode 0600.
absl::Status WriteFileAtomically(const std::string& path, const std::string& content);

absl::Status SyncFile(const std::string& path);
absl::Status SyncDirectoryOf(const std::string& path);  // so that a new name survives

// The folder part of a path; "." when it has none.
std::string DirectoryOf(const std::string& path);

}  // namespace banyan
