#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>

namespace banyan {

// Which nodes remember the holder of which name, and so must hear of its changes (cluster.md 4.1).
class Interests {
 public:
  using Place = std::list<const std::string*>::iterator;
  explicit Interests(size_t max_per_node) : max_per_node_(max_per_node) {}

  // The node has just asked for the name. What it asked for longest ago gives way to one too many,
  // and is returned: the node must not remember it any longer.
  std::optional<std::string> Add(const std::string& name, uint32_t node_id);
  // It remembers nothing any more.
  void Forget(uint32_t node_id);
  // By node; null: nobody's.
  const std::map<uint32_t, Place>* Of(const std::string& name) const;

 private:
  void Remove(const std::string& name, uint32_t node_id);

  const size_t max_per_node_;
  std::map<std::string, std::map<uint32_t, Place>> names_;
  std::map<uint32_t, std::list<const std::string*>> nodes_;  // keys of names_, asked for last first
};

}  // namespace banyan
