#include "server/coordinator/interests.h"

namespace banyan {

std::optional<std::string> Interests::Add(const std::string& name, uint32_t node_id) {
  auto& [key, nodes] = *names_.try_emplace(name).first;
  std::list<const std::string*>& asked = nodes_[node_id];
  if (auto it = nodes.find(node_id); it != nodes.end()) {
    asked.splice(asked.begin(), asked, it->second);
    return std::nullopt;
  }
  asked.push_front(&key);
  nodes[node_id] = asked.begin();
  if (asked.size() <= max_per_node_) return std::nullopt;
  const std::string last = *asked.back();
  asked.pop_back();
  Remove(last, node_id);
  return last;
}

void Interests::Forget(uint32_t node_id) {
  auto asked = nodes_.extract(node_id);
  if (asked.empty()) return;
  for (const std::string* name : asked.mapped()) Remove(std::string(*name), node_id);
}

const std::map<uint32_t, Interests::Place>* Interests::Of(const std::string& name) const {
  auto it = names_.find(name);
  return it == names_.end() ? nullptr : &it->second;
}

void Interests::Remove(const std::string& name, uint32_t node_id) {
  auto it = names_.find(name);
  it->second.erase(node_id);
  if (it->second.empty()) names_.erase(it);
}

}  // namespace banyan
