#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "common/config/value.h"

namespace banyan::config {

enum class Source : uint8_t { kDefault, kFile, kEnvironment, kFlag };
std::string_view SourceName(Source source);  // "default", "file", "environment", "flag"

// Where values come from, besides the defaults.
struct Sources {
  std::map<std::string, std::vector<std::string>> flags;  // by the option's name; as often as given
  std::function<std::optional<std::string>(const std::string&)> env;  // unset: the process's own
  std::string file;  // path of a YAML file; empty: none
};

// A program's options by name ("listen-addr"). One name gives all three places: the flag
// --listen-addr, the variable PREFIX_LISTEN_ADDR, the key `listen-addr` of the file. A flag wins
// over the environment, that over the file, that over the default.
//
// First declare, then Load once, then read. Reading an option that was not declared, or as another
// type, is a broken invariant.
class Options {
 public:
  explicit Options(std::string env_prefix = "BANYAND") : env_prefix_(std::move(env_prefix)) {}

  // `value` is the default.
  void String(std::string name, std::string value, std::string help,
              std::vector<std::string> words = {});
  void Bool(std::string name, bool value, std::string help);
  void Int(std::string name, int64_t value, int64_t min, int64_t max, std::string help);
  void Duration(std::string name, absl::Duration value, std::string help,
                absl::Duration min = absl::ZeroDuration(),
                absl::Duration max = absl::InfiniteDuration());
  void Address(std::string name, HostPort value, std::string help);
  void Addresses(std::string name, std::vector<HostPort> value, std::string help);
  void KeyValues(std::string name, Map value, std::string help);

  // INVALID_ARGUMENT with a line for each problem: what is wrong, where it came from, what is
  // allowed.
  absl::Status Load(const Sources& sources);

  const std::string& GetString(std::string_view name) const { return Get<std::string>(name); }
  bool GetBool(std::string_view name) const { return Get<bool>(name); }
  int64_t GetInt(std::string_view name) const { return Get<int64_t>(name); }
  absl::Duration GetDuration(std::string_view name) const { return Get<absl::Duration>(name); }
  const HostPort& GetAddress(std::string_view name) const { return Get<HostPort>(name); }
  const std::vector<HostPort>& GetAddresses(std::string_view name) const {
    return Get<std::vector<HostPort>>(name);
  }
  const Map& GetMap(std::string_view name) const { return Get<Map>(name); }
  Source SourceOf(std::string_view name) const { return Find(name).source; }

  // What holds, in the order of declaration.
  struct EffectiveValue {
    std::string name;
    std::string value;
    Source source;
    std::string where;  // "flag --x", "env BANYAND_X", "banyand.yaml:3", "default"
  };
  std::vector<EffectiveValue> Effective() const;

  // What a command line parser needs to know.
  struct Declared {
    std::string name, help, env, default_text, allowed;
    Type type;
  };
  std::vector<Declared> Declarations() const;

 private:
  struct Option {
    std::string name, help;
    Shape shape;
    Value initial, value;
    Source source = Source::kDefault;
    std::string where = "default";
  };

  void Add(std::string name, Shape shape, Value value, std::string help);
  std::string EnvName(std::string_view name) const;
  const Option& Find(std::string_view name) const;
  Option* FindOrNull(std::string_view name);
  std::string Nearest(std::string_view name) const;
  void LoadFile(const std::string& path, std::vector<std::string>* problems);
  void Set(Option& option, Source source, std::string where, const std::vector<std::string>& texts,
           std::vector<std::string>* problems);
  template <typename T>
  const T& Get(std::string_view name) const {
    return std::get<T>(Find(name).value);
  }

  const std::string env_prefix_;
  std::vector<Option> options_;
};

}  // namespace banyan::config
