#include "common/base/pid.h"

#include "fmt/format.h"

#include "common/base/named_pid.h"

namespace banyan {

std::string FormatPid(const Pid& pid, std::string_view node) {
  if (const auto name = NameOf(pid)) {
    return pid.local() ? *name : fmt::format("{}@{}:{}", *name, pid.node_id, pid.incarnation);
  }
  std::string out = node.empty() ? fmt::format("{}:{}:{}", pid.node_id, pid.incarnation, pid.slot())
                                 : fmt::format("{}:{}:{}", node, pid.incarnation, pid.slot());
  if (pid.generation() != 0) out += fmt::format(".{}", pid.generation());
  return out;
}

}  // namespace banyan
