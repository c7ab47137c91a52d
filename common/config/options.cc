#include "common/config/options.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>

#include "fmt/format.h"
#include "fmt/ranges.h"

#include "common/base/check.h"
#include "common/config/yaml_file.h"

namespace banyan::config {
namespace {

std::optional<std::string> ProcessEnv(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row.back();
}

}  // namespace

std::string_view SourceName(Source source) {
  switch (source) {
    case Source::kDefault:
      return "default";
    case Source::kFile:
      return "file";
    case Source::kEnvironment:
      return "environment";
    case Source::kFlag:
      return "flag";
  }
  return "default";
}

void Options::Add(std::string name, Shape shape, Value value, std::string help) {
  BANYAN_CHECK(FindOrNull(name) == nullptr);
  options_.push_back({std::move(name), std::move(help), std::move(shape), value, value});
}

void Options::String(std::string name, std::string value, std::string help,
                     std::vector<std::string> words) {
  Add(std::move(name), {.type = Type::kString, .words = std::move(words)}, std::move(value),
      std::move(help));
}
void Options::Bool(std::string name, bool value, std::string help) {
  Add(std::move(name), {.type = Type::kBool}, value, std::move(help));
}
void Options::Int(std::string name, int64_t value, int64_t min, int64_t max, std::string help) {
  Add(std::move(name), {.type = Type::kInt, .min = min, .max = max}, value, std::move(help));
}
void Options::Duration(std::string name, absl::Duration value, std::string help, absl::Duration min,
                       absl::Duration max) {
  Add(std::move(name), {.type = Type::kDuration, .min_duration = min, .max_duration = max}, value,
      std::move(help));
}
void Options::Address(std::string name, HostPort value, std::string help) {
  Add(std::move(name), {.type = Type::kHostPort}, std::move(value), std::move(help));
}
void Options::Addresses(std::string name, std::vector<HostPort> value, std::string help) {
  Add(std::move(name), {.type = Type::kHostPorts}, std::move(value), std::move(help));
}
void Options::KeyValues(std::string name, Map value, std::string help) {
  Add(std::move(name), {.type = Type::kMap}, std::move(value), std::move(help));
}

absl::Status Options::Load(const Sources& sources) {
  std::vector<std::string> problems;
  if (!sources.file.empty()) LoadFile(sources.file, &problems);
  const auto env = sources.env ? sources.env : ProcessEnv;
  for (Option& option : options_) {
    const std::string name = EnvName(option.name);
    if (std::optional<std::string> text = env(name)) {
      Set(option, Source::kEnvironment, "env " + name, {*text}, &problems);
    }
  }
  for (const auto& [name, texts] : sources.flags) {
    if (Option* option = FindOrNull(name)) {
      Set(*option, Source::kFlag, "flag --" + name, texts, &problems);
    } else {
      problems.push_back(
          fmt::format("flag --{}: unknown; did you mean --{}?", name, Nearest(name)));
    }
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("{}", fmt::join(problems, "\n")));
}

void Options::LoadFile(const std::string& path, std::vector<std::string>* problems) {
  absl::StatusOr<std::vector<YamlEntry>> entries = ReadYamlFile(path);
  if (!entries.ok()) {
    problems->emplace_back(entries.status().message());
    return;
  }
  std::set<std::string> seen;
  for (const YamlEntry& entry : *entries) {
    const std::string where = fmt::format("{}:{}", path, entry.line);
    Option* option = FindOrNull(entry.key);
    if (option == nullptr) {
      problems->push_back(fmt::format("{}: unknown key '{}'; did you mean '{}'?", where, entry.key,
                                      Nearest(entry.key)));
    } else if (!seen.insert(entry.key).second) {
      problems->push_back(fmt::format("{}: the key '{}' is there twice", where, entry.key));
    } else if (!entry.problem.empty()) {
      problems->push_back(fmt::format("{}: {}: {}; it takes {}", where, entry.key, entry.problem,
                                      Allowed(option->shape)));
    } else {
      Set(*option, Source::kFile, where, entry.texts, problems);
    }
  }
}

void Options::Set(Option& option, Source source, std::string where,
                  const std::vector<std::string>& texts, std::vector<std::string>* problems) {
  absl::StatusOr<Value> value = ParseValue(option.shape, texts);
  if (!value.ok()) {
    const std::string what(value.status().message());
    problems->push_back(source == Source::kFile
                            ? fmt::format("{}: {}: {}", where, option.name, what)
                            : fmt::format("{}: {}", where, what));
    return;
  }
  option.value = *std::move(value);
  option.source = source;
  option.where = std::move(where);
}

std::string Options::EnvName(std::string_view name) const {
  std::string out = env_prefix_ + "_";
  for (char c : name) {
    out += c == '-' ? '_' : (c >= 'a' && c <= 'z') ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return out;
}

Options::Option* Options::FindOrNull(std::string_view name) {
  auto it = std::find_if(options_.begin(), options_.end(),
                         [&](const Option& o) { return o.name == name; });
  return it == options_.end() ? nullptr : &*it;
}

const Options::Option& Options::Find(std::string_view name) const {
  const Option* option = const_cast<Options*>(this)->FindOrNull(name);
  BANYAN_CHECK(option != nullptr);
  return *option;
}

std::string Options::Nearest(std::string_view name) const {
  // Far longer than any option: comparing it in full would cost much and say nothing.
  name = name.substr(0, 100);
  auto it =
      std::min_element(options_.begin(), options_.end(), [&](const Option& a, const Option& b) {
        return EditDistance(a.name, name) < EditDistance(b.name, name);
      });
  return it == options_.end() ? "" : it->name;
}

std::vector<Options::EffectiveValue> Options::Effective() const {
  std::vector<EffectiveValue> out;
  for (const Option& o : options_) out.push_back({o.name, FormatValue(o.value), o.source, o.where});
  return out;
}

std::vector<Options::Declared> Options::Declarations() const {
  std::vector<Declared> out;
  for (const Option& o : options_) {
    out.push_back(
        {o.name, o.help, EnvName(o.name), FormatValue(o.initial), Allowed(o.shape), o.shape.type});
  }
  return out;
}

}  // namespace banyan::config
