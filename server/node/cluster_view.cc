#include "server/node/cluster_view.h"

#include <charconv>

namespace banyan {

bool ClusterView::Apply(const internal::v1::ViewUpdate& update) {
  if (update.epoch() < epoch_) return false;
  // A new leader counts anew: its first word is a full view, which holds whatever its number is.
  const bool newer = update.epoch() > epoch_ ? update.full() : update.version() > version_;
  if (!newer && !update.full()) return false;
  epoch_ = update.epoch();
  version_ = update.version();
  if (update.full()) members_.clear();
  for (const v1::NodeInfo& info : update.nodes()) {
    Member& m = members_[info.node_id()];
    m.name = info.name();
    m.id = {info.node_id(), info.incarnation()};
    m.address = info.address();
    m.state = info.state();
  }
  return true;
}

const ClusterView::Member* ClusterView::Find(uint32_t node_id) const {
  auto it = members_.find(node_id);
  return it == members_.end() ? nullptr : &it->second;
}

const ClusterView::Member* ClusterView::Find(const std::string& node) const {
  for (const auto& [id, member] : members_) {
    if (member.name == node) return &member;
  }
  uint32_t id = 0;
  const auto [end, error] = std::from_chars(node.data(), node.data() + node.size(), id);
  return error == std::errc() && end == node.data() + node.size() ? Find(id) : nullptr;
}

}  // namespace banyan
