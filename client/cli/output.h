#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "client/cli/cli.h"
#include "google/protobuf/message.h"

#include "banyan/v1/supervisors.pb.h"

namespace banyan::cli {

// A table without borders. Columns are as wide as their widest cell; on a terminal lines are cut to
// its width.
class Table {
 public:
  // A header that begins with '>' aligns its column right. An empty list: no header line at all.
  explicit Table(std::vector<std::string> headers) : headers_(std::move(headers)) {}
  void Add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  void Print(Cli& cli) const;

 private:
  std::vector<std::string> headers_;
  std::vector<std::vector<std::string>> rows_;
};

// Lines "Label   value", labels aligned.
class Facts {
 public:
  // An empty value leaves the line out.
  void Add(std::string label, std::string value);
  void Print(Cli& cli) const;

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

// `message` as -o json, jsonl or yaml says. Only if cli.structured().
void PrintMessage(Cli& cli, const google::protobuf::Message& message);
// One answer: structured formats print `response`, -q and -o name print `name`, else `human` runs.
int PrintOne(Cli& cli, const google::protobuf::Message& response, const std::string& name,
             const std::function<void()>& human);

// A list: structured formats print `response` (jsonl: one item a line), -q and -o name print names.
template <typename Items, typename NameOf>
int PrintList(Cli& cli, const google::protobuf::Message& response, const Items& items,
              NameOf name_of, const std::function<void()>& human) {
  if (cli.names_only()) {
    for (const auto& item : items) cli.out() << name_of(item) << "\n";
  } else if (cli.options().output == Format::kJsonl) {
    for (const auto& item : items) PrintMessage(cli, item);
  } else if (cli.structured()) {
    PrintMessage(cli, response);
  } else {
    human();
  }
  return kDone;
}

std::string JsonToYaml(const std::string& json);

// "running" for CHILD_STATE_RUNNING, "one_for_one" for STRATEGY_ONE_FOR_ONE: the value's name
// without the prefix that all values of its enum share, in lower case.
std::string EnumWord(const google::protobuf::EnumDescriptor* type, int value);
template <typename Enum>
std::string Word(Enum value) {
  return EnumWord(google::protobuf::GetEnumDescriptor<Enum>(), value);
}
// The value for a word (any case, with or without the prefix); -1 if there is none.
int EnumFromWord(const google::protobuf::EnumDescriptor* type, std::string_view word);
// All words of an enum but "unspecified", joined by ", ".
std::string EnumWords(const google::protobuf::EnumDescriptor* type);

std::string Age(const google::protobuf::Timestamp& since);   // "2d"; "-" if unset
std::string Clock(const google::protobuf::Timestamp& time);  // "09:20:11.042", local time
std::string Bytes(uint64_t bytes);                           // "118Mi"
std::string Count(uint64_t number);                          // "1,204"
std::string FenceText(uint64_t fence);                       // "EPOCH.SEQ.ATTEMPT"; "-" for 0
std::string StrategyText(const v1::SupervisorSpec& spec);    // "rest_for_one 1/5s"
// Escape codes around a state's word where it deserves attention, if colours are on.
std::string Colored(const Cli& cli, const std::string& word);

}  // namespace banyan::cli
