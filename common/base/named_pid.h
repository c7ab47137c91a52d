#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/pid.h"

namespace banyan {

// The address of a name on a node in the shape of a pid, so that whatever is sent to a pid can be
// sent there: whoever has the name when the signal arrives. Nobody ever has such a pid, for slot 0
// is not given out.
//
// Names are kept for ever, as Erlang keeps atoms: for those that a program writes down, not for
// those that it makes up as it runs. Above a million the null pid is returned, and nobody is
// reached.
inline constexpr uint32_t kNamedPidsMax = 1 << 20;
inline constexpr uint32_t kNoNodeId = 0xFFFFFFFE;  // of NAME@NODE where there is no such node
Pid NamedPid(uint32_t node_id, uint32_t incarnation, std::string_view name);
// Null: an ordinary pid. Valid for ever.
const std::string* NameOf(const Pid& pid);

}  // namespace banyan
