#include "common/config/yaml_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "fmt/format.h"
#include "yaml-cpp/yaml.h"

namespace banyan::config {
namespace {

YamlEntry ReadEntry(const YAML::Node& key, const YAML::Node& value) {
  YamlEntry out{key.IsScalar() ? key.Scalar() : "", {}, key.Mark().line + 1, ""};
  if (!key.IsScalar()) out.problem = "the key is not a word";
  if (value.IsNull()) {
    out.problem = "has no value";
  } else if (value.IsScalar()) {
    out.texts.push_back(value.Scalar());
  } else if (value.IsSequence()) {
    for (const YAML::Node& item : value) {
      if (item.IsScalar()) {
        out.texts.push_back(item.Scalar());
      } else {
        out.problem = "has a list item that is not a single value";
      }
    }
  } else {
    for (const auto& pair : value) {
      if (pair.first.IsScalar() && pair.second.IsScalar()) {
        out.texts.push_back(fmt::format("{}={}", pair.first.Scalar(), pair.second.Scalar()));
      } else {
        out.problem = "has a nested value where a single one belongs";
      }
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<std::vector<YamlEntry>> ReadYamlFile(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  if (!in || !(text << in.rdbuf() || in.peek() == std::ifstream::traits_type::eof())) {
    return absl::NotFoundError(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
  }
  std::vector<YamlEntry> out;
  try {  // yaml-cpp throws; it stops here
    const YAML::Node root = YAML::Load(text.str());
    if (root.IsNull()) return out;
    if (!root.IsMap()) {
      return absl::InvalidArgumentError(fmt::format("{}: must have one `key: value` a line", path));
    }
    for (const auto& pair : root) out.push_back(ReadEntry(pair.first, pair.second));
  } catch (const YAML::Exception& e) {
    return absl::InvalidArgumentError(fmt::format("{}:{}: {}", path, e.mark.line + 1, e.msg));
  }
  return out;
}

}  // namespace banyan::config
