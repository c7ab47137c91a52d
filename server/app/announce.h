#pragma once

#include <string>

#include "absl/status/status.h"

namespace banyan::app {

// Tells people and scripts where the process serves: a few lines on stdout, and the address in
// `port_file` if that is not empty.
struct Announcement {
  std::string what;  // "node n1", "coordinator"
  std::string address;
  std::string state_dir;
  std::string detail;  // a further "key value", or empty
  std::string port_file;
};
absl::Status Announce(const Announcement& a);

}  // namespace banyan::app
