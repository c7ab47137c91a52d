#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/app/settings.h"

namespace banyan::app {

// What the command line says, before values are checked.
struct CommandLine {
  enum class Command { kNode, kCoordinator, kDev, kConfig, kRestore, kVersion, kNone };
  Command command = Command::kNone;
  Role role = Role::kNode;                                // for kConfig: whose configuration
  std::map<std::string, std::vector<std::string>> flags;  // by option, as often as given
  std::string config_file;
  bool effective = false;
  // kRestore
  std::string restore_from;
  std::string restore_to;
  uint32_t restore_min_epoch = 0;
  int exit_status = 0;  // with kNone: help was shown (0), or the usage was wrong and said so (2)
};

CommandLine ReadCommandLine(int argc, char** argv);

}  // namespace banyan::app
