// Flags of the commands for processes.
#include "client/cli/commands/commands.h"
#include "client/cli/flags_add.h"

namespace banyan::cli {
namespace {

Added<CallOptions> AddMessage(CLI::App& app, const char* name, const char* text, Command* chosen,
                              int (*run)(Cli&, const CallOptions&)) {
  auto added = Add<CallOptions>(app, name, text, chosen, run);
  added.app->add_option("TARGET", added.options->target, "A name, a pid, child:SUP/ID, group:NAME")
      ->required();
  added.app->add_option("TYPE", added.options->type_or_json,
                        "Full message type, e.g. banyan.modules.v1.Get; left out: plain JSON data");
  added.app->add_option("JSON", added.options->json, "The message as JSON, @FILE, or - for stdin");
  return added;
}

template <typename Options>
Added<Options> AddOn(CLI::App& actor, const std::string& name, const std::string& text,
                     Command* chosen, int (*run)(Cli&, const Options&)) {
  Added<Options> added = Add<Options>(actor, name, text, chosen, run);
  added.app->add_option("TARGET", added.options->target, "Which")->required();
  return added;
}

void AddSys(CLI::App& actor, Command* chosen) {
  AddOn<TargetOptions>(actor, "state", "Its state, as JSON", chosen, RunActorState);
  auto set = AddOn<ActorSysOptions>(actor, "set-state", "Put another state in place", chosen,
                                    RunActorSetState);
  set.app->add_option("JSON", set.options->json, "With \"@type\", or @FILE")->required();
  AddOn<TargetOptions>(actor, "status", "What it and its module tell", chosen, RunActorStatus);
  AddOn<TargetOptions>(actor, "stats", "What it has counted", chosen, RunActorStats);
  auto debug = AddOn<ActorSysOptions>(actor, "debug", "Keep a log of events, count messages",
                                      chosen, RunActorDebug);
  debug.app->add_option("--log", debug.options->log, "Keep the last so many events; 0: none");
  debug.app->add_option("--stats", debug.options->stats, "on, off");
  auto suspend =
      AddOn<ActorSysOptions>(actor, "suspend", "Stop handling messages", chosen, RunActorSuspend);
  suspend.app->add_option("--for", suspend.options->duration, "Resume by itself after this time");
  AddOn<TargetOptions>(actor, "resume", "Go on", chosen, RunActorResume);
  auto change = AddOn<ActorSysOptions>(actor, "change-code", "Run code_change; suspend it first",
                                       chosen, RunActorChangeCode);
  change.app->add_option("JSON", change.options->json, "Handed to it, or @FILE");
  change.app->add_option("--from", change.options->from, "The version of the state");
  change.app->add_flag("--down", change.options->down, "Go back to that version");
  auto terminate = AddOn<ActorSysOptions>(actor, "terminate", "Tell it to end itself in order",
                                          chosen, RunActorTerminate);
  terminate.app->add_option("--reason", terminate.options->reason,
                            "shutdown (default), normal, ..");
  terminate.app->add_flag("-y,--yes", terminate.options->yes, "Don't ask");
}

}  // namespace

void AddActors(CLI::App& app, Command* chosen) {
  auto call = AddMessage(app, "call", "Send a request and print the reply", chosen, RunCall);
  call.app->add_flag("--idempotent", call.options->idempotent, "Running it twice does no harm");
  auto cast = AddMessage(app, "cast", "Send a request without a reply", chosen, RunCast);
  cast.app->add_flag("--ack", cast.options->ack, "Succeed only once it is in the mailbox");
  cast.app->add_flag("--lines", cast.options->lines, "Each line of stdin, in order");
  auto send = AddMessage(app, "send", "Send a plain message", chosen, RunSend);
  send.app->add_flag("--ack", send.options->ack, "Succeed only once it is in the mailbox");
  send.app->add_flag("--lines", send.options->lines, "Each line of stdin, in order");
  send.app->add_option("--delay", send.options->delay, "Send it after this time");
  auto whereis =
      Add<TargetOptions>(app, "whereis", "The process behind a target", chosen, RunWhereis);
  whereis.app->add_option("TARGET", whereis.options->target, "Which")->required();
  auto monitor =
      Add<MonitorOptions>(app, "monitor", "Wait for the end of processes", chosen, RunMonitor);
  monitor.app->add_option("TARGET", monitor.options->targets, "Which")->required();
  auto kill = Add<KillOptions>(app, "kill", "Send an exit signal", chosen, RunKill);
  kill.app->add_option("TARGET", kill.options->target, "Which")->required();
  kill.app->add_option("--reason", kill.options->reason,
                       "kill (default), shutdown, normal, error, ..");
  kill.app->add_option("--message", kill.options->message, "A line for people");
  kill.app->add_flag("--wait", kill.options->wait, "Wait until it has ended");
  kill.app->add_flag("-y,--yes", kill.options->yes, "Don't ask");

  CLI::App* actor = Group(app, "actor", "Processes");
  auto spawn = Add<ActorSpawnOptions>(*actor, "spawn", "Start a process that no supervisor has",
                                      chosen, RunActorSpawn);
  spawn.app->add_option("MODULE", spawn.options->module, "What is started")->required();
  spawn.app->add_option("--args", spawn.options->args, "Start arguments: a JSON list, @FILE or -");
  spawn.app->add_option("--name", spawn.options->name, "Name to register for it");
  spawn.app->add_option("--node", spawn.options->node, "The node to run on");
  spawn.app->add_option("--link", spawn.options->link, "The process that it ends with, a pid");
  auto list =
      Add<ActorListOptions>(*actor, "list", "Processes of the cluster", chosen, RunActorList);
  list.app->alias("ls");
  list.app->add_option("--filter", list.options->filter,
                       "Passed to the server, e.g. 'module = \"kv\"'");
  list.app->add_option("--order-by", list.options->order_by, "E.g. 'mailbox_length desc'");
  list.app->add_option("-n,--limit", list.options->limit, "Most to show");
  auto get = Add<TargetOptions>(*actor, "get", "One process", chosen, RunActorGet);
  get.app->add_option("TARGET", get.options->target, "Which")->required();
  AddSys(*actor, chosen);
}

}  // namespace banyan::cli
