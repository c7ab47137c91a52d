#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "server/app/settings.h"
#include "server/behaviours/module.h"
#include "server/node/watcher/watch_page.h"

namespace banyan::app {

// A node in this process: runtime, modules, membership, server.
class NodeHost {
 public:
  // Returns when it serves; joining goes on behind that. `page`: shared with the node's watcher.
  // Errors: the state folder is in use by another process, the port is taken.
  // `add_modules` adds a program's own to those that ship.
  static absl::StatusOr<std::unique_ptr<NodeHost>> Start(
      const Settings& settings, WatchPage* page,
      const std::function<void(Modules*)>& add_modules = {});
  // Ends at once; Drain() first ends in order.
  ~NodeHost();

  // Stops the children that the coordinator assigned, newest first, each by its shutdown policy and
  // all within `limit`, and leaves the cluster. Blocks.
  void Drain(absl::Duration limit);

  const std::string& address() const;
  const std::string& state_dir() const;

 private:
  struct Parts;
  explicit NodeHost(std::unique_ptr<Parts> parts);
  const std::unique_ptr<Parts> parts_;
};

}  // namespace banyan::app
