#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "server/app/settings.h"

namespace banyan::app {

// A coordinator in this process: store, state machine, server. Destroying it ends all three; nodes
// and children go on.
class CoordinatorHost {
 public:
  // Returns when it serves. Errors: the store is held by another process, the port is taken, lease
  // times that break the guarantees.
  static absl::StatusOr<std::unique_ptr<CoordinatorHost>> Start(const Settings& settings);
  ~CoordinatorHost();

  const std::string& address() const;
  const std::string& state_dir() const;

 private:
  struct Parts;
  explicit CoordinatorHost(std::unique_ptr<Parts> parts);
  const std::unique_ptr<Parts> parts_;
};

}  // namespace banyan::app
