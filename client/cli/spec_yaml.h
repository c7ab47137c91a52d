#pragma once

#include <string>
#include <vector>

#include "client/transport/types.h"

#include "banyan/v1/types.pb.h"

namespace banyan::cli {

// A supervisor described in YAML.
struct SpecFile {
  std::string name;  // empty if the file gives none
  v1::SupervisorSpec spec;
  // "line 4: children[1].restart: .." for everything that is wrong, in the file's order. Not empty:
  // the rest is unusable.
  std::vector<std::string> problems;
};

// Reads either a bare SupervisorSpec or {name, annotations, spec}. Friendly forms: enum words
// without their prefix, durations as 5s, `shutdown` as brutal_kill, infinity or a duration, `args`
// as a list of plain data or of objects with '@type'. Field names as in the .proto, snake_case or
// lowerCamelCase.
SpecFile ReadSpecYaml(const std::string& text, client::TypeRegistry* types);

}  // namespace banyan::cli
