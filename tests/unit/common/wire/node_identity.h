#pragma once

#include "common/wire/pid.h"

namespace banyan::wire {

// The node on which these tests take place.
inline constexpr NodeIdentity kSelf{.node_id = 2, .incarnation = 5};

}  // namespace banyan::wire
