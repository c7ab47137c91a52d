#pragma once

#include <string>
#include <vector>

#include "client/transport/types.h"
#include "google/protobuf/message.h"
#include "yaml-cpp/node/node.h"

namespace banyan::cli {

// Fills messages from YAML by their descriptors, in the friendly forms that spec_yaml.h names. Goes
// on after a mistake, so that all of them are found at once.
class YamlToMessage {
 public:
  explicit YamlToMessage(client::TypeRegistry* types) : types_(types) {}

  // `path` names the place in problems; empty for the top.
  void Fill(const YAML::Node& node, const std::string& path, google::protobuf::Message* message);
  const std::vector<std::string>& problems() const { return problems_; }
  void Problem(const YAML::Node& node, const std::string& path, const std::string& what);

 private:
  // Forms of their own: durations, shutdown policies, payloads. False if `message` has none.
  bool FillSpecial(const YAML::Node& node, const std::string& path,
                   google::protobuf::Message* message);
  void FillPayload(const YAML::Node& node, const std::string& path,
                   google::protobuf::Message* message);
  void FillField(const YAML::Node& node, const std::string& path,
                 google::protobuf::Message* message,
                 const google::protobuf::FieldDescriptor* field);
  void FillMap(const YAML::Node& node, const std::string& path, google::protobuf::Message* message,
               const google::protobuf::FieldDescriptor* field);
  void FillOne(const YAML::Node& node, const std::string& path, google::protobuf::Message* message,
               const google::protobuf::FieldDescriptor* field);
  void FillScalar(const YAML::Node& node, const std::string& path,
                  google::protobuf::Message* message,
                  const google::protobuf::FieldDescriptor* field);

  client::TypeRegistry* const types_;
  std::vector<std::string> problems_;
};

// YAML data as JSON text, scalars typed as YAML's core schema does; quoted ones are strings.
std::string YamlToJson(const YAML::Node& node);

}  // namespace banyan::cli
