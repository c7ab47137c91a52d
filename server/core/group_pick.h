#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "common/base/pid.h"
#include "common/base/target.h"
#include "common/time/clock.h"

namespace banyan {

// Which member of a group a message is for. Pids are those that all nodes know, with the number of
// their node, so that every node picks the same for kHash.
struct GroupPick {
  Target::Group::Selection selection = Target::Group::Selection::kNearest;
  std::string_view hash_key;
  uint32_t here = 0;  // the node that picks; 0: none of those that have members
  // Messages waiting for a member, as last known; for kLeastLoaded.
  std::function<uint64_t(const Pid&)> load;
};

// `members` is not empty. A process that joined twice is twice as likely, but for kHash.
Pid PickMember(const std::vector<Pid>& members, const GroupPick& pick, Random* random);

}  // namespace banyan
