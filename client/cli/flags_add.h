#pragma once

#include <functional>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "client/cli/cli.h"

// What the files that declare flags share; they alone include CLI11.

namespace banyan::cli {

using Command = std::function<int(Cli&)>;

// Adds a subcommand that runs `run` with its own copy of Options. Flags bind to what is returned.
template <typename Options>
struct Added {
  CLI::App* app;
  std::shared_ptr<Options> options;
};
template <typename Options>
Added<Options> Add(CLI::App& parent, const std::string& name, const std::string& text,
                   Command* chosen, int (*run)(Cli&, const Options&)) {
  auto options = std::make_shared<Options>();
  CLI::App* app = parent.add_subcommand(name, text);
  app->callback([=] { *chosen = [=](Cli& cli) { return run(cli, *options); }; });
  return {app, options};
}

inline CLI::App* Group(CLI::App& app, const std::string& name, const std::string& text) {
  CLI::App* group = app.add_subcommand(name, text);
  group->require_subcommand(1);
  return group;
}

// flags_actors.cc
void AddActors(CLI::App& app, Command* chosen);

}  // namespace banyan::cli
