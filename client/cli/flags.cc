// All flags of all commands, but those of processes: in few files, for CLI11 is slow to compile.
#include <algorithm>
#include <map>
#include <memory>
#include <ostream>

#include "client/cli/commands/commands.h"
#include "client/cli/flags_add.h"
#include "client/transport/duration.h"
#include <fmt/format.h>

namespace banyan::cli {
namespace {

// The global flags as typed.
struct GlobalTexts {
  std::string addr;
  std::string output;
  std::string timeout;
  std::string color;
  bool no_headers = false;
  bool quiet = false;
  int verbose = 0;
  std::vector<std::string> proto_files;
};

void AddGlobals(CLI::App& app, GlobalTexts* texts) {
  app.add_option("-a,--addr", texts->addr,
                 "A node or the coordinator: HOST:PORT[,HOST:PORT..] (BANYAN_ADDR)");
  app.add_option("-o,--output", texts->output,
                 "table, wide, json, jsonl, yaml, name (BANYAN_OUTPUT)");
  app.add_option("--timeout", texts->timeout,
                 "Deadline of each RPC, e.g. 10s; 0: none (BANYAN_TIMEOUT)");
  app.add_option("--color", texts->color, "auto, always, never (NO_COLOR, CLICOLOR_FORCE)");
  app.add_option("--proto", texts->proto_files, "A .proto file with message types; may be repeated")
      ->type_size(1)
      ->allow_extra_args(false);
  app.add_flag("--no-headers", texts->no_headers, "Tables without their first line");
  app.add_flag("-q,--quiet", texts->quiet, "Only names");
  app.add_flag("-v,--verbose", texts->verbose,
               "RPCs with their times on stderr; -vv: error metadata too");
}

void AddNodeChanges(CLI::App& node, Command* chosen) {
  auto label = Add<NodeChangeOptions>(node, "label", "Change labels", chosen, RunNodeLabel);
  auto capacity =
      Add<NodeChangeOptions>(node, "capacity", "Change what it offers", chosen, RunNodeCapacity);
  for (auto* change : {&label, &capacity}) {
    change->app->add_option("NAME", change->options->name, "Which")->required();
    change->app
        ->add_option("CHANGE", change->options->changes,
                     "KEY=VALUE, or KEY- to take what operators gave away")
        ->required();
  }
  const auto action = [&](const char* name, const char* text,
                          int (*run)(Cli&, const NodeActionOptions&)) {
    auto added = Add<NodeActionOptions>(node, name, text, chosen, run);
    added.app->add_option("NAME", added.options->name, "Which")->required();
    return added;
  };
  auto cordon = action("cordon", "Take a node out of placement; what runs stays", RunNodeCordon);
  action("uncordon", "Put it back, and end a drain", RunNodeUncordon);
  auto dead = action("confirm-dead", "Declare it dead on your word", RunNodeConfirmDead);
  auto remove = action("remove", "Forget one that is dead or has left", RunNodeRemove);
  for (auto* told : {&cordon, &dead})
    told->app->add_option("-m,--message", told->options->message, "Why");
  dead.app->add_flag("--force", dead.options->force, "Although it is heard of");
  for (auto* asks : {&dead, &remove})
    asks->app->add_flag("-y,--yes", asks->options->yes, "Don't ask");
  auto drain =
      Add<NodeDrainOptions>(node, "drain", "Move its children elsewhere", chosen, RunNodeDrain);
  NodeDrainOptions* options = drain.options.get();
  drain.app->add_option("NAME", options->name, "Which")->required();
  auto* deadline = drain.app->add_option("--deadline", options->deadline,
                                         "When what is left is stopped by force (default 1h)");
  drain.app->add_flag("--no-deadline", options->no_deadline, "Never by force")->excludes(deadline);
  drain.app->add_option("--max-parallel", options->max_parallel,
                        "Children of one supervisor away at a time (default: its max_unavailable)");
  drain.app->add_option("-m,--message", options->message, "Why");
  drain.app->add_flag("--then-leave", options->then_leave, "The node leaves when it is empty");
  drain.app->add_flag("--detach", options->detach, "Don't wait for the end");
  drain.app->add_flag("--attach", options->attach, "Only watch a drain that is going on");
  drain.app->add_flag("-y,--yes", options->yes, "Don't ask");
}

void AddOperations(CLI::App& app, Command* chosen) {
  auto backup = Add<BackupOptions>(app, "backup", "Copy the coordinator's store to a new file here",
                                   chosen, RunBackup);
  backup.app->add_option("FILE", backup.options->file, "For `banyand restore --from`")->required();
  auto safe = Add<SafeModeOptions>(app, "safe-mode", "Decide after the store went back in time",
                                   chosen, RunSafeMode);
  safe.app
      ->add_option("DECISION", safe.options->decision,
                   "adopt: what runs goes on; kill: what the store does not know is stopped")
      ->required();
  safe.app->add_flag("--dry-run", safe.options->dry_run, "Only tell");
  safe.app->add_flag("-y,--yes", safe.options->yes, "Don't ask");
  CLI::App* upgrade = Group(app, "upgrade", "Upgrades of the cluster");
  auto finalize = Add<UpgradeOptions>(*upgrade, "finalize", "Turn on what all servers can by now",
                                      chosen, RunUpgradeFinalize);
  finalize.app->add_option("--level", finalize.options->level,
                           "The feature level (default: the highest possible)");
  finalize.app->add_flag("-y,--yes", finalize.options->yes, "Don't ask");
}

void AddCluster(CLI::App& app, Command* chosen) {
  auto status = Add<StatusOptions>(app, "status", "The cluster on one screen", chosen, RunStatus);
  status.app->add_flag("--check", status.options->check, "Exit 1 and say why unless all is well");
  auto version = Add<VersionOptions>(app, "version", "Versions of this program and of the server",
                                     chosen, RunVersion);
  version.app->add_flag("--client", version.options->client_only,
                        "Only this program's; needs no server");
  auto health =
      Add<HealthOptions>(app, "health", "0 serving, 1 not serving, 7 no answer", chosen, RunHealth);
  health.app->add_option("SERVICE", health.options->service,
                         "E.g. banyan.v1.Actors; none: the server as a whole");
  auto wait = Add<WaitOptions>(app, "wait", "Wait until something is so, at most --timeout", chosen,
                               RunWait);
  wait.app
      ->add_option("--for", wait.options->conditions,
                   "node/NAME=active, child/SUP/ID=running, name/NAME, op/ID")
      ->required()
      ->type_size(1)
      ->allow_extra_args(false);

  CLI::App* node = Group(app, "node", "Nodes");
  auto list = Add<NodeListOptions>(*node, "list", "All nodes", chosen, RunNodeList);
  list.app->alias("ls");
  list.app->add_flag("--all", list.options->all, "Dead ones and those that left, too");
  list.app->add_option("--filter", list.options->filter,
                       "Passed to the server, e.g. 'state = \"ACTIVE\"'");
  auto get = Add<NodeGetOptions>(*node, "get", "One node", chosen, RunNodeGet);
  get.app->add_option("NAME", get.options->name, "None: the one that answers");
  AddNodeChanges(*node, chosen);
  AddOperations(app, chosen);
  auto rebalance = Add<RebalanceOptions>(app, "rebalance", "Move children to even the load out",
                                         chosen, RunRebalance);
  rebalance.app->add_flag("--dry-run", rebalance.options->dry_run, "Only tell what would be moved");
  rebalance.app->add_option("--max-moves", rebalance.options->max_moves,
                            "Most children to move; 0: no limit");
}

void AddChildFlags(CLI::App* app, ChildFlags* child, bool whole) {
  app->add_option("--module", child->module, "What is started");
  app->add_option("--args", child->args, "Start arguments: a JSON list, @FILE or -");
  app->add_option("--restart", child->restart, "permanent (default), transient, temporary");
  app->add_option("--shutdown", child->shutdown, "A duration such as 5s, infinity, brutal_kill");
  app->add_flag("--available", child->available,
                "Rather run twice than not at all when a node is lost");
  if (!whole) return;
  app->add_option("--id", child->id, "Its id under the supervisor");
  app->add_option("--type", child->type, "worker (default), supervisor");
  app->add_option("--name", child->name, "Name to register for it");
  app->add_option("--node", child->node, "The one node to run on");
  app->add_flag("--significant", child->significant, "Counts for the supervisor's auto-shutdown");
}

void AddSupervisors(CLI::App& app, Command* chosen) {
  CLI::App* sup = Group(app, "sup", "Supervisors");
  auto start = Add<SupStartOptions>(*sup, "start", "Start a supervisor", chosen, RunSupStart);
  start.app->add_option("NAME", start.options->name, "Its name");
  start.app->add_option(
      "--strategy", start.options->strategy,
      "one_for_one (default), one_for_all, rest_for_one, simple_one_for_one, dynamic");
  start.app->add_flag("--cluster-wide", start.options->cluster_wide,
                      "Kept by the coordinator; outlives every node");
  start.app->add_option("--intensity", start.options->intensity,
                        "Most restarts within the period (default 1)");
  start.app->add_option("--period", start.options->period, "The period, e.g. 5s (default)");
  start.app->add_option("--auto-shutdown", start.options->auto_shutdown,
                        "never (default), any_significant, all_significant");
  start.app->add_option("-f,--file", start.options->file,
                        "A YAML file that describes it with its children");
  AddChildFlags(start.app, &start.options->child, false);
  auto stop =
      Add<SupStopOptions>(*sup, "stop", "Stop a supervisor and all under it", chosen, RunSupStop);
  stop.app->add_option("SUP", stop.options->supervisor, "Which")->required();
  stop.app->add_flag("-y,--yes", stop.options->yes, "Don't ask");
  auto list = Add<SupListOptions>(*sup, "list", "Supervisors at the top", chosen, RunSupList);
  list.app->alias("ls");
  list.app->add_flag("--all", list.options->all, "Nested ones too");
  auto get = Add<SupGetOptions>(*sup, "get", "One supervisor", chosen, RunSupGet);
  get.app->add_option("SUP", get.options->supervisor, "Which")->required();

  auto tree = Add<TreeOptions>(app, "tree", "Supervision trees; also -o mermaid", chosen, RunTree);
  tree.app->add_option("SUP", tree.options->supervisor, "The top; none: all roots");
  tree.app->add_option("--depth", tree.options->depth, "Levels to go down (default: all)");
  tree.app->add_flag("-w,--watch", tree.options->watch, "Go on with changes");
  auto events =
      Add<EventsOptions>(app, "events", "What happens in supervision trees", chosen, RunEvents);
  events.app->add_option("SUP", events.options->supervisor, "Only under this one");
  events.app->add_flag("-f,--follow", events.options->follow, "Go on until interrupted");
  events.app->add_option("--since", events.options->since, "Everything after this resume token");
  events.app
      ->add_option("--kind", events.options->kinds,
                   "Only this kind, e.g. child_restarted; may be repeated")
      ->type_size(1)
      ->allow_extra_args(false);
}

// SUP [ID]: the arguments of most commands about children.
Added<ChildOptions> AddChild(CLI::App& group, const char* name, const char* text, Command* chosen,
                             int (*run)(Cli&, const ChildOptions&), bool with_id) {
  auto added = Add<ChildOptions>(group, name, text, chosen, run);
  added.app
      ->add_option("SUP", added.options->supervisor, "The supervisor: NAME, NAME/ID.. or a pid")
      ->required();
  if (with_id) added.app->add_option("ID", added.options->child, "The child's id")->required();
  return added;
}

void AddChildren(CLI::App& app, Command* chosen) {
  CLI::App* child = Group(app, "child", "Children of a supervisor");
  auto start = Add<ChildStartOptions>(*child, "start", "Start a child", chosen, RunChildStart);
  start.app
      ->add_option("SUP", start.options->supervisor, "The supervisor: NAME, NAME/ID.. or a pid")
      ->required();
  AddChildFlags(start.app, &start.options->child, true);
  AddChild(*child, "terminate", "Stop a child and keep its spec", chosen, RunChildTerminate, true);
  auto restart =
      AddChild(*child, "restart", "Start a stopped child again", chosen, RunChildRestart, true);
  restart.app->add_flag("--running-too", restart.options->running_too,
                        "Stop it first if it is running");
  AddChild(*child, "delete", "Drop a stopped child's spec", chosen, RunChildDelete, true);
  AddChild(*child, "list", "Direct children in start order", chosen, RunChildList, false)
      .app->alias("ls");
  AddChild(*child, "count", "How many there are", chosen, RunChildCount, false);
  AddChild(*child, "spec", "A child's spec as its supervisor has it", chosen, RunChildSpec, true);
}

void AddNames(CLI::App& app, Command* chosen) {
  CLI::App* name = Group(app, "name", "Registered names");
  auto list = Add<NameOptions>(*name, "list", "Names", chosen, RunNameList);
  list.app->alias("ls");
  list.app->add_option("PREFIX", list.options->name, "Only names that begin with this");
  list.app->add_flag("-w,--watch", list.options->watch, "Go on with every change");
  auto lookup = Add<NameOptions>(*name, "lookup", "Who has a name", chosen, RunNameLookup);
  lookup.app->add_option("NAME", lookup.options->name, "The name")->required();
  lookup.app->add_flag("--linearizable", lookup.options->linearizable, "Ask the coordinator");
  auto add = Add<NameOptions>(*name, "register", "Give a process a name", chosen, RunNameRegister);
  add.app->add_option("NAME", add.options->name, "The name")->required();
  add.app->add_option("TARGET", add.options->target, "For whom")->required();
  add.app->add_flag("--exclusive", add.options->exclusive,
                    "Freeze the holder while its node has no lease");
  auto remove =
      Add<NameOptions>(*name, "unregister", "Take a name away", chosen, RunNameUnregister);
  remove.app->add_option("NAME", remove.options->name, "The name")->required();
  remove.app->add_option("--pid", remove.options->target, "Only if this process has it");
}

void AddGroups(CLI::App& app, Command* chosen) {
  CLI::App* group = Group(app, "group", "Process groups");
  auto list = Add<GroupOptions>(*group, "list", "Groups", chosen, RunGroupList);
  list.app->alias("ls");
  list.app->add_option("PREFIX", list.options->group, "Only groups that begin with this");
  auto members = Add<GroupOptions>(*group, "members", "Who is in it", chosen, RunGroupMembers);
  members.app->add_option("GROUP", members.options->group, "The group")->required();
  members.app->add_flag("--local", members.options->local, "Only those on the serving node");
  auto join = Add<GroupOptions>(*group, "join", "Put processes in a group", chosen, RunGroupJoin);
  auto leave = Add<GroupOptions>(*group, "leave", "Take them out", chosen, RunGroupLeave);
  for (auto* change : {&join, &leave}) {
    change->app->add_option("GROUP", change->options->group, "The group")->required();
    change->app->add_option("TARGET", change->options->targets, "The processes")->required();
  }
}

// A global flag's text and where it came from: the flag, else the environment, else nothing.
struct Setting {
  std::string text;
  std::string source;
  bool given() const { return !source.empty(); }
};
Setting Read(const Environment& env, const std::string& flag_text, const char* flag,
             const char* variable) {
  if (!flag_text.empty()) return {flag_text, flag};
  const char* value = env.get_env(variable);
  if (value != nullptr && *value != '\0') return {value, variable};
  return {};
}

absl::Status Wrong(const Setting& setting, const std::string& what) {
  return absl::InvalidArgumentError(fmt::format("{}: {}", setting.source, what));
}

bool WantsColor(const Environment& env, const std::string& mode) {
  const auto set = [&](const char* name) {
    const char* value = env.get_env(name);
    return value != nullptr && *value != '\0' && std::string(value) != "0";
  };
  if (mode == "always") return true;
  if (mode == "never") return false;
  if (set("NO_COLOR")) return false;
  return set("CLICOLOR_FORCE") || env.out_is_terminal;
}

absl::StatusOr<GlobalOptions> Resolve(const Environment& env, const GlobalTexts& texts,
                                      bool* mermaid) {
  GlobalOptions options;
  options.no_headers = texts.no_headers;
  options.quiet = texts.quiet;
  options.verbose = texts.verbose;
  options.proto_files = texts.proto_files;
  if (Setting addr = Read(env, texts.addr, "--addr", "BANYAN_ADDR"); addr.given()) {
    auto addresses = client::ParseAddresses(addr.text);
    if (!addresses.ok()) return Wrong(addr, std::string(addresses.status().message()));
    options.addresses = *std::move(addresses);
  }
  if (Setting output = Read(env, texts.output, "--output", "BANYAN_OUTPUT"); output.given()) {
    static const std::map<std::string, Format> kFormats = {
        {"table", Format::kTable}, {"wide", Format::kWide}, {"json", Format::kJson},
        {"jsonl", Format::kJsonl}, {"yaml", Format::kYaml}, {"name", Format::kName}};
    auto it = kFormats.find(output.text);
    *mermaid = output.text == "mermaid";
    if (it == kFormats.end() && !*mermaid) {
      return Wrong(output, fmt::format("\"{}\" is not one of table, wide, json, jsonl, yaml, name",
                                       output.text));
    }
    if (it != kFormats.end()) options.output = it->second;
  }
  if (Setting timeout = Read(env, texts.timeout, "--timeout", "BANYAN_TIMEOUT"); timeout.given()) {
    auto duration = client::ParseDuration(timeout.text);
    if (!duration.ok()) return Wrong(timeout, std::string(duration.status().message()));
    options.timeout = *duration == absl::ZeroDuration() ? absl::InfiniteDuration() : *duration;
    options.timeout_given = true;
  }
  const Setting color{texts.color, "--color"};
  if (!color.text.empty() && color.text != "auto" && color.text != "always" &&
      color.text != "never") {
    return Wrong(color, fmt::format("\"{}\" is not one of auto, always, never", color.text));
  }
  options.color = WantsColor(env, color.text);
  return options;
}

int ParseFailure(CLI::App& app, const CLI::ParseError& error, const Environment& env) {
  if (error.get_exit_code() == 0) {  // --help
    env.out << app.help();
    return kDone;
  }
  const std::vector<std::string> rest = app.remaining(true);
  const bool no_command =
      std::string_view(error.what()).find("subcommand is required") != std::string_view::npos;
  if (no_command && !rest.empty()) {
    env.err << fmt::format("error: there is no command \"{}\"\n", rest.front());
  } else {
    env.err << fmt::format("error: {}\n", no_command ? "a command is missing" : error.what());
  }
  // The deepest command reached is the one whose help is of use.
  const CLI::App* at = &app;
  std::string command = "banyan";
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    command += " " + at->get_name();
  }
  env.err << fmt::format("  hint    {} --help\n", command);
  return kUsage;
}

}  // namespace

int Main(const std::vector<std::string>& args, const Environment& env) {
  CLI::App app("Talks to a Banyan cluster: any node, or its coordinator.", "banyan");
  app.fallthrough();
  app.require_subcommand(1);
  GlobalTexts texts;
  Command chosen;
  AddGlobals(app, &texts);
  AddCluster(app, &chosen);
  AddSupervisors(app, &chosen);
  AddChildren(app, &chosen);
  AddActors(app, &chosen);
  AddNames(app, &chosen);
  AddGroups(app, &chosen);
  try {
    // CLI11 takes the arguments last first.
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::ParseError& error) {
    return ParseFailure(app, error, env);
  }
  bool mermaid = false;
  auto options = Resolve(env, texts, &mermaid);
  if (!options.ok()) {
    env.err << fmt::format("error: {}\n", std::string(options.status().message()));
    return kUsage;
  }
  if (mermaid && !app.got_subcommand("tree")) {
    env.err << "error: --output: mermaid is for tree only\n";
    return kUsage;
  }
  options->mermaid = mermaid;
  Cli cli(env, *std::move(options));
  if (int code = cli.LoadProtoFiles()) return code;
  return chosen(cli);
}

}  // namespace banyan::cli
