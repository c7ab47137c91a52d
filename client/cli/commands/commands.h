#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/cli.h"

namespace banyan::cli {

// One struct and one function per command. Texts are as typed; the functions check them and return
// the exit code.

struct StatusOptions {
  bool check = false;
};
int RunStatus(Cli& cli, const StatusOptions& options);

struct VersionOptions {
  bool client_only = false;
};
int RunVersion(Cli& cli, const VersionOptions& options);

struct NodeListOptions {
  bool all = false;
  std::string filter;
};
int RunNodeList(Cli& cli, const NodeListOptions& options);
struct NodeGetOptions {
  std::string name;
};
int RunNodeGet(Cli& cli, const NodeGetOptions& options);

struct NodeChangeOptions {
  std::string name;
  std::vector<std::string> changes;  // KEY=VALUE or KEY-
};
int RunNodeLabel(Cli& cli, const NodeChangeOptions& options);
int RunNodeCapacity(Cli& cli, const NodeChangeOptions& options);
struct NodeActionOptions {
  std::string name;
  std::string message;
  bool force = false;
  bool yes = false;
};
int RunNodeCordon(Cli& cli, const NodeActionOptions& options);
int RunNodeUncordon(Cli& cli, const NodeActionOptions& options);
int RunNodeConfirmDead(Cli& cli, const NodeActionOptions& options);
int RunNodeRemove(Cli& cli, const NodeActionOptions& options);
struct NodeDrainOptions {
  std::string name;
  std::string deadline;
  bool no_deadline = false;
  uint32_t max_parallel = 0;
  std::string message;
  bool then_leave = false;
  bool detach = false;
  bool attach = false;
  bool yes = false;
};
int RunNodeDrain(Cli& cli, const NodeDrainOptions& options);

struct BackupOptions {
  std::string file;
};
int RunBackup(Cli& cli, const BackupOptions& options);
struct SafeModeOptions {
  std::string decision;  // "adopt" or "kill"
  bool dry_run = false;
  bool yes = false;
};
int RunSafeMode(Cli& cli, const SafeModeOptions& options);
struct UpgradeOptions {
  std::optional<uint32_t> level;
  bool yes = false;
};
int RunUpgradeFinalize(Cli& cli, const UpgradeOptions& options);

struct RebalanceOptions {
  bool dry_run = false;
  uint32_t max_moves = 0;
};
int RunRebalance(Cli& cli, const RebalanceOptions& options);

// What describes one child; every text empty if it wasn't given.
struct ChildFlags {
  std::string id;
  std::string module;
  std::string args;
  std::string restart;
  std::string shutdown;
  std::string type;
  std::string name;
  std::string node;
  bool significant = false;
  bool available = false;
};

struct SupStartOptions {
  std::string name;
  std::string strategy;
  std::optional<uint32_t> intensity;
  std::string period;
  std::string auto_shutdown;
  std::string file;
  bool cluster_wide = false;
  ChildFlags child;  // the template of a simple_one_for_one supervisor
};
int RunSupStart(Cli& cli, const SupStartOptions& options);
struct SupStopOptions {
  std::string supervisor;
  bool yes = false;
};
int RunSupStop(Cli& cli, const SupStopOptions& options);
struct SupListOptions {
  bool all = false;
};
int RunSupList(Cli& cli, const SupListOptions& options);
struct SupGetOptions {
  std::string supervisor;
};
int RunSupGet(Cli& cli, const SupGetOptions& options);

struct ChildStartOptions {
  std::string supervisor;
  ChildFlags child;
};
int RunChildStart(Cli& cli, const ChildStartOptions& options);
struct ChildOptions {
  std::string supervisor;
  std::string child;
  bool running_too = false;
};
int RunChildTerminate(Cli& cli, const ChildOptions& options);
int RunChildRestart(Cli& cli, const ChildOptions& options);
int RunChildDelete(Cli& cli, const ChildOptions& options);
int RunChildSpec(Cli& cli, const ChildOptions& options);
int RunChildList(Cli& cli, const ChildOptions& options);
int RunChildCount(Cli& cli, const ChildOptions& options);

struct TreeOptions {
  std::string supervisor;
  uint32_t depth = 0;
  bool watch = false;
};
int RunTree(Cli& cli, const TreeOptions& options);

struct CallOptions {
  std::string target;
  std::string type_or_json;
  std::string json;
  bool ack = false;
  bool lines = false;
  bool idempotent = false;
  std::string delay;
};
int RunCall(Cli& cli, const CallOptions& options);
int RunCast(Cli& cli, const CallOptions& options);
int RunSend(Cli& cli, const CallOptions& options);

struct TargetOptions {
  std::string target;
};
int RunWhereis(Cli& cli, const TargetOptions& options);
int RunActorGet(Cli& cli, const TargetOptions& options);
struct ActorSpawnOptions {
  std::string module;
  std::string args;
  std::string name;
  std::string node;
  std::string link;
};
int RunActorSpawn(Cli& cli, const ActorSpawnOptions& options);
struct ActorListOptions {
  std::string filter;
  std::string order_by;
  uint32_t limit = 0;
};
int RunActorList(Cli& cli, const ActorListOptions& options);
struct MonitorOptions {
  std::vector<std::string> targets;
};
int RunMonitor(Cli& cli, const MonitorOptions& options);
struct KillOptions {
  std::string target;
  std::string reason = "kill";
  std::string message;
  bool wait = false;
  bool yes = false;
};
int RunKill(Cli& cli, const KillOptions& options);

// The service Sys. Each command uses what it has flags for.
struct ActorSysOptions {
  std::string target;
  std::string json;             // set-state, change-code
  std::string duration;         // suspend --for
  std::optional<uint32_t> log;  // debug
  std::string stats;            // debug: "on", "off"
  std::string from;             // change-code
  bool down = false;            // change-code
  std::string reason = "shutdown";
  bool yes = false;
};
int RunActorState(Cli& cli, const TargetOptions& options);
int RunActorSetState(Cli& cli, const ActorSysOptions& options);
int RunActorStatus(Cli& cli, const TargetOptions& options);
int RunActorStats(Cli& cli, const TargetOptions& options);
int RunActorDebug(Cli& cli, const ActorSysOptions& options);
int RunActorSuspend(Cli& cli, const ActorSysOptions& options);
int RunActorResume(Cli& cli, const TargetOptions& options);
int RunActorChangeCode(Cli& cli, const ActorSysOptions& options);
int RunActorTerminate(Cli& cli, const ActorSysOptions& options);

struct NameOptions {
  std::string name;  // of `list`: the prefix
  std::string target;
  bool linearizable = false;
  bool exclusive = false;
  bool watch = false;
};
int RunNameList(Cli& cli, const NameOptions& options);
int RunNameWatch(Cli& cli, const NameOptions& options);
int RunNameLookup(Cli& cli, const NameOptions& options);
int RunNameRegister(Cli& cli, const NameOptions& options);
int RunNameUnregister(Cli& cli, const NameOptions& options);

struct GroupOptions {
  std::string group;  // of `list`: the prefix
  std::vector<std::string> targets;
  bool local = false;
};
int RunGroupList(Cli& cli, const GroupOptions& options);
int RunGroupMembers(Cli& cli, const GroupOptions& options);
int RunGroupJoin(Cli& cli, const GroupOptions& options);
int RunGroupLeave(Cli& cli, const GroupOptions& options);

struct EventsOptions {
  std::string supervisor;
  bool follow = false;
  std::string since;
  std::vector<std::string> kinds;
};
int RunEvents(Cli& cli, const EventsOptions& options);

struct HealthOptions {
  std::string service;
};
int RunHealth(Cli& cli, const HealthOptions& options);

struct WaitOptions {
  std::vector<std::string> conditions;
};
int RunWait(Cli& cli, const WaitOptions& options);

}  // namespace banyan::cli
