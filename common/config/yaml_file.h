#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace banyan::config {

// One key of the file's top mapping with its value as texts: one for a scalar, each item of a list,
// `key=value` for each of a mapping.
struct YamlEntry {
  std::string key;
  std::vector<std::string> texts;
  int line;             // from 1
  std::string problem;  // what is wrong with the value's form; empty: nothing
};

// Errors: INVALID_ARGUMENT with "file:line: what", NOT_FOUND if it cannot be read.
absl::StatusOr<std::vector<YamlEntry>> ReadYamlFile(const std::string& path);

}  // namespace banyan::config
