#include "client/cli/output.h"

#include <algorithm>
#include <cctype>
#include <ostream>

#include "absl/time/clock.h"
#include "client/transport/duration.h"
#include "client/transport/payload.h"
#include "nlohmann/json.hpp"
#include "yaml-cpp/yaml.h"
#include <fmt/format.h>

#include "common/base/pid.h"

namespace banyan::cli {
namespace {

constexpr std::string_view kGap = "  ";

// Characters on the screen: escape codes and UTF-8's continuation bytes take no room.
size_t Width(std::string_view text) {
  size_t width = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\033') {
      while (i < text.size() && text[i] != 'm') ++i;
    } else if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) {
      ++width;
    }
  }
  return width;
}

std::string CutTo(const std::string& text, size_t width) {
  if (width == 0 || Width(text) <= width) return text;
  size_t seen = 0;
  size_t i = 0;
  bool escape = false;
  bool colored = false;
  for (; i < text.size(); ++i) {
    if (text[i] == '\033') escape = colored = true;
    const bool starts = !escape && (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80;
    if (starts && ++seen > width) break;
    if (escape && text[i] == 'm') escape = false;
  }
  return text.substr(0, i) + (colored ? "\033[0m" : "");
}

void EmitYaml(const nlohmann::ordered_json& json, YAML::Emitter* out) {
  if (json.is_object()) {
    *out << YAML::BeginMap;
    for (const auto& [key, value] : json.items()) {
      *out << YAML::Key << key << YAML::Value;
      EmitYaml(value, out);
    }
    *out << YAML::EndMap;
  } else if (json.is_array()) {
    if (json.empty()) *out << YAML::Flow;
    *out << YAML::BeginSeq;
    for (const auto& value : json) EmitYaml(value, out);
    *out << YAML::EndSeq;
  } else if (json.is_string()) {
    // Quoted where a YAML reader would take it for something else.
    const std::string text = json.get<std::string>();
    const auto parsed = nlohmann::json::parse(text, nullptr, false);
    const bool looks_typed =
        text.empty() || !parsed.is_discarded() || text == "yes" || text == "no" || text == "~";
    if (looks_typed) *out << YAML::DoubleQuoted;
    *out << text;
  } else {
    *out << json.dump();
  }
}

std::string Prefix(const google::protobuf::EnumDescriptor* type) {
  std::string prefix;
  for (char c : type->name()) {
    if (std::isupper(static_cast<unsigned char>(c)) && !prefix.empty()) prefix += '_';
    prefix += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return prefix + "_";
}

std::string Upper(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

void Table::Print(Cli& cli) const {
  std::vector<std::string> headers = headers_;
  std::vector<bool> right(headers.size(), false);
  for (size_t i = 0; i < headers.size(); ++i) {
    if (headers[i].substr(0, 1) != ">") continue;
    headers[i].erase(0, 1);
    right[i] = true;
  }
  std::vector<std::vector<std::string>> lines;
  if (!headers.empty() && !cli.options().no_headers) lines.push_back(headers);
  lines.insert(lines.end(), rows_.begin(), rows_.end());
  std::vector<size_t> widths;
  for (const auto& line : lines) {
    widths.resize(std::max(widths.size(), line.size()));
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], Width(line[i]));
  }
  const size_t limit = cli.env().out_is_terminal ? static_cast<size_t>(cli.env().width) : 0;
  for (const auto& line : lines) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i) {
      const std::string pad(widths[i] - Width(line[i]), ' ');
      if (i > 0) text += kGap;
      text += i < right.size() && right[i] ? pad + line[i] : line[i] + pad;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    cli.out() << CutTo(text, limit) << "\n";
  }
}

void Facts::Add(std::string label, std::string value) {
  if (!value.empty()) lines_.emplace_back(std::move(label), std::move(value));
}

void Facts::Print(Cli& cli) const {
  size_t width = 0;
  for (const auto& [label, value] : lines_) width = std::max(width, label.size());
  for (const auto& [label, value] : lines_)
    cli.out() << fmt::format("{:<{}}  {}\n", label, width, value);
}

std::string JsonToYaml(const std::string& json) {
  const auto parsed = nlohmann::ordered_json::parse(json, nullptr, false);
  if (parsed.is_discarded()) return json;
  YAML::Emitter out;
  out.SetIndent(2);
  EmitYaml(parsed, &out);
  return out.c_str();
}

void PrintMessage(Cli& cli, const google::protobuf::Message& message) {
  const bool pretty = cli.options().output != Format::kJsonl;
  const std::string json = client::MessageToJson(message, &cli.types(), pretty);
  cli.out() << (cli.options().output == Format::kYaml ? JsonToYaml(json) : json) << "\n"
            << std::flush;
}

int PrintOne(Cli& cli, const google::protobuf::Message& response, const std::string& name,
             const std::function<void()>& human) {
  if (cli.names_only()) {
    if (!name.empty()) cli.out() << name << "\n";
  } else if (cli.structured()) {
    PrintMessage(cli, response);
  } else {
    human();
  }
  return kDone;
}

std::string EnumWord(const google::protobuf::EnumDescriptor* type, int value) {
  const auto* found = type->FindValueByNumber(value);
  if (found == nullptr) return std::to_string(value);
  const std::string prefix = Prefix(type);
  const std::string& name = found->name();
  return Lower(name.compare(0, prefix.size(), prefix) == 0 ? name.substr(prefix.size()) : name);
}

int EnumFromWord(const google::protobuf::EnumDescriptor* type, std::string_view word) {
  const std::string upper = Upper(word);
  const auto* found = type->FindValueByName(Prefix(type) + upper);
  if (found == nullptr) found = type->FindValueByName(upper);
  return found == nullptr ? -1 : found->number();
}

std::string EnumWords(const google::protobuf::EnumDescriptor* type) {
  std::string words;
  for (int i = 0; i < type->value_count(); ++i) {
    if (type->value(i)->number() == 0) continue;
    words +=
        fmt::format("{}{}", words.empty() ? "" : ", ", EnumWord(type, type->value(i)->number()));
  }
  return words;
}

std::string Age(const google::protobuf::Timestamp& since) {
  if (since.seconds() == 0) return "-";
  return client::FormatAge(absl::Now() - client::FromProto(since));
}

std::string Clock(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return absl::FormatTime("%H:%M:%E3S", client::FromProto(time), absl::LocalTimeZone());
}

std::string Bytes(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{}", bytes);
  double value = static_cast<double>(bytes);
  std::string_view units = "KMGT";
  size_t unit = 0;
  for (value /= 1024; value >= 1024 && unit + 1 < units.size(); value /= 1024) ++unit;
  return value < 10 ? fmt::format("{:.1f}{}i", value, units[unit])
                    : fmt::format("{:.0f}{}i", value, units[unit]);
}

std::string Count(uint64_t number) {
  std::string text = std::to_string(number);
  for (int i = static_cast<int>(text.size()) - 3; i > 0; i -= 3)
    text.insert(static_cast<size_t>(i), ",");
  return text;
}

std::string FenceText(uint64_t fence) {
  if (fence == 0) return "-";
  const Fence parts(fence);
  return fmt::format("{}.{}.{}", parts.epoch(), parts.seq(), parts.attempt());
}

std::string StrategyText(const v1::SupervisorSpec& spec) {
  const auto strategy = spec.strategy() == v1::SupervisorSpec::STRATEGY_UNSPECIFIED
                            ? v1::SupervisorSpec::STRATEGY_ONE_FOR_ONE
                            : spec.strategy();
  return fmt::format(
      "{} {}/{}", Word(strategy), spec.has_intensity() ? spec.intensity() : 1,
      spec.has_period() ? client::DurationText(client::FromProto(spec.period())) : "5s");
}

std::string Colored(const Cli& cli, const std::string& word) {
  if (!cli.options().color) return word;
  if (word == "active" || word == "running" || word.substr(0, 3) == "up ")
    return "\033[32m" + word + "\033[0m";
  for (const char* bad : {"dead", "failed", "suspect", "unreachable"}) {
    if (word == bad) return "\033[31m" + word + "\033[0m";
  }
  for (const char* odd : {"pending", "draining", "backoff", "starting", "stopping", "joining"}) {
    if (word == odd) return "\033[33m" + word + "\033[0m";
  }
  return word;
}

}  // namespace banyan::cli
