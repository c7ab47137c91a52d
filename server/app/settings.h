#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "common/config/options.h"
#include "common/log/log.h"

namespace banyan::app {

// What `banyand` was told, from flags, environment and file, checked and with its defaults filled
// in.
struct Settings {
  std::string name;
  std::string cluster;
  std::string listen;                     // "host:port"
  std::string advertise;                  // "host:port"; empty: where it listens
  std::vector<std::string> coordinators;  // of a node
  std::string state_dir;
  std::map<std::string, std::string> labels;
  bool watch = true;
  bool allow_exec = true;
  bool tune = true;
  int workers = 0;
  double lease_scale = 1;
  absl::Duration heartbeat;  // zero: the default, scaled; so are the four that follow
  absl::Duration suspect_after;
  absl::Duration lease_freeze;
  absl::Duration lease_node;
  absl::Duration lease_coordinator;
  size_t relays_max = 0;
  bool rejoin_when_dead = true;
  absl::Duration drain_timeout;
  std::string port_file;
  log::Level log_level = log::Level::kInfo;
  log::Format log_format = log::Format::kText;
  std::vector<std::string> warnings;
};

enum class Role { kNode, kCoordinator, kDev };

// Declares the options of a role. One name is the flag, the environment variable BANYAND_NAME and
// the key of the configuration file.
void DeclareOptions(Role role, config::Options* options);

// Errors: INVALID_ARGUMENT for values that do not fit together, naming each and what is allowed.
absl::StatusOr<Settings> ReadSettings(Role role, const config::Options& options);

bool IsLoopback(const std::string& host);

}  // namespace banyan::app
