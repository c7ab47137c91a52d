#pragma once

#include <string>

namespace banyan {

// A message to the holder of a dynamic name that is not exclusive: its node has no lease any more,
// so the cluster may give the name to another before long. It may go on; should its node be
// declared dead it gets the exit {name_lost, NAME}.
struct LeaseLost {
  std::string name;
};

}  // namespace banyan
