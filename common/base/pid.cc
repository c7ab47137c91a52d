#include "common/base/pid.h"

#include "fmt/format.h"

namespace banyan {

std::string FormatPid(const Pid& pid, std::string_view node) {
  std::string out = node.empty() ? fmt::format("{}:{}:{}", pid.node_id, pid.incarnation, pid.slot())
                                 : fmt::format("{}:{}:{}", node, pid.incarnation, pid.slot());
  if (pid.generation() != 0) out += fmt::format(".{}", pid.generation());
  return out;
}

}  // namespace banyan
