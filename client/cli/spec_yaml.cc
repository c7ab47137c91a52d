#include "client/cli/spec_yaml.h"

#include "client/cli/yaml_message.h"
#include "yaml-cpp/yaml.h"
#include <fmt/format.h>

#include "banyan/v1/supervisors.pb.h"

namespace banyan::cli {

SpecFile ReadSpecYaml(const std::string& text, client::TypeRegistry* types) {
  SpecFile file;
  // yaml-cpp throws on broken syntax and on odd accesses; nothing of that leaves this function.
  try {
    const YAML::Node top = YAML::Load(text);
    YamlToMessage reader(types);
    if (!top.IsMap()) {
      reader.Problem(top, "", "the file must be a map: a supervisor's fields, or name and spec");
    } else if (top["spec"]) {
      v1::ApplyRequest request;
      reader.Fill(top, "", &request);
      file.name = request.name();
      file.spec = std::move(*request.mutable_spec());
    } else {
      reader.Fill(top, "", &file.spec);
    }
    file.problems = reader.problems();
  } catch (const YAML::Exception& e) {
    file.problems.push_back(fmt::format("line {}: not YAML: {}", e.mark.line + 1, e.msg));
  }
  return file;
}

}  // namespace banyan::cli
