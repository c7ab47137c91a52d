#include "server/app/command_line.h"

#include <cstdio>
#include <memory>

#include "CLI/CLI.hpp"
#include "fmt/format.h"

namespace banyan::app {
namespace {

constexpr int kWrongUsage = 2;

struct Sub {
  CLI::App* app = nullptr;
  CommandLine::Command command;
  Role role;
  config::Options options;
  std::map<std::string, std::vector<std::string>> flags;
  std::string config_file;
  bool effective = false;
};

void AddFlags(Sub* sub) {
  sub->app->add_option("--config", sub->config_file,
                       "YAML file with these options as keys; flags and BANYAND_* variables win");
  for (const config::Options::Declared& d : sub->options.Declarations()) {
    const std::string help = fmt::format(
        "{} [{}{}]", d.help, d.env, d.default_text.empty() ? "" : ", default " + d.default_text);
    auto* option = sub->app->add_option(fmt::format("--{}", d.name), sub->flags[d.name], help)
                       ->type_name(d.type == config::Type::kBool ? "" : d.allowed)
                       ->take_all();
    d.type == config::Type::kBool ? option->expected(0, 1)
                                  : option->expected(1)->allow_extra_args(false);
    if (d.type != config::Type::kBool) option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
}

}  // namespace

CommandLine ReadCommandLine(int argc, char** argv) {
  CLI::App app("Banyan's daemon: supervision trees across machines.", "banyand");
  app.require_subcommand(1);
  std::vector<std::unique_ptr<Sub>> subs;
  const auto add = [&](CLI::App* parent, const char* name, const char* help,
                       CommandLine::Command command, Role role) {
    auto sub = std::make_unique<Sub>();
    sub->app = parent->add_subcommand(name, help);
    sub->command = command;
    sub->role = role;
    DeclareOptions(role, &sub->options);
    AddFlags(sub.get());
    subs.push_back(std::move(sub));
    return subs.back().get();
  };
  using Command = CommandLine::Command;
  add(&app, "node", "host actors as a member of a cluster", Command::kNode, Role::kNode);
  add(&app, "coordinator", "keep members, names and cluster-wide supervisors",
      Command::kCoordinator, Role::kCoordinator);
  add(&app, "dev", "a coordinator and one node in one process, for trying things out",
      Command::kDev, Role::kDev);
  CLI::App* config = app.add_subcommand("config", "show what a command would run with");
  config->require_subcommand(1);
  for (auto [name, role] :
       {std::pair{"node", Role::kNode}, {"coordinator", Role::kCoordinator}, {"dev", Role::kDev}}) {
    Sub* sub = add(config, name, "each option's value", Command::kConfig, role);
    sub->app->add_flag("--effective", sub->effective, "with where it comes from");
  }
  CommandLine out;
  CLI::App* restore = app.add_subcommand(
      "restore", "make a coordinator's store of a backup, while no coordinator runs on it");
  restore->add_option("--from", out.restore_from, "the backup, as `banyan backup` wrote it")
      ->required();
  restore
      ->add_option("--to", out.restore_to,
                   "the store to make, or the coordinator's state folder; must hold no store")
      ->required();
  restore->add_option("--min-epoch", out.restore_min_epoch,
                      "the highest epoch that nodes have obeyed, as their refusals say "
                      "[default 1000 above the backup's]");
  CLI::App* version = app.add_subcommand("version", "print the version");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) {  // --help
      app.exit(e);
      return out;
    }
    std::string command = "banyand";
    for (const auto& sub : subs) {
      if (sub->app->parsed()) command = fmt::format("banyand {}", sub->app->get_name());
    }
    fmt::print(stderr, "banyand: command line: {}\nallowed: see {} --help\n", e.what(), command);
    out.exit_status = kWrongUsage;
    return out;
  }
  if (version->parsed()) out.command = Command::kVersion;
  if (restore->parsed()) out.command = Command::kRestore;
  for (const auto& sub : subs) {
    if (!sub->app->parsed()) continue;
    out.command = sub->command;
    out.role = sub->role;
    out.config_file = sub->config_file;
    out.effective = sub->effective;
    for (const config::Options::Declared& d : sub->options.Declarations()) {
      const CLI::Option* option = sub->app->get_option(fmt::format("--{}", d.name));
      if (option->count() == 0) continue;
      std::vector<std::string> values = sub->flags[d.name];
      if (values.empty() || (d.type == config::Type::kBool && values.front().empty()))
        values = {"true"};
      out.flags[d.name] = std::move(values);
    }
  }
  return out;
}

}  // namespace banyan::app
