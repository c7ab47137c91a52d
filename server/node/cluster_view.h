#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "banyan/internal/v1/membership.pb.h"
#include "banyan/v1/types.pb.h"
#include "common/wire/pid.h"

namespace banyan {

// The members as the coordinator last told. An immutable value once shared.
class ClusterView {
 public:
  struct Member {
    std::string name;
    wire::NodeIdentity id;
    std::string address;
    v1::NodeState state = v1::NODE_STATE_UNSPECIFIED;
    bool gone() const { return state == v1::NODE_STATE_DEAD || state == v1::NODE_STATE_LEFT; }
  };

  // False: the update was older than the view or of a former epoch, and changed nothing.
  bool Apply(const internal::v1::ViewUpdate& update);

  uint64_t version() const { return version_; }
  // By node id.
  const std::map<uint32_t, Member>& members() const { return members_; }
  const Member* Find(uint32_t node_id) const;
  // By name, or by number in decimal.
  const Member* Find(const std::string& node) const;

 private:
  uint64_t version_ = 0;
  uint32_t epoch_ = 0;
  std::map<uint32_t, Member> members_;
};

}  // namespace banyan
